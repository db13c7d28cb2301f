"""vLLM with one function repaired, in every process whose path begins with this folder.

``expand_batch_to_tokens`` gives every draft of a request the temperature, top-k and top-p of the request. It is a
kernel of Triton's, and where Triton has no backend for the CPU its output stays as it was allocated. Here PyTorch
repeats.
"""

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import PathFinder
from typing import Any

MODULE = "vllm.v1.sample.rejection_sampler"


def expand_batch_to_tokens(
    x: Any, cu_num_tokens: Any, num_tokens: int, replace_from: int = 0, replace_to: int = 0
) -> Any:
    """Repeat the entry of each request as often as it has drafts."""
    import torch

    counts = torch.diff(cu_num_tokens, prepend=cu_num_tokens.new_zeros(1))
    replaced = torch.where(x == replace_from, torch.full_like(x, replace_to), x)
    return torch.repeat_interleave(replaced, counts, output_size=num_tokens)


class _Repairing(Loader):
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        self._loader.exec_module(module)
        module.expand_batch_to_tokens = expand_batch_to_tokens


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        found = PathFinder.find_spec(fullname, path, target) if fullname == MODULE else None
        if found is not None:
            found.loader = _Repairing(found.loader)
        return found


sys.meta_path.insert(0, _Finder())
