"""Speculative Jacobi decoding: fresh drafts from the newest law."""

from __future__ import annotations

from reference.drafting import Independent
from reference.methods.method import Method, Named

NAMED = Named(Method("sjd", Independent()), place=2)
