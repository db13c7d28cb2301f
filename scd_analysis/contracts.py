"""What an audit asks of somebody else's objects: a target model, a subject, a kernel, and what a subject returns.

Each is declared as a Protocol: what it must have, and, in a Protocol of its own, what it may have besides. The
functions ``as_model``, ``as_subject``, ``as_kernel`` and ``as_drawn`` read such an object once and say what it has,
every optional member resolved or None. No other room asks a stranger's object whether it has something.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np

from scd_analysis.common.foreign import attribute, foreign
from scd_analysis.errors import InputError
from scd_analysis.validate import MOST_TOKENS, check_at_least, check_between, check_integer

if TYPE_CHECKING:
    import xarray as xr

_ABSENT = object()

KINDS = ("verify_window", "verify_tree", "target_model")
"""Of which a subject that is judged without a model has one."""

LARGEST = {"vocab_size": 2**31 - 1, "num_tokens": MOST_TOKENS}


class TargetModel(Protocol):
    """The law that a decoder should sample from, token by token."""

    @property
    def vocab_size(self) -> int:
        """V, at least 1."""

    @property
    def num_tokens(self) -> int:
        """N, tokens of a sequence, at least 1."""

    def next_token_probs(self, tokens: Any) -> Any:
        """Return the laws of the next tokens, Long[B, t] -> Float[B, t + 1, V].

        Row k is the law of token k given ``tokens[:, :k]``. The tokens are a tensor where PyTorch is installed, else an
        array; so may the laws be.
        """


class ModelOfImages(TargetModel, Protocol):
    """A target model of images: bets look at the token above, too. It has one of these, or neither."""

    @property
    def grid_width(self) -> int | None:
        """Tokens in a row."""

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns."""


class ModelOfGreedy(TargetModel, Protocol):
    """A target model of point masses that knows which laws they are the largest of; it may be None."""

    @property
    def before_argmax(self) -> TargetModel | None:
        """The laws whose largest probability greedy decoding takes."""


class ModelWithCuts(TargetModel, Protocol):
    """A target model that gives some tokens probability zero, as top-k, top-p and min-p do, and knows by how much."""

    def nats_from_kept(self, tokens: Any, token: int) -> float:
        """Return how many nats the logit of ``token`` after Long[t] lacks to be kept; infinite if it never is."""


class Subject(Protocol):
    """A decoder: any function of this form."""

    def __call__(self, model: Any, num_sequences: int, seed: int, /) -> Any:
        """Draw so many sequences, anew for every seed: Long[num_sequences, N], a trace, or a :class:`Drawn`."""


class SubjectWithMore(Subject, Protocol):
    """What a subject may have besides; any of it may be missing or None."""

    @property
    def target_model(self) -> TargetModel | None:
        """The model that it is judged by where none is given."""

    @property
    def num_available(self) -> int | None:
        """How many sequences it has, where they are stored and end; then nothing is drawn anew."""

    @property
    def vocab_size(self) -> int | None:
        """V, for a subject that is judged without a model."""

    @property
    def num_tokens(self) -> int | None:
        """N, for a subject that is judged without a model."""

    @property
    def brings_its_model(self) -> bool | None:
        """Whether it is called with None for its model."""

    def lacking(self) -> tuple[str, ...]:
        """Return, once it was drawn from, what was to be tested and was not; with any of it nothing passes."""


class Kernel(Protocol):
    """A verification function by itself; it is not called, but handed windows."""

    @property
    def vocab_size(self) -> int:
        """V of the windows."""

    @property
    def window(self) -> int:
        """L, drafts of a window."""

    def verify_window(self, tokens: Any, draft_probs: Any, target_probs: Any, seed: int) -> tuple[Any, Any]:
        """Verify drafts Long[B, L] with laws Float[B, L, V] against Float[B, L + 1, V].

        Returns the tokens committed, Long[B, L + 1], then -1; and how many of them are accepted drafts, Long[B]. A
        kernel that states ``shortest`` is handed the number of drafts of each window too, Long[B].
        """


class KernelWithMore(Kernel, Protocol):
    """What a kernel may have besides."""

    @property
    def point_mass(self) -> bool:
        """Whether every draft is declared as the point mass on itself; False where it does not say."""

    @property
    def shortest(self) -> int | None:
        """The fewest drafts of a window, where their number differs; None where each has L."""

    @property
    def draft_ids(self) -> Any:
        """The tokens that are drafted, Long[D]; None where all are."""

    @property
    def makes_laws(self) -> bool:
        """Whether it makes the target's laws from logits in a way of its own, of which nothing is said."""

    def processed(self, target_probs: Any) -> Any:
        """Return the target laws that it verifies against, given those it is handed; the same where it does not say."""


class TreeKernel(Protocol):
    """A verification function for trees of drafts; it is handed windows."""

    @property
    def vocab_size(self) -> int:
        """V of the windows."""

    @property
    def tree(self) -> Any:
        """The shape of its trees, a :class:`scd_analysis.audit.tree.Tree`."""

    @property
    def drafts(self) -> str:
        """How the drafts of a node's children are drawn."""

    def verify_tree(self, windows: Any, seed: int) -> Any:
        """Verify trees, and return the tokens committed, Long[B, height + 1], then -1."""


class Drawn(Protocol):
    """What a subject may return instead of tokens or a trace: an object with one of them, or with both."""

    @property
    def tokens(self) -> Any:
        """Long[num_sequences, N]."""

    @property
    def trace(self) -> xr.Dataset:
        """A trace of so many sequences."""


@dataclass(frozen=True)
class ModelSeen:
    """A target model, read.

    Attributes
    ----------
    vocab_size, num_tokens : int
    grid_width : int or None
        Tokens in a row of an image.
    next_token_probs : callable
        See :class:`TargetModel`.
    nats_from_kept : callable or None
        See :class:`ModelWithCuts`.
    """

    vocab_size: int
    num_tokens: int
    grid_width: int | None
    next_token_probs: Callable[[Any], Any]
    nats_from_kept: Callable[[Any, int], float] | None


@dataclass(frozen=True)
class SubjectSeen:
    """A subject, read.

    Attributes
    ----------
    is_kernel, is_tree : bool
        Whether it is a verification function by itself, of windows or of trees.
    target_model : TargetModel or None
    num_available : int or None
    vocab_size, num_tokens : int or None
        V and N, where it says them.
    lacking : callable
        See :class:`SubjectWithMore`.
    keeps_count : bool
        Whether it is asked what was lacking, and so must be drawn from in this process.
    brings_its_model : bool
        See :class:`SubjectWithMore`.
    """

    is_kernel: bool
    is_tree: bool
    target_model: Any
    num_available: int | None
    vocab_size: int | None
    num_tokens: int | None
    lacking: Callable[[], tuple[str, ...]]
    keeps_count: bool = False
    brings_its_model: bool = False

    @property
    def is_drawn_anew(self) -> bool:
        """Return whether it is asked for batches: it is neither stored nor a kernel."""
        return self.num_available is None and not (self.is_kernel or self.is_tree)


@dataclass(frozen=True)
class KernelSeen:
    """A kernel, read.

    Attributes
    ----------
    vocab_size, window : int
    point_mass, makes_laws : bool
    shortest : int or None
    draft_ids : Long[D] or None
    verify_window, processed : callable
        See :class:`Kernel` and :class:`KernelWithMore`.
    """

    vocab_size: int
    window: int
    point_mass: bool
    makes_laws: bool
    shortest: int | None
    draft_ids: Any
    verify_window: Callable[..., tuple[Any, Any]]
    processed: Callable[[Any], Any]


def as_model(model: Any, called: str = "model") -> ModelSeen:
    """Read a target model.

    Parameters
    ----------
    model : TargetModel
    called : str
        What it is called in messages.

    Raises
    ------
    InputError
        If it lacks a part of the contract, or raises when it is looked at.
    """
    vocab_size, num_tokens = _size(model, "vocab_size", called), _size(model, "num_tokens", called)
    asked = attribute(model, "next_token_probs", called)
    if not callable(asked):
        raise InputError(f"{called}.next_token_probs is not a method: an audit needs the law of every token")
    of_cuts = attribute(model, "nats_from_kept", called)
    return ModelSeen(vocab_size, num_tokens, _grid_width(model, num_tokens, called), asked, of_cuts)


def before_argmax(model: Any) -> Any:
    """Return the laws that a target model of point masses takes the largest of, a target model; None without.

    Raises
    ------
    InputError
        If it raises when it is looked at.
    """
    return attribute(model, "before_argmax", "model")


def is_model(found: Any, called: str) -> bool:
    """Whether an object can be asked for laws, and so is a target model, whatever else it is.

    Parameters
    ----------
    found : object
    called : str
        What it is called in messages.
    """
    return callable(attribute(found, "next_token_probs", called))


def as_subject(subject: Any, called: str = "subject") -> SubjectSeen:
    """Read a subject; whether it can be called is seen when it is.

    Parameters
    ----------
    subject : Subject
    called : str
        What it is called in messages.

    Raises
    ------
    InputError
        If it raises when it is looked at, or states a number that is none.
    """
    kinds = [attribute(subject, name, called) is not None for name in ("verify_window", "verify_tree")]
    if any(kinds):
        return SubjectSeen(kinds[0], not kinds[0], None, None, None, None, _nothing)
    available = attribute(subject, "num_available", called)
    vocab_size, num_tokens = (attribute(subject, name, called) for name in ("vocab_size", "num_tokens"))
    lacking = attribute(subject, "lacking", called)
    return SubjectSeen(
        False,
        False,
        attribute(subject, "target_model", called),
        None if available is None else check_integer(available, f"{called}.num_available"),
        vocab_size,
        num_tokens,
        lacking if callable(lacking) else _nothing,
        callable(lacking),
        bool(attribute(subject, "brings_its_model", called)),
    )


def _nothing() -> tuple[str, ...]:
    return ()


def brings_its_law(subject: Any) -> bool:
    """Whether a subject is judged without a model from elsewhere: it is a kernel, or says itself whether it has one.

    Raises
    ------
    InputError
        If it raises when it is looked at.
    """
    return any(attribute(subject, name, "subject", _ABSENT) is not _ABSENT for name in KINDS)


def as_kernel(kernel: Any) -> KernelSeen:
    """Read a kernel.

    Raises
    ------
    InputError
        If it lacks a part of the contract, or raises when it is looked at.
    """
    sizes = []
    for name, least in (("vocab_size", 2), ("window", 1)):
        sizes.append(check_integer(attribute(kernel, name, "subject"), f"subject.{name}"))
        check_at_least(sizes[-1], least, f"subject.{name}")
    processed = attribute(kernel, "processed", "subject")
    return KernelSeen(
        sizes[0],
        sizes[1],
        bool(attribute(kernel, "point_mass", "subject")),
        bool(attribute(kernel, "makes_laws", "subject")),
        attribute(kernel, "shortest", "subject"),
        attribute(kernel, "draft_ids", "subject"),
        attribute(kernel, "verify_window", "subject"),
        _as_it_is if processed is None else processed,
    )


def _as_it_is(target_probs: Any) -> Any:
    return target_probs


def as_drawn(returned: Any) -> Any:
    """Return the trace that a subject returned, by itself or as an attribute, or else its tokens, or what they are in.

    A matrix has a method of the name ``trace``, which is none. It may raise whatever a stranger's property does.
    """
    trace = returned if is_trace(returned) else getattr(returned, "trace", None)
    return trace if is_trace(trace) else getattr(returned, "tokens", returned)


def is_trace(value: Any) -> TypeGuard[xr.Dataset]:
    """Whether a value is an xarray dataset, without importing xarray."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(value, xarray.Dataset)


def _size(model: Any, name: str, called: str) -> int:
    value = attribute(model, name, called)
    with foreign(f"{called}.{name} raised"):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise InputError(f"{called}.{name} = {value!r}: a model states it as an integer")
    check_at_least(int(value), 1, f"{called}.{name}")
    check_between(int(value), 1, LARGEST[name], f"{called}.{name}")
    return int(value)


def _grid_width(model: Any, num_tokens: int, called: str) -> int | None:
    width = attribute(model, "grid_width", called)
    if width is None:
        grid = attribute(model, "grid", called)  # (rows, columns)
        width = grid[-1] if isinstance(grid, (tuple, list)) and grid else None
    if isinstance(width, (int, np.integer)) and 1 < width < num_tokens:
        return int(width)
    return None
