"""Speculative coupled decoding by maximal coupling."""

from __future__ import annotations

from reference.drafting import Maximal
from reference.methods.method import Method, Named

NAMED = Named(Method("scd-mc", Maximal()), place=3)
