"""Speculative coupled decoding by Gumbel sharing."""

from __future__ import annotations

from reference.drafting import Gumbel
from reference.methods.method import Method, Named

NAMED = Named(Method("scd-gs", Gumbel()), place=4)
