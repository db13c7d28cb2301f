"""Random entries of the tensors of a run: put there, drawn where they were put off, and read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from scd_analysis.exact.refusals import refuse, site, standing_at
from scd_analysis.exact.run import Run, active, current, quietly
from scd_analysis.exact.torch.memory import Shadow, plain_item, plain_list


class Undrawn:
    """A discrete draw or a comparison put off until its value is needed: what nobody looks at does not branch."""

    __slots__ = ("_draw", "_site", "_value")

    def __init__(self, draw: Callable[[], int]) -> None:
        self._draw = draw
        self._value: int | None = None
        self._site = site()

    def draw(self) -> int:
        """Make the draw, the first time that it is asked for."""
        if self._value is None:
            with standing_at(self._site):
                self._value = self._draw()
        return self._value


def shadow_of(run: Run) -> Shadow:
    """Give the run's shadow memory, made on first use."""
    if run.shadow is None:
        run.shadow = Shadow()
    return run.shadow


def register(run: Run, term: Any) -> int:
    """Give a random term a number to be written into shadows."""
    run.terms.append(term)
    return len(run.terms) - 1


def fill_random(run: Run, tensor: torch.Tensor, terms: Sequence[Any]) -> torch.Tensor:
    """Write one random term per entry (row-major), or one for all; the tensor itself gets NaN there."""
    if tensor.numel() == 0:
        return tensor
    tensor.fill_(float("nan"))
    numbers = torch.tensor([register(run, term) for term in terms], dtype=torch.int64)
    shadow_of(run).writable(tensor).copy_(numbers.expand(tensor.numel()).reshape(tensor.shape))
    return tensor


def kept_from(run: Run) -> list[torch.Tensor]:
    """Give what the sampler keeps of this run's variates: buffers that outlive it."""
    return [] if run.shadow is None else run.shadow.survivors()


def fill_undrawn(run: Run, tensor: torch.Tensor, tokens: Sequence[Undrawn]) -> torch.Tensor:
    """Write one postponed draw per entry (row-major); the tensor itself gets a number that is no index."""
    tensor.fill_(torch.iinfo(tensor.dtype).min)
    run.terms += tokens
    first = len(run.terms) - len(tokens)
    shadow_of(run).writable(tensor).copy_(torch.arange(first, len(run.terms)).reshape(tensor.shape))
    run.postponed = True
    return tensor


def settle(run: Run, tensor: torch.Tensor) -> None:
    """Draw what was postponed in ``tensor``, row-major, and write it down."""
    if not run.postponed or run.shadow is None:
        return
    ids = run.shadow.ids(tensor)
    if ids is None:
        return
    if ids.numel() == 1:
        _settle_one(run, tensor, ids)
        return
    for dim in (d for d, stride in enumerate(tensor.stride()) if stride == 0 and tensor.shape[d] > 1):
        tensor, ids = tensor.narrow(dim, 0, 1), ids.narrow(dim, 0, 1)  # expanded: the same entries again
    numbers = plain_list(ids.reshape(-1))
    places = [place for place, number in enumerate(numbers) if isinstance(run.terms[number], Undrawn)]
    if not places:
        return
    with quietly():
        values = plain_list(tensor.detach().reshape(-1))
    for place in places:
        values[place] = run.terms[numbers[place]].draw()
        numbers[place] = 0
    with quietly(), torch.inference_mode():  # the only mode in which tensors that were made in it may be written to
        tensor.detach().copy_(torch.tensor(values, dtype=tensor.dtype).view(tensor.shape))
        ids.copy_(torch.tensor(numbers, dtype=torch.int64).view(ids.shape))


def _settle_one(run: Run, tensor: torch.Tensor, ids: torch.Tensor) -> None:
    """Draw the only entry, as most code compares one number at a time."""
    term = run.terms[int(plain_item(ids))]
    if not isinstance(term, Undrawn):
        return
    value = term.draw()
    with quietly(), torch.inference_mode():
        tensor.detach().fill_(value)
        ids.fill_(0)


def read_terms(run: Run, tensor: torch.Tensor) -> list[Any]:
    """Give the entries of a tensor, row-major: plain numbers, or terms where they are random."""
    settle(run, tensor)
    return raw_terms(run, tensor)


def raw_terms(run: Run, tensor: torch.Tensor) -> list[Any]:
    """Give the entries of a tensor, row-major, without making postponed draws."""
    values: list[Any] = plain_list(tensor.detach().reshape(-1))
    ids = run.shadow.ids(tensor) if run.shadow is not None else None
    if ids is not None:
        for place, number in enumerate(plain_list(ids.reshape(-1))):
            if number:
                values[place] = run.terms[number]
    return values


def random_ids(tensor: torch.Tensor) -> torch.Tensor | None:
    """Give the shadow of ``tensor`` in the run being replayed, postponed draws made; None when nothing is random."""
    run = current()
    if run is None or run.shadow is None:
        return None
    if run.thread != threading.get_ident():
        return refuse("looking at a tensor", "another thread does it") if run.shadow.knows(tensor) else None
    with torch._C._DisableTorchDispatch():  # the engine's own reading; the mode would be asked of each of its steps
        settle(run, tensor)
        return run.shadow.ids(tensor)


def scalar_term(tensor: torch.Tensor) -> Any:
    """Give the random entry of a one-entry tensor; None when it is a number."""
    ids = random_ids(tensor)
    if ids is None:
        return None
    if ids.numel() != 1:
        raise RuntimeError(f"a Tensor with {ids.numel()} elements cannot be converted to Scalar")
    run = active()
    assert run is not None  # it has a shadow
    term = run.terms[int(plain_item(ids))]
    return term


def tensors_in(value: Any) -> Iterable[torch.Tensor]:
    """Give the tensors among (nested) arguments."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)
