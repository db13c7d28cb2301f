"""A verification function by itself, called and read in its own way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.calls import Roles, Signature
from scd_analysis.audit.adapters.noise import seeded
from scd_analysis.audit.adapters.outputs import READERS, Emitted, Window
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.validate import as_array, check_at_least, check_known, check_laws, has_dimensions

ADAPTERS = {"kernel": "kernel"}

ROLES = Roles(
    "kernel",
    {
        "draft_tokens": ("draft_token", "draft_ids", "draft_token_ids", "draft_input_ids", "drafts", "draft",
                         "candidate_tokens", "candidate_ids", "candidates", "proposed_tokens", "proposals"),
        "draft_probs": ("draft_prob", "draft_probabilities", "draft_laws", "draft_distribution", "draft_dist"),
        "draft_logits": ("draft_logprobs", "draft_log_probs", "candidate_logits"),
        "target_probs": ("target_prob", "target_probabilities", "target_laws", "target_distribution", "target_dist"),
        "target_logits": ("target_logprobs", "target_log_probs"),
        "target_with_bonus_probs": (),
        "bonus_tokens": ("bonus_token", "bonus_ids", "bonus_token_ids"),
        "uniforms": ("uniform_samples", "uniform_probs"),
        "generator": ("rng", "gen"),
        "seed": ("random_seed",),
    },
    ("draft_tokens", "draft_probs", "target_probs", "generator"),
)  # fmt: skip
"""What a verification function can be given: Long[B, L], Float[B, L, V] twice, Float[B, L + 1, V] twice, the same with
its name, Long[B, 1] drawn from the last target row, Float[B, L + 1], a generator, an integer."""


LAWS = ("draft_probs", "draft_logits")
DRAFTS = ("laws", "point-mass", "without-laws")

MANY = 64
"""Windows of which a right function rejects some draft, but for a chance below 1e-6."""

FEW = 0.03
"""Of windows that commit their drafts and nothing more: a wrong function, or another rule, may do so by chance."""


class Kernel:
    """See :func:`kernel`.

    Attributes
    ----------
    vocab_size, window : int
        V and L of the windows it is tried on.
    point_mass : bool
        Whether its drafts are to be point masses, declared as such.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        arguments: Any,
        output: str,
        drafts: str | None,
        vocab_size: int,
        window: int,
        placeholder: int,
        bonus: bool,
        batch_size: int | None,
        numpy: bool,
        processor: Callable[[Floats], Any] | None,
        device: Any,
    ) -> None:
        self._signature = ROLES.signature(function, arguments)
        self._drafts = _settled(drafts, self._signature)
        self.point_mass = self._drafts != "laws"
        check_known(output, READERS, "output")
        check_at_least(vocab_size, 2, "vocab_size")
        check_at_least(window, 1, "window")
        if batch_size is not None:
            check_at_least(batch_size, 0, "batch_size")
        self.function, self._read, self._device, self._processor = function, READERS[output], device, processor
        self._placeholder, self._bonus, self._batch_size, self._numpy = placeholder, bonus, batch_size, numpy
        self.vocab_size, self.window = vocab_size, window

    def processed(self, target_probs: Floats) -> Floats:
        """The target laws that the function says it verifies against, Float[B, L + 1, V].

        Raises
        ------
        InputError
            If the processor returns another shape, or what is no law.
        """
        if self._processor is None:
            return target_probs
        found = as_array(self._processor(target_probs.copy()), "processor(target_probs)", None).astype(np.float64)
        if found.shape != target_probs.shape:
            raise InputError(f"processor(target_probs) has shape {found.shape}: expected {target_probs.shape}")
        check_laws(found, "processor(target_probs)")
        return found

    def verify_window(self, tokens: Longs, draft_probs: Floats, target_probs: Floats, seed: int) -> Emitted:
        """Have windows verified.

        Returns
        -------
        tuple of (Long[B, L + 1], Long[B])
            The tokens committed, then -1; and how many of them are accepted drafts.

        Raises
        ------
        InputError
            If what comes back has another form.
        """
        given = self._given(tokens, draft_probs, target_probs, seed)
        size = len(tokens) if self._batch_size is None else max(self._batch_size, 1)
        with seeded(seed):
            parts = [self._verify(given, tokens, start, start + size) for start in range(0, len(tokens), size)]
        emitted, accepted = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        self._check_plausible(tokens, emitted)
        return emitted, accepted

    def _check_plausible(self, tokens: Longs, emitted: Longs) -> None:
        """See what would be read wrongly if the function's form was not stated right."""
        counts = (emitted >= 0).sum(axis=1)
        whole = (emitted[:, : self.window] == tokens).all(axis=1) & (counts == self.window)
        if self._bonus and whole.mean() > FEW and (counts <= self.window).all():
            raise InputError(
                f"kernel: window {int(whole.argmax())} commits its {self.window} drafts and no bonus token, and no "
                "window more; where that is meant, pass bonus=False"
            )
        if self._read is READERS["padded"] and len(tokens) >= MANY and (counts > self.window).all():
            raise InputError(
                f"kernel's tokens: none of {len(tokens)} rows ends with the placeholder {self._placeholder}; pass the "
                "one that is used, or, if every draft is accepted, have counts returned too, as output='tokens+counts'"
            )

    def _verify(self, given: dict[str, Any], tokens: Longs, start: int, stop: int) -> Emitted:
        rows = slice(start, stop)
        alone, whole = self._batch_size == 0, ("generator", "seed")
        values = {
            role: value if role in whole or value is None else value[start] if alone else value[rows]
            for role, value in given.items()
        }
        returned = self._signature.call(self.function, values)
        window = Window(tokens[rows], self.vocab_size, self._placeholder, self._bonus)
        return self._read(_with_batch(returned, self._read is READERS["list"]) if alone else returned, window)

    def _given(self, tokens: Longs, draft_probs: Floats, target_probs: Floats, seed: int) -> dict[str, Any]:
        """Lay out, for every role, what a function is given."""
        rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])  # apart from the function's own
        uniforms, last = rng.random((len(tokens), self.window + 1), dtype=np.float32), target_probs[:, -1]
        upto = last.cumsum(axis=-1)
        bonus = np.minimum((upto <= rng.random((len(tokens), 1)) * upto[:, -1:]).sum(axis=-1), self.vocab_size - 1)
        short = not self._bonus or "bonus_tokens" in self._signature.roles
        own = target_probs[:, : self.window] if short else target_probs
        with np.errstate(divide="ignore"):
            laws = {
                "draft_probs": draft_probs,
                "draft_logits": np.log(draft_probs),
                "target_probs": own,
                "target_logits": np.log(own),
                "target_with_bonus_probs": target_probs,
            }
        arrays = {"draft_tokens": tokens.copy(), "bonus_tokens": bonus[:, None]}
        arrays |= {name: law.astype(np.float32) for name, law in {**laws, "uniforms": uniforms}.items()}
        unknown = dict.fromkeys(LAWS) if self._drafts == "without-laws" else {}
        if self._numpy:
            return {**arrays, **unknown, "generator": np.random.default_rng(seed), "seed": seed}
        import torch

        place = torch.device(self._device)
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)).to(place) for name, array in arrays.items()}
        return {**tensors, **unknown, "generator": torch.Generator(place).manual_seed(seed), "seed": seed}


def _settled(drafts: str | None, signature: Signature) -> str:
    """Choose where drafts come from, by what the function takes if it is not said."""
    takes_laws = any(role in signature.roles for role in LAWS)
    if drafts is None:
        return "laws" if takes_laws else "without-laws"
    check_known(drafts, DRAFTS, "drafts")
    if drafts != "without-laws" and not takes_laws:
        raise InputError(
            f"drafts = {drafts!r}: none of the function's parameters takes {' or '.join(LAWS)}; a function that never "
            "sees the laws of its drafts can only be right for point masses, which is drafts='without-laws'"
        )
    return drafts


def _with_batch(returned: Any, is_list: bool) -> Any:
    """Give what was returned for one window a leading dimension."""
    if is_list:
        return [returned]
    if isinstance(returned, (tuple, list)):
        return tuple(_with_batch(part, False) for part in returned)
    return returned[None] if has_dimensions(returned) else np.asarray(returned)[None]


def kernel(
    function: Callable[..., Any],
    *,
    arguments: Any = None,
    output: str = "tokens+counts",
    drafts: str | None = None,
    vocab_size: int = 6,
    window: int = 4,
    placeholder: int = -1,
    bonus: bool = True,
    batch_size: int | None = None,
    numpy: bool = False,
    processor: Callable[[Floats], Any] | None = None,
    device: Any = "cpu",
) -> Kernel:
    """Make a subject of a verification function, to be audited without model or decoder.

    Parameters
    ----------
    function : callable
        Given drafts and laws, and a generator, it says what is committed: a rejection its residual draw, a window
        accepted whole a bonus token. Which parameter takes what is read off their names, such as ``draft_token_ids``,
        ``draft_probs``, ``target_logits``, ``rng``; a function without names (``*args``) is given ``(draft_tokens,
        draft_probs, target_probs, generator)``. Global generators are seeded for each call and put back after it.
    arguments : sequence of str, or mapping of str to str, optional
        Where names do not say it: roles in the order of its positional parameters, or parameter to role. The roles:
        ``draft_tokens`` Long[B, L]; ``draft_probs`` Float[B, L, V]; ``target_probs`` Float[B, L + 1, V];
        ``draft_logits`` and ``target_logits``, their logarithms; ``generator``; ``seed``; ``uniforms``
        Float[B, L + 1]; and for a function that is handed its bonus tokens, ``bonus_tokens`` Long[B, 1], with
        ``target_probs`` Float[B, L, V] or ``target_with_bonus_probs`` Float[B, L + 1, V].
    output : str
        What it returns. ``"tokens+counts"``: Long[B, at most L + 1] and how many of each row are committed;
        ``"tokens+accepted"``: the same tokens and how many drafts were accepted, Long[B], or a mask Bool[B, L];
        ``"padded"``: tokens that end with placeholders; ``"accepted+bonus"``: accepted drafts as above, and the token
        that follows them, Long[B] or one a position, and the bonus token if it comes apart; ``"list"``: one list of
        committed tokens a window.
    drafts : str, optional
        Where the drafts come from. ``"laws"``: they are drawn from laws that the function is given. ``"point-mass"``:
        from anywhere, each declared as the point mass on itself, which is what it is given as its law.
        ``"without-laws"``: the same drafts, and the function is given None where it takes a law, or nothing where it
        has no such parameter. By default the first, for a function that takes laws of drafts, and else the last.
    vocab_size, window : int
        V and L of the windows it is tried on.
    placeholder : int
        Of ``"padded"``.
    bonus : bool
        False for a function that commits no token beyond the window; it is given L target laws and not L + 1.
    batch_size : int, optional
        Windows a call, for a function that takes a certain number; 0 for one at a time without the batch dimension.
    numpy : bool
        Whether it takes arrays and a ``numpy.random.Generator``, and not tensors and a ``torch.Generator``.
    processor : callable, optional
        From the target laws of a call, Float[B, L + 1, V] in float64, to those that the function verifies against, for
        one that applies a temperature, top-k or top-p by itself, by row or not.
    device : torch.device or str
        Where tensors lie.

    Raises
    ------
    InputError
        If it is not clear what a parameter takes, laws are promised to a function that takes none, or a number is out
        of range.
    UnknownNameError
        If there is no such role, output or origin of drafts.
    """
    return Kernel(
        function,
        arguments=arguments,
        output=output,
        drafts=drafts,
        vocab_size=vocab_size,
        window=window,
        placeholder=placeholder,
        bonus=bonus,
        batch_size=batch_size,
        numpy=numpy,
        processor=processor,
        device=device,
    )
