"""Ancestral sampling: nothing is drafted, one token a pass."""

from __future__ import annotations

from reference.methods.method import Method, Named

NAMED = Named(Method("ar", None), place=0)
