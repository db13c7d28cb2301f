"""A verification function for trees of drafts by itself, called and read in its own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.calls import Roles
from scd_analysis.audit.adapters.engines import engine_of
from scd_analysis.audit.adapters.handed import Followed, Library, Noise, Seeded
from scd_analysis.audit.adapters.kernel import ENGINE_ROLES, TREE_ROLES, looked_at, with_batch
from scd_analysis.audit.adapters.kernel import ROLES as CHAIN
from scd_analysis.audit.adapters.noise import seeded
from scd_analysis.audit.adapters.outputs import BUFFERS, NONE, READERS, Window, accepted_nodes
from scd_analysis.audit.tree import TreeWindows, as_tree, check_drafts
from scd_analysis.evidence.batch import Longs
from scd_analysis.validate import check_at_least, check_known

ADAPTERS = {"tree-kernel": "tree_kernel"}

_SHARED = ("draft_tokens", "draft_probs", "draft_logits", "target_probs", "target_logits", "uniforms", "generator",
           "generators", "seed", *ENGINE_ROLES, *TREE_ROLES)  # fmt: skip

ROLES = Roles(
    "kernel",
    {
        **{role: CHAIN.names[role] for role in _SHARED},
        "children_probs": ("child_probs", "children_draft_probs"),
        "parents": ("tree", "parent", "tree_parents", "parent_ids"),
    },
    CHAIN.default,
)
"""What a function for trees can be given: Long[B, n], Float[B, n, V] and Float[B, n + 1, V], variates Float[B, n + 1],
generators, and the tree: Long[n], or as first children and next siblings Long[B, n + 1]."""

WHOLE = ("generator", "seed", "parents")

OUTPUTS = ("tokens+counts", "tokens+accepted", "padded", "list", "nodes+token", "buffers")


class TreeKernel:
    """See :func:`tree_kernel`.

    Attributes
    ----------
    vocab_size : int
        V of the windows it is tried on.
    tree : Tree
    drafts : str
        How drafts are drawn.
    batch_size : int or None
        Windows a call; 0 for one without a batch dimension.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        tree: Any,
        drafts: str,
        arguments: Any,
        output: str | None,
        vocab_size: int,
        placeholder: int,
        batch_size: int | None,
        library: Library,
    ) -> None:
        engine = engine_of(function) if callable(function) and arguments is None else None
        self._signature = ROLES.signature(function, arguments, known={} if engine is None else engine.roles)
        output = output or ("tokens+counts" if engine is None else engine.output)
        check_known(output, OUTPUTS, "output")
        check_at_least(vocab_size, 2, "vocab_size")
        if batch_size is not None:
            check_at_least(batch_size, 0, "batch_size")
        self.tree, self.drafts, self.vocab_size, self.batch_size = as_tree(tree), drafts, vocab_size, batch_size
        check_drafts(drafts, self.tree, vocab_size)
        self.function, self._output, self._placeholder, self._library = function, output, placeholder, library

    def verify_tree(self, windows: TreeWindows, seed: int) -> Longs:
        """Have windows verified.

        Returns
        -------
        Long[B, D + 1]
            The tokens committed, then -1.

        Raises
        ------
        InputError
            If what comes back has another form.
        """
        count = len(windows.tokens)
        size = count if self.batch_size is None else max(self.batch_size, 1)
        given = self._given(windows, Seeded(seed, self._library), self._library)
        with seeded(seed):
            parts = [self._verify(given, windows.tokens, slice(start, start + size)) for start in range(0, count, size)]
        return np.concatenate(parts)

    def verify_followed(self, windows: TreeWindows) -> Longs:
        """Have the windows of one call verified while its random choices are followed; laws are float64."""
        library = replace(self._library, dtype=np.float64)
        given = self._given(windows, Followed(library), library)
        return self._verify(given, windows.tokens, slice(0, len(windows.tokens)), followed=True)

    def _verify(self, given: dict[str, Any], tokens: Longs, rows: slice, *, followed: bool = False) -> Longs:
        """Call the function with some windows, and read what it returns."""
        alone, own = self.batch_size == 0, tokens[rows]
        values = {role: value if role in WHOLE or value is None else value[rows] for role, value in given.items()}
        if alone:
            values = {role: value if role in WHOLE or value is None else value[0] for role, value in values.items()}
        values |= self._filled(len(own))
        returned = self._signature.call(self.function, values)
        if self._output == "buffers":
            returned = tuple(values[role] for role in BUFFERS)
        if followed:
            returned = looked_at(returned)
        if alone:
            returned = with_batch(returned, self._output == "list")
        nodes = np.zeros((len(own), self.tree.height), dtype=np.int64)
        window = Window(nodes, self.vocab_size, self._placeholder, bonus=True)
        if self._output == "nodes+token":
            return accepted_nodes(returned, own, self.tree, window)
        return READERS[self._output](returned, window)[0]

    def _filled(self, num_rows: int) -> dict[str, Any]:
        """Buffers that a recognised interface fills."""
        if self._output != "buffers":
            return {}
        library, nodes = self._library, len(self.tree) + 1
        return {
            "predicts": library.full((num_rows * nodes,), NONE),
            "accept_index": library.full((num_rows, self.tree.height + 1), NONE),
            "accept_token_num": library.full((num_rows,), 0),
            "buffer_of_laws": library.full((num_rows, nodes, self.vocab_size), 0.0),
        }

    def _given(self, windows: TreeWindows, noise: Noise, library: Library) -> dict[str, Any]:
        """Lay out, for every role, what a function is given."""
        tree, (num_rows, size), roles = self.tree, windows.tokens.shape, self._signature.roles
        draft, target = windows.draft_probs(tree), windows.target_probs(tree)
        if self.drafts == "top-k":
            draft = (np.arange(self.vocab_size) == windows.tokens[..., None]).astype(np.float64)
        whole = np.ones((num_rows, 1), dtype=np.int64)
        with np.errstate(divide="ignore"):
            arrays = {
                "draft_tokens": windows.tokens.copy(),
                "draft_probs": draft,
                "draft_logits": np.log(draft),
                "children_probs": windows.children_probs(tree),
                "target_probs": target,
                "target_logits": np.log(target),
                "parents": np.array(tree.parents),
                "rooted_drafts": np.pad(windows.tokens, ((0, 0), (1, 0))),
                "node_index": np.arange(num_rows * (size + 1)).reshape(num_rows, -1),
                "first_child": whole * tree.first_children,
                "next_sibling": whole * tree.next_siblings,
            }
        placed = {name: library.array(array) for name, array in arrays.items()}
        if self.drafts == "no-q":
            placed |= dict.fromkeys(("draft_probs", "draft_logits", "children_probs"))
        each = "generators" in roles
        return {
            **placed,
            "uniforms": noise.uniforms((num_rows, size + 1)),
            "final_uniforms": noise.uniforms((num_rows,)),
            "generators": noise.generators(num_rows) if each else [None] * num_rows,
            "generator": noise.generator(),
            "seed": noise.seed,
        }


def tree_kernel(
    function: Callable[..., Any],
    tree: Sequence[int],
    drafts: str = "independent",
    *,
    arguments: Any = None,
    output: str | None = None,
    vocab_size: int = 6,
    placeholder: int = -1,
    batch_size: int | None = None,
    numpy: bool = False,
    device: Any = "cpu",
) -> TreeKernel:
    """Make a subject of a verification function for trees of drafts, or for several drafts a position.

    It is judged by the law of what it commits, so every exact rule stands: recursive rejection, a target that is
    sampled and followed, whatever else.

    Parameters
    ----------
    function : callable
        Given a draft for each node of a tree, and laws, it says what is committed: the drafts of a path from the root,
        then one token more. Which parameter takes what is read off their names, as for
        :func:`scd_analysis.subjects.kernel`.
    tree : sequence of int
        The parent of each node: ``tree[i] < i``, or -1 for a child of the root. The root, in front of node 0, holds no
        draft. Two drafts for one position are ``[-1, -1]``, a chain of three is ``[-1, 0, 1]``.
    drafts : str
        ``"independent"``: the children of a node are drawn from one law, with replacement, so that two may be equal.
        ``"without-replacement"``: the second child from the same law without the first, normalised, and so on; the
        function is given the law that the first was drawn from. ``"top-k"``: the most probable tokens of some law, most
        probable first, each declared as the point mass on itself. ``"no-q"``: different tokens from anywhere; a
        function that has a parameter for their laws is given None.
    arguments : sequence of str, or mapping of str to str, optional
        Roles in the order of its positional parameters, or parameter to role, where names do not say it:
        ``draft_tokens`` Long[B, n], of n nodes; ``draft_probs`` Float[B, n, V], the law that the draft's parent had its
        children drawn from, ``children_probs`` Float[B, n + 1, V], the same by parent, the root first and uniform where
        there is no child, and ``draft_logits``; ``target_probs`` or ``target_logits`` Float[B, n + 1, V], row 0 after
        the root and row i + 1 after node i; ``parents`` Long[n], the tree; ``uniforms`` Float[B, n + 1]; ``generator``,
        ``generators``, ``seed``. The interface of SGLang's ``tree_speculative_sampling_target_only`` is recognised.
    output : str, optional
        What it returns, with D the height of the tree. ``"tokens+counts"``, by default: Long[B, at most D + 1] and how
        many of each row are committed; ``"tokens+accepted"``: the same, and how many drafts were accepted;
        ``"padded"``: tokens that end with placeholders; ``"list"``: a list of committed tokens a window;
        ``"nodes+token"``: the accepted nodes, Long[B, D] with -1 behind the last, and the token that follows them,
        Long[B]; ``"buffers"``: SGLang's.
    vocab_size : int
        V of the windows it is tried on.
    placeholder : int
        Of ``"padded"``.
    batch_size : int, optional
        Windows a call; 0 for one at a time without the batch dimension.
    numpy : bool
        Whether it takes arrays and a ``numpy.random.Generator``, and not tensors and a ``torch.Generator``.
    device : torch.device or str
        Where tensors lie.

    Raises
    ------
    InputError
        If the tree is none, it is not clear what a parameter takes, or a number is out of range.
    UnknownNameError
        If there is no such role, output or kind of drafts.

    References
    ----------
    Miao et al.: SpecInfer, ASPLOS 2024 (arXiv:2305.09781), several drafts a position. Jeon et al.: Recursive
    speculative decoding (arXiv:2402.14160), without replacement.
    """
    return TreeKernel(
        function,
        tree=tree,
        drafts=drafts,
        arguments=arguments,
        output=output,
        vocab_size=vocab_size,
        placeholder=placeholder,
        batch_size=batch_size,
        library=Library(numpy, device),
    )
