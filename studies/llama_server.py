"""llama.cpp's server, in a process of its own: ``python -m studies.llama_server MODEL PORT MODE [DRAFT [CACHE]]``.

The package ``xllamacpp`` brings llama.cpp's own server as a wheel; what it answers is what llama.cpp answers.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from studies.serving import free_port, serving

WAIT = 60.0
"""Seconds until it must listen."""

MODES = {
    "off": "COMMON_SPECULATIVE_TYPE_NONE",
    "draft": "COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE",
    "drawn-draft": "COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE",
    "ngram": "COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE",
}
"""Speculation off; a draft model's most probable tokens; its tokens drawn (``probabilistic``); n-grams of what came."""


@contextmanager
def served(model: Path, mode: str, draft: Path | None = None, *, cache: str = "f16") -> Iterator[str]:
    """Start a server, and end it.

    Parameters
    ----------
    model : path
        A GGUF file.
    mode : str
        One of ``MODES``.
    draft : path, optional
        A GGUF file, for modes with a draft model.
    cache : str
        What keys and values are held in, ``"f16"`` or ``"f32"``; the first is llama.cpp's default.

    Yields
    ------
    str
        Its URL.

    Raises
    ------
    RuntimeError
        If it ends, or does not listen in time.
    """
    port = free_port()
    words = [str(model), str(port), mode, "" if draft is None else str(draft), cache]
    command = [sys.executable, "-m", "studies.llama_server", *words]
    with serving(command, port, name="llama.cpp's server", patience=WAIT) as url:
        yield url


def main(model: str, port: str, mode: str, draft: str = "", cache: str = "f16") -> None:
    """Serve until this process is ended, or the one that started it is gone."""
    import xllamacpp

    parent = os.getppid()

    parameters = xllamacpp.CommonParams()
    parameters.model.path, parameters.port, parameters.hostnames = model, int(port), ["127.0.0.1"]
    parameters.n_parallel, parameters.n_ctx, parameters.warmup = 16, 16 * 256, False
    parameters.cpuparams.n_threads = 1
    parameters.speculative.types = [getattr(xllamacpp.common_speculative_type, MODES[mode])]
    ngram = parameters.speculative.ngram_simple
    ngram.size_n, ngram.size_m = 2, 4  # twelve tokens that came before are seldom met in a short sequence
    parameters.cache_type_k = parameters.cache_type_v = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{cache.upper()}")
    if draft:
        parameters.speculative.draft.mparams.path = draft
        parameters.speculative.draft.probabilistic = mode == "drawn-draft"
    server = xllamacpp.Server(parameters)
    while server and os.getppid() == parent:  # it serves on threads of its own
        time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
