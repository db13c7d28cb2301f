"""Shadow memory: which entries of which tensors are random.

A tensor that holds variates is an ordinary tensor, with NaN where a variate stands. For its storage the shadow keeps an
integer of the same index for every entry: 0 for a number, else the place of a term in `Run.terms`. Views share storage,
so they share the shadow; nothing about the tensor's type, device or layout changes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from scd_analysis.exact.context import active, current, quietly, refuse
from scd_analysis.exact.run import Run
from scd_analysis.exact.terms import Term, Undrawn, Unknown, is_random

plain_list = torch.Tensor.tolist
"""Kept from before the interception, which replaces it."""
plain_item = torch.Tensor.item
"""Kept from before the interception, which replaces it."""


def _references(tensor: torch.Tensor) -> int:
    return int(torch._C._storage_Use_Count(tensor.untyped_storage()._cdata))


_OWN_REFERENCES = _references(torch.empty(1))


def _referred(owner: torch.Tensor) -> bool:
    return _references(owner) > _OWN_REFERENCES


class Shadow:
    """The shadows of all storages of one run that hold, or held, a variate."""

    def __init__(self) -> None:
        self._flat: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # the tensor is kept alive: addresses stay unique
        self._shared: dict[int, torch.Tensor] = {}

    def ids(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """Give the shadow of ``tensor``, on the CPU, sharing memory with its storage's; None when nothing is random."""
        try:
            found = self._flat.get(tensor.untyped_storage().data_ptr())
        except (RuntimeError, NotImplementedError):  # no storage: a sparse or wrapped tensor
            return None
        if found is None:
            return None
        flat, owner = found
        if tensor.dtype != owner.dtype:
            if not plain_item(flat.any()):
                return None
            refuse("reinterpreting the bits of a variate", f"{owner.dtype} as {tensor.dtype}")
        ids = flat.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
        return ids if plain_item(ids.any()) else None

    def share(self, tensor: torch.Tensor) -> None:
        """Note that NumPy sees the tensor's memory: no variate may be put there any more."""
        self._shared[tensor.untyped_storage().data_ptr()] = tensor

    def is_shared(self, tensor: torch.Tensor) -> bool:
        """Tell whether NumPy sees the tensor's memory."""
        return bool(self._shared) and tensor.untyped_storage().data_ptr() in self._shared

    def writable(self, tensor: torch.Tensor) -> torch.Tensor:
        """Give the shadow of ``tensor``, made if need be."""
        storage = tensor.untyped_storage()
        key = storage.data_ptr()
        if key in self._shared:
            refuse("writing a variate", "NumPy sees this tensor's memory too")
        if key not in self._flat:
            if not storage.resizable():
                refuse("writing a variate", "NumPy or another library sees this tensor's memory too; clone it before")
            entries = storage.nbytes() // tensor.element_size()
            with torch.inference_mode(False):  # else it could not be written to outside that mode
                self._flat[key] = (torch.zeros(entries, dtype=torch.int64), tensor.detach())
        flat = self._flat[key][0]
        return flat.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())

    def survivors(self) -> list[torch.Tensor]:
        """Give the storages that hold variates and to which somebody else refers too, each as a tensor."""
        return [owner for flat, owner in self._flat.values() if plain_item(flat.any()) and _referred(owner)]

    def touches(self, values: Iterable[Any]) -> bool:
        """Tell whether any tensor among (nested) arguments has a shadow."""
        for value in values:
            if isinstance(value, torch.Tensor):
                if self.knows(value):
                    return True
            elif isinstance(value, (list, tuple)) and self.touches(value):
                return True
        return False

    def knows(self, tensor: torch.Tensor) -> bool:
        """Tell whether the tensor's storage has a shadow."""
        try:
            return tensor.untyped_storage().data_ptr() in self._flat
        except (RuntimeError, NotImplementedError):
            return False


def shadow_of(run: Run) -> Shadow:
    """Give the run's shadow memory, made on first use."""
    if run.shadow is None:
        run.shadow = Shadow()
    return run.shadow


def register(run: Run, term: Term | Undrawn) -> int:
    """Give a random term a number to be written into shadows."""
    run.terms.append(term)
    return len(run.terms) - 1


def fill_random(run: Run, tensor: torch.Tensor, terms: Sequence[Term]) -> torch.Tensor:
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


def mark_kept(run: Run, kept: Sequence[torch.Tensor]) -> None:
    """Mark buffers that an earlier run left variates in: to be overwritten, not to be read."""
    for tensor in kept:
        lost = Unknown("a buffer that outlives a run", "it is read before it is drawn anew, so runs are not alike")
        storage = tensor.untyped_storage()
        whole = torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(storage)
        shadow_of(run).writable(whole).fill_(register(run, lost))


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
    for dim in (d for d, stride in enumerate(tensor.stride()) if stride == 0 and tensor.shape[d] > 1):
        tensor = tensor.narrow(dim, 0, 1)  # expanded: the same entries again
    ids = run.shadow.ids(tensor)
    if ids is None:
        return
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


def write_terms(run: Run, tensor: torch.Tensor, places: Sequence[int], terms: Sequence[Term | Undrawn]) -> None:
    """Write terms, random or not, at row-major ``places`` of ``tensor``; its other entries hold numbers."""
    if not tensor.numel():
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
    settle(run, tensor)
    return run.shadow.ids(tensor)


def scalar_term(tensor: torch.Tensor) -> Term | None:
    """Give the random entry of a one-entry tensor; None when it is a number."""
    ids = random_ids(tensor)
    if ids is None:
        return None
    if ids.numel() != 1:
        raise RuntimeError(f"a Tensor with {ids.numel()} elements cannot be converted to Scalar")
    run = active()
    assert run is not None  # it has a shadow
    term: Term = run.terms[int(plain_item(ids))]
    return term


def with_tensors(value: Any) -> Any:
    """Replace variates in (nested) arguments by tensors without dimensions."""
    if is_random(value):
        run = active()
        if run is None:
            refuse("using a variate", "its run is over")
        return fill_random(run, torch.empty((), dtype=torch.float64), [value])
    if isinstance(value, tuple):
        return tuple(with_tensors(item) for item in value)
    if isinstance(value, list):
        return [with_tensors(item) for item in value]
    if isinstance(value, dict):
        return {key: with_tensors(item) for key, item in value.items()}
    return value


def tensors_in(value: Any) -> Iterable[torch.Tensor]:
    """Give the tensors among (nested) arguments."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)
