"""Tensors of numbers and random terms."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from scd_analysis.exact.numbers import Term, Unknown, is_random
from scd_analysis.exact.run import Run
from scd_analysis.exact.torch.memory import plain_item
from scd_analysis.exact.torch.shadow import Undrawn, register, shadow_of


def write_terms(run: Run, tensor: torch.Tensor, places: Sequence[int], terms: Sequence[Term | Undrawn]) -> None:
    """Write terms, random or not, at row-major ``places`` of ``tensor``; its other entries hold numbers."""
    if not tensor.numel():
        return
    if terms and all(isinstance(term, Undrawn) for term in terms):  # what stands there now is read by nobody
        _postpone(run, tensor, places, terms)
        return
    values = tensor.reshape(-1).clone()
    numbers = torch.zeros(tensor.numel(), dtype=torch.int64)
    for place, term in zip(places, terms, strict=True):
        if isinstance(term, Undrawn):
            numbers[place] = register(run, term)
            run.postponed = True
        elif is_random(term):
            numbers[place] = register(run, term)
            values[place] = float("nan")
        else:
            values[place] = float(term)
    tensor.copy_(values.view(tensor.shape))
    shadow = shadow_of(run)
    if plain_item(numbers.any()) or shadow.knows(tensor):
        shadow.writable(tensor).copy_(numbers.view(tensor.shape))


def _postpone(run: Run, tensor: torch.Tensor, places: Sequence[int], terms: Sequence[Term | Undrawn]) -> None:
    numbers = [0] * tensor.numel()
    for place, term in zip(places, terms, strict=True):
        numbers[place] = register(run, term)
    run.postponed = True
    shadow_of(run).writable(tensor).copy_(torch.tensor(numbers, dtype=torch.int64).view(tensor.shape))


def mark_kept(run: Run, kept: Sequence[torch.Tensor]) -> None:
    """Mark buffers that an earlier run left variates in: to be overwritten, not to be read."""
    for tensor in kept:
        lost = Unknown("a buffer that outlives a run", "it is read before it is drawn anew, so runs are not alike")
        storage = tensor.untyped_storage()
        whole = torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(storage)
        shadow_of(run).writable(whole).fill_(register(run, lost))
