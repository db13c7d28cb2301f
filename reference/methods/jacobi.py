"""Greedy Jacobi decoding: every law is the point mass on its most probable token."""

from __future__ import annotations

from reference.drafting import Independent
from reference.methods.method import Method, Named

NAMED = Named(Method("jacobi", Independent(), greedy=True), place=1)
