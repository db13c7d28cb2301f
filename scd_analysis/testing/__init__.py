"""For anybody's test suite: whether a decoder is lossless, and the laws, models and windows that break such code.

In any pytest suite::

    import torch
    from hypothesis import given
    from scd_analysis.testing import assert_exact, assert_lossless, draft_batches, target_models

    def test_my_decoder():  # draws sequences; fails when the audit refutes them, or had too few
        assert_lossless(my_decoder, my_model, max_sequences=4_000)

    def test_my_verification():  # no statistics: every path of its random choices
        assert_exact(lambda: verify(target, draft), {0: 0.5, 1: 0.3, 2: 0.2})

    @given(draft_batches())  # zeros, ties, laws equal but for the last bit
    def test_my_kernel(batch):
        tokens, counts = my_kernel(*batch.tensors(), torch.Generator().manual_seed(0))
        assert ((1 <= counts) & (counts <= batch.draft_tokens.shape[1] + 1)).all()

``pip install 'scd-analysis[testing]'`` brings pytest and Hypothesis; without Hypothesis the asserts still work. Under
pytest, ``--scd-alpha`` sets the false-fail rate of each `assert_lossless`, the last lines of a run say what the rates
add up to (`register_rate` adds those of other stochastic asserts), and ``--scd-ledger PATH`` keeps every audit as a
line of JSON. Nothing here imports NumPy or PyTorch until it is used: pytest loads the plugin in every run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scd_analysis.exact import assert_exact
    from scd_analysis.testing.batches import assert_batch_invariant
    from scd_analysis.testing.exact_kernel import assert_exact_kernel
    from scd_analysis.testing.examples import DraftBatch, TableModel, Window
    from scd_analysis.testing.lossless import assert_lossless
    from scd_analysis.testing.rates import register_rate
    from scd_analysis.testing.strategies import draft_batches, law_pairs, laws, target_models, windows

_HOME = {
    "assert_exact": "scd_analysis.exact",
    "assert_batch_invariant": "scd_analysis.testing.batches",
    "assert_exact_kernel": "scd_analysis.testing.exact_kernel",
    "assert_lossless": "scd_analysis.testing.lossless",
    "register_rate": "scd_analysis.testing.rates",
    "DraftBatch": "scd_analysis.testing.examples",
    "TableModel": "scd_analysis.testing.examples",
    "Window": "scd_analysis.testing.examples",
}

_STRATEGIES = ("draft_batches", "law_pairs", "laws", "target_models", "windows")

__all__ = [
    "DraftBatch",
    "TableModel",
    "Window",
    "assert_batch_invariant",
    "assert_exact",
    "assert_exact_kernel",
    "assert_lossless",
    "draft_batches",
    "law_pairs",
    "laws",
    "register_rate",
    "target_models",
    "windows",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _STRATEGIES:
        try:
            import hypothesis  # noqa: F401
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                f"scd_analysis.testing.{name} needs Hypothesis: pip install 'scd-analysis[testing]'", name="hypothesis"
            ) from None
        return getattr(import_module("scd_analysis.testing.strategies"), name)
    raise AttributeError(f"module 'scd_analysis.testing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
