"""Shadow memory: which entries of which tensors are random.

A tensor that holds variates is an ordinary tensor, with NaN where a variate stands. For its storage the shadow keeps an
integer of the same index for every entry: 0 for a number, else the place of a term in `Run.terms`. Views share storage,
so they share the shadow; nothing about the tensor's type, device or layout changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from scd_analysis.exact.refusals import refuse

plain_list = torch.Tensor.tolist
"""Kept from before the interception, which replaces it."""
plain_item = torch.Tensor.item
"""Kept from before the interception, which replaces it."""
_plain_numpy = torch.Tensor.numpy


def _references(tensor: torch.Tensor) -> int:
    return int(torch._C._storage_Use_Count(tensor.untyped_storage()._cdata))


_OWN_REFERENCES = _references(torch.empty(1))


class Shadow:
    """The shadows of all storages of one run that hold, or held, a variate."""

    def __init__(self) -> None:
        self._flat: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # the tensor is kept alive: addresses stay unique
        self._arrays: dict[int, Any] = {}  # the same memory in NumPy, where looking through it costs less
        self._shared: dict[int, torch.Tensor] = {}

    def ids(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """Give the shadow of ``tensor``, on the CPU, sharing memory with its storage's; None when nothing is random."""
        try:
            key = tensor.untyped_storage().data_ptr()
        except (RuntimeError, NotImplementedError):  # no storage: a sparse or wrapped tensor
            return None
        found = self._flat.get(key)
        if found is None or not self._arrays[key].any():
            return None
        flat, owner = found
        if tensor.dtype != owner.dtype:
            refuse("reinterpreting the bits of a variate", f"{owner.dtype} as {tensor.dtype}")
        ids = flat.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
        if tensor.numel() == flat.numel() and tensor.is_contiguous():  # all of it
            return ids
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
                self._flat[key] = (torch.zeros(entries, dtype=torch.int64, device="cpu"), tensor.detach())
                self._arrays[key] = _plain_numpy(self._flat[key][0])
        flat = self._flat[key][0]
        return flat.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())

    def survivors(self) -> list[torch.Tensor]:
        """Give the storages that hold variates and to which somebody else refers too, each as a tensor."""
        kept = [(key, owner) for key, (_, owner) in self._flat.items() if _references(owner) > _OWN_REFERENCES]
        return [owner for key, owner in kept if self._arrays[key].any()]

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
