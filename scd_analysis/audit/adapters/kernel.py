"""A verification function by itself, called and read in its own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.calls import Roles, Signature
from scd_analysis.audit.adapters.engines import engine_of
from scd_analysis.audit.adapters.handed import Followed, Library, Noise, Seeded
from scd_analysis.audit.adapters.layout import (
    DRAFT_LAWS,
    SLOTS,
    Layout,
    counted,
    draft_vocabulary,
    in_draft_vocabulary,
    request_settings,
    settled_layout,
)
from scd_analysis.audit.adapters.noise import seeded
from scd_analysis.audit.adapters.outputs import BUFFERS, NONE, READERS, Emitted, Window
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.validate import as_laws, check_at_least, check_between, check_known, has_dimensions

ADAPTERS = {"kernel": "kernel"}

ENGINE_ROLES = (*BUFFERS, "rooted_drafts", "final_uniforms", "buffer_of_laws")
"""Of an engine's function that is recognised."""

TREE_ROLES = ("node_index", "first_child", "next_sibling")

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
        "generators": ("rngs", "row_generators", "request_generators"),
        "seed": ("random_seed",),
        "lengths": ("draft_lengths", "draft_lens", "window_lengths", "num_drafts"),
        "length_list": ("num_draft_tokens",),
        "cumulative_lengths": ("cu_num_draft_tokens", "cu_num_drafts", "cumulative_draft_lengths"),
        "boundaries": ("cu_seqlens", "draft_boundaries"),
        "longest": ("max_spec_len", "max_draft_len"),
        "settings": ("sampling_metadata",),
        "draft_to_target": ("draft_to_target_ids", "hot_token_ids", "hot_token_id"),
        "draft_to_target_offsets": ("d2t",),
        "draft_vocab_tokens": (),
        **dict.fromkeys((*ENGINE_ROLES, *TREE_ROLES), ()),
    },
    ("draft_tokens", "draft_probs", "target_probs", "generator"),
)  # fmt: skip
"""What a verification function can be given: Long[B, L], Float[B, L, V] twice, Float[B, L + 1, V] twice, the same with
its name, Long[B, 1] drawn from the last target row, Float[B, L + 1], a generator, one a row, an integer, and what
belongs to windows of several lengths, to requests and to the draft's own vocabulary."""


DRAFTS = ("laws", "point-mass", "without-laws")

WHOLE = ("generator", "seed", "draft_to_target", "draft_to_target_offsets")
"""Roles that do not go by row."""

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
    shortest : int or None
        The fewest drafts of a window; None where each has L.
    draft_ids : Long[D] or None
        The tokens that are drafted, where they are not all.
    batch_size : int or None
        Windows a call; 0 for one without a batch dimension.
    makes_laws : bool
        Whether it makes the target's laws from logits in its own way, of which nothing is said.
    has_bonus : bool
        Whether a window accepted whole commits one token more.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        arguments: Any,
        output: str | None,
        drafts: str | None,
        vocab_size: int,
        window: int,
        placeholder: int,
        bonus: bool,
        batch_size: int | None,
        library: Library,
        processor: Callable[[Floats], Any] | None,
        layout: str | None,
        shortest: int | None,
        padding: int,
        draft_to_target: Sequence[int] | None,
        settings: Callable[[int], Any] | None,
    ) -> None:
        engine = engine_of(function) if callable(function) and arguments is None else None
        known = {} if engine is None else engine.roles
        leaves = () if engine is None else engine.leaves
        self._signature = ROLES.signature(function, arguments, known=known, leaves=leaves)
        roles = self._signature.roles
        _refuse_tree(roles)
        output = output or ("tokens+counts" if engine is None else engine.output)
        check_known(output, READERS, "output")
        self._drafts = _settled(drafts, self._signature)
        self.point_mass = self._drafts != "laws"
        check_at_least(vocab_size, 2, "vocab_size")
        check_at_least(window, 1, "window")
        if batch_size is not None:
            check_at_least(batch_size, 0, "batch_size")
        self._layout = Layout(settled_layout(layout, roles), window, padding)
        fewest = 0 if bonus else 1
        shortest = fewest if shortest is None else shortest
        check_between(shortest, fewest, window, "shortest")
        self.shortest = None if self._layout.name == "rows" else shortest
        given_laws = processor is not None or "target_logits" not in roles or "target_probs" in roles
        self.makes_laws = not given_laws and batch_size is None
        self.draft_ids = draft_vocabulary(draft_to_target, vocab_size, roles)
        self.function, self._read, self._library, self._processor = function, READERS[output], library, processor
        self._placeholder, self.has_bonus, self.batch_size, self._settings = placeholder, bonus, batch_size, settings
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
        found = as_laws(self._processor(target_probs.copy()), "processor(target_probs)")
        if found.shape != target_probs.shape:
            raise InputError(f"processor(target_probs) has shape {found.shape}: expected {target_probs.shape}")
        return found

    def verify_window(
        self, tokens: Longs, draft_probs: Floats, target_probs: Floats, seed: int, lengths: Longs | None = None
    ) -> Emitted:
        """Have windows verified.

        Parameters
        ----------
        tokens : Long[B, L]
        draft_probs, target_probs : Float[B, L, V], Float[B, L + 1, V]
        seed : int
            Of the function's noise.
        lengths : Long[B], optional
            How many drafts each window has; by default all L.

        Returns
        -------
        tuple of (Long[B, L + 1], Long[B])
            The tokens committed, then -1; and how many of them are accepted drafts.

        Raises
        ------
        InputError
            If what comes back has another form.
        """
        lengths = np.full(len(tokens), self.window) if lengths is None else lengths
        size = len(tokens) if self.batch_size is None else max(self.batch_size, 1)
        noise = Seeded(seed, self._library)
        given = self._given(tokens, draft_probs, target_probs, lengths, noise, self._library)
        with seeded(seed):
            parts = [
                self._verify(given, tokens, lengths, slice(start, start + size))
                for start in range(0, len(tokens), size)
            ]
        emitted, accepted = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        self._check_plausible(tokens, emitted, lengths)
        return emitted, accepted

    def verify_followed(self, tokens: Longs, draft_probs: Floats, target_probs: Floats, lengths: Longs) -> Emitted:
        """Have the windows of one call verified while its random choices are followed; laws are float64.

        Parameters
        ----------
        tokens, draft_probs, target_probs, lengths
            As of :meth:`verify_window`.
        """
        library = replace(self._library, dtype=np.float64)
        given = self._given(tokens, draft_probs, target_probs, lengths, Followed(library), library)
        return self._verify(given, tokens, lengths, slice(0, len(tokens)), followed=True)

    def _check_plausible(self, tokens: Longs, emitted: Longs, lengths: Longs) -> None:
        """See what would be read wrongly if the function's form was not stated right."""
        counts = (emitted >= 0).sum(axis=1)
        behind = np.arange(self.window) >= lengths[:, None]
        whole = ((emitted[:, : self.window] == tokens) | behind).all(axis=1) & (counts == lengths) & (counts > 0)
        if self.has_bonus and whole.mean() > FEW and (counts <= lengths).all():
            raise InputError(
                f"kernel: window {int(whole.argmax())} commits its {self.window} drafts and no bonus token, and no "
                "window more; where that is meant, pass bonus=False"
            )
        if self._read is READERS["padded"] and len(tokens) >= MANY and (counts > self.window).all():
            raise InputError(
                f"kernel's tokens: none of {len(tokens)} rows ends with the placeholder {self._placeholder}; pass the "
                "one that is used, or, if every draft is accepted, have counts returned too, as output='tokens+counts'"
            )

    def _verify(
        self, given: dict[str, Any], tokens: Longs, lengths: Longs, rows: slice, *, followed: bool = False
    ) -> Emitted:
        """Call the function with some windows, and read what it returns."""
        alone, own = self.batch_size == 0, lengths[rows]
        values = {role: value if role in WHOLE or value is None else value[rows] for role, value in given.items()}
        values = self._layout.lay_out(values, own)
        if alone:
            there = (*WHOLE, *SLOTS) if self._layout.name == "flat" else WHOLE
            values = {role: value if role in there or value is None else value[0] for role, value in values.items()}
        values |= self._of_call(own, given["generators"][rows])
        returned = self._signature.call(self.function, values)
        if self._read is READERS["buffers"]:
            returned = tuple(values[role] for role in BUFFERS)
        if followed:
            returned = looked_at(returned)
        window = Window(tokens[rows], self.vocab_size, self._placeholder, self.has_bonus, own)
        return self._read(with_batch(returned, self._read is READERS["list"]) if alone else returned, window)

    def _of_call(self, lengths: Longs, generators: list[Any]) -> dict[str, Any]:
        """What belongs to a call as a whole, by role: how long windows are, settings of requests, buffers."""
        library, roles, num_rows, nodes = self._library, self._signature.roles, len(lengths), self.window + 1
        found = counted(lengths)
        for name in ("lengths", "cumulative_lengths", "boundaries"):
            found[name] = library.array(found[name])
        if "settings" in roles:
            own = request_settings(num_rows, generators, lambda size: library.full((size,), 1.0))
            found["settings"] = own if self._settings is None else self._settings(num_rows)
        if "predicts" in roles:
            found["predicts"] = library.full((num_rows * nodes,), NONE)
            found["accept_index"] = library.full((num_rows, nodes), NONE)
            found["accept_token_num"] = library.full((num_rows,), 0)
            found["buffer_of_laws"] = library.full((num_rows, nodes, self.vocab_size), 0.0)
        return found

    def _given(
        self,
        tokens: Longs,
        draft_probs: Floats,
        target_probs: Floats,
        lengths: Longs,
        noise: Noise,
        library: Library,
    ) -> dict[str, Any]:
        """Lay out, for every role, what a function is given."""
        roles, num_rows = self._signature.roles, len(tokens)
        uniforms = noise.uniforms((num_rows, self.window + 1))
        bonus = noise.picked(target_probs[np.arange(num_rows), lengths])
        short = not self.has_bonus or "bonus_tokens" in roles
        own = target_probs[:, : self.window] if short else target_probs
        with np.errstate(divide="ignore"):
            arrays = {
                "draft_tokens": tokens.copy(),
                "draft_probs": draft_probs,
                "draft_logits": np.log(draft_probs),
                "target_probs": own,
                "target_logits": np.log(own),
                "target_with_bonus_probs": target_probs,
                "rooted_drafts": np.pad(tokens, ((0, 0), (1, 0))),
                "bonus_tokens": bonus[:, None],
            }
        if self.draft_ids is not None:
            arrays = in_draft_vocabulary(arrays, self.draft_ids, roles)
        unknown = dict.fromkeys(DRAFT_LAWS) if self._drafts == "without-laws" else {}
        placed = {name: library.array(array) for name, array in arrays.items()}
        final = noise.uniforms((num_rows,)) if "final_uniforms" in roles else None
        each = "generators" in roles or "settings" in roles
        generators = noise.generators(num_rows) if each else [None] * num_rows
        return {**placed, **unknown, "uniforms": uniforms, "final_uniforms": final, "generators": generators,
                "generator": noise.generator(), "seed": noise.seed}  # fmt: skip


def _refuse_tree(roles: tuple[str, ...]) -> None:
    if any(role in roles for role in TREE_ROLES):
        raise InputError(
            "kernel: the function takes a tree of drafts; make a subject of it with "
            "subjects.tree_kernel(function, tree=[...], drafts=...)"
        )


def looked_at(returned: Any) -> Any:
    """What an enumerated function returned, as plain numbers: each choice that is open is made here."""
    if isinstance(returned, (tuple, list)):
        parts = [looked_at(part) for part in returned]
        return tuple(parts) if isinstance(returned, tuple) else parts
    return np.array(returned.tolist()) if hasattr(returned, "tolist") else returned


def _settled(drafts: str | None, signature: Signature) -> str:
    """Choose where drafts come from, by what the function takes if it is not said."""
    takes_laws = any(role in signature.roles for role in DRAFT_LAWS)
    if drafts is None:
        return "laws" if takes_laws else "without-laws"
    check_known(drafts, DRAFTS, "drafts")
    if drafts != "without-laws" and not takes_laws:
        raise InputError(
            f"drafts = {drafts!r}: none of the function's parameters takes {' or '.join(DRAFT_LAWS)}; a function that "
            "never sees the laws of its drafts can only be right for point masses, which is drafts='without-laws'"
        )
    return drafts


def with_batch(returned: Any, is_list: bool) -> Any:
    """Give what was returned for one window a leading dimension."""
    if is_list:
        return [returned]
    if isinstance(returned, (tuple, list)):
        return tuple(with_batch(part, False) for part in returned)
    return returned[None] if has_dimensions(returned) else np.asarray(returned)[None]


def kernel(
    function: Callable[..., Any],
    *,
    arguments: Any = None,
    output: str | None = None,
    drafts: str | None = None,
    vocab_size: int = 6,
    window: int = 4,
    placeholder: int = -1,
    bonus: bool = True,
    batch_size: int | None = None,
    numpy: bool = False,
    processor: Callable[[Floats], Any] | None = None,
    device: Any = "cpu",
    layout: str | None = None,
    shortest: int | None = None,
    padding: int = -1,
    draft_to_target: Sequence[int] | None = None,
    settings: Callable[[int], Any] | None = None,
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
        ``target_probs`` Float[B, L, V] or ``target_with_bonus_probs`` Float[B, L + 1, V]. Of windows of several
        lengths: ``lengths`` Long[B], ``length_list`` the same as a list, ``cumulative_lengths`` their running sum
        Long[B], ``boundaries`` the same with a 0 before it, ``longest`` an integer. Of requests: ``generators``, a list
        of one a row, and ``settings``, an object such as a ``sampling_metadata``. Of a draft with a vocabulary of its
        own: ``draft_to_target``, the target's id of each of its D numbers, or ``draft_to_target_offsets``, how much is
        to be added to the number; draft laws are then Float[B, L, D]; drafts are ids of the target, or, as
        ``draft_vocab_tokens``, numbers of the draft. The interfaces of vLLM's ``rejection_sample``, SGLang's
        ``chain_speculative_sampling_target_only`` and FlashInfer's ``chain_speculative_sampling`` are recognised.
    output : str, optional
        What it returns; by default what a recognised interface does, else the first. ``"tokens+counts"``: Long[B, at
        most L + 1] and how many of each row are committed;
        ``"tokens+accepted"``: the same tokens and how many drafts were accepted, Long[B], or a mask Bool[B, L];
        ``"padded"``: tokens that end with placeholders; ``"accepted+bonus"``: accepted drafts as above, and the token
        that follows them, Long[B] or one a position, and the bonus token if it comes apart; ``"list"``: one list of
        committed tokens a window; ``"buffers"``: nothing, SGLang's three buffers are filled.
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
    layout : str, optional
        ``"rows"``: every window has L drafts. ``"padded"``: windows of several lengths, each a row, ``padding`` behind
        its last draft and laws of zero there. ``"flat"``: they lie end to end, drafts Long[sum of lengths], draft laws
        Float[sum of lengths, V], and target laws with a row more for each window unless it is handed bonus tokens. By
        default flat for a function that takes running sums of lengths, rows for one that takes no lengths.
    shortest : int, optional
        The fewest drafts of a window, where they differ in length; by default none, or one without bonus tokens.
    padding : int
        Behind the last draft of padded windows.
    draft_to_target : sequence of int, optional
        Ids of the target that are drafted: the draft's vocabulary, in its order. By default all, or, for a function
        that takes a map, all but every third.
    settings : callable, optional
        From the number of rows of a call to the object that a function takes as ``settings``; by default plain
        requests, of which every second has a generator of its own.

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
        library=Library(numpy, device),
        processor=processor,
        layout=layout,
        shortest=shortest,
        padding=padding,
        draft_to_target=draft_to_target,
        settings=settings,
    )
