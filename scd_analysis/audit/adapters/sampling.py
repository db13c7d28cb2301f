"""How an engine samples, stated once: for the request that asks for it, and for the law that it should have.

What engines do differently is data (:class:`Convention`): what a setting is called in a request, in which order logits
are processed, over which tokens penalties count, and what it means that the end of a sequence is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.engine_seeds import SEEDS
from scd_analysis.common.foreign_json import shown
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.validate import check_known

PENALTIES = ("repetition_penalty", "presence_penalty", "frequency_penalty")
STEPS = ("allowed_tokens", "logit_bias", "penalties", "temperature", "min_p", "top_k", "top_p")


@dataclass(frozen=True)
class Sampling:
    """Settings of a sampler; the defaults sample from the model's own law.

    Attributes
    ----------
    temperature : float
        Above zero, or zero for the most probable token.
    top_k : int
        Tokens that are kept; zero keeps all.
    top_p : float
        The most probable tokens that have so much probability together are kept; one keeps all.
    min_p : float
        Tokens are kept that have this share of the largest probability.
    repetition_penalty : float
        Positive logits of tokens that came are divided by it, others multiplied.
    presence_penalty, frequency_penalty : float
        Taken off the logit of a token that came; the second for each time.
    logit_bias : tuple of (int, float)
        Added to logits of tokens; a mapping is taken too.
    allowed_tokens : tuple of int or None
        All others are impossible.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    allowed_tokens: tuple[int, ...] | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any] | Sampling | None) -> Sampling:
        """Check settings by name.

        Raises
        ------
        InputError
            Naming a setting that is not known, or whose value is none.
        """
        if isinstance(settings, Sampling):
            return settings
        if settings is not None and not isinstance(settings, Mapping):
            raise InputError(f"sampling = {shown(settings)}: expected a mapping of settings")
        given = dict(settings or {})
        known = {field.name for field in fields(cls)}
        for name in given:
            check_known(name, sorted(known), "sampling")
        if isinstance(given.get("logit_bias"), Mapping):
            given["logit_bias"] = tuple(given["logit_bias"].items())
        return cls(**given)

    def __post_init__(self) -> None:
        """Check every value.

        Raises
        ------
        InputError
            Naming the setting and its value.
        """
        numbers = {
            "temperature": (0, 100),
            "top_p": (1e-9, 1),
            "min_p": (0, 1),
            "repetition_penalty": (1e-3, 1e3),
            "presence_penalty": (-100, 100),
            "frequency_penalty": (-100, 100),
        }
        for name, (low, high) in numbers.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise InputError(f"sampling[{name!r}] = {shown(value)}: must be a number between {low:g} and {high:g}")
        _check_token(self.top_k, "sampling['top_k']")
        bias = [_pair(entry, f"sampling['logit_bias'][{i}]") for i, entry in enumerate(self.logit_bias)]
        object.__setattr__(self, "logit_bias", tuple(bias))
        if self.allowed_tokens is not None:
            allowed = tuple(
                _check_token(token, f"sampling['allowed_tokens'][{i}]") for i, token in enumerate(self.allowed_tokens)
            )
            if not allowed:
                raise InputError("sampling['allowed_tokens'] = (): allows no token")
            object.__setattr__(self, "allowed_tokens", allowed)

    @property
    def needs_logits(self) -> bool:
        """Whether probabilities do not suffice: a repetition penalty looks at the sign of a logit."""
        return self.repetition_penalty != 1


def _check_token(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**31:
        raise InputError(f"{name} = {shown(value)}: must be a whole number, 0 or more")
    return int(value)


def _pair(entry: Any, name: str) -> tuple[int, float]:
    if not isinstance(entry, (tuple, list)) or len(entry) != 2:
        raise InputError(f"{name} = {shown(entry)}: expected a token and a number")
    token, bias = entry
    if isinstance(bias, bool) or not isinstance(bias, (int, float)) or not math.isfinite(bias):
        raise InputError(f"{name} = {shown(entry)}: expected a token and a finite number")
    return _check_token(token, name), float(bias)


@dataclass(frozen=True)
class Convention:
    """How one engine does it.

    Attributes
    ----------
    name : str
    fields : mapping of str to str
        What a setting is called in a request; one that is missing is not known to the engine.
    order : tuple of str
        In which order logits are processed.
    always : mapping of str to value
        What is sent with every request, so that no other default of the engine's counts.
    names_tokens : bool
        Whether biases are an object whose keys are tokens; else a list of pairs.
    counts_prompt : frozenset of str
        Penalties that count the tokens of the prompt too.
    bans_end : bool
        Whether ignoring the end of a sequence makes its token impossible; else it is drawn, and the sequence goes on.
    looks_back : str or None
        The field that says over how many tokens penalties count, where a request must say it.
    raises_negative : bool
        Whether presence and frequency penalties are added to a negative logit, where others take them off.
    greedy : mapping of str to value
        What is sent in the place of a temperature of zero, where that is none.
    seeds : int
        How many it takes, from zero.
    """

    name: str
    fields: Mapping[str, str]
    order: tuple[str, ...]
    always: Mapping[str, Any]
    names_tokens: bool
    counts_prompt: frozenset[str]
    bans_end: bool
    looks_back: str | None = None
    raises_negative: bool = False
    greedy: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = SEEDS

    def request(self, sampling: Sampling, length: int) -> dict[str, Any]:
        """Return the settings as a request has them; all are sent, so that no default of the engine's counts.

        Parameters
        ----------
        sampling : Sampling
        length : int
            Tokens of the prompt and a sequence together.

        Raises
        ------
        InputError
            If a setting is used that the engine does not know.
        """
        out = dict(self.always)
        if self.looks_back is not None:
            out[self.looks_back] = length
        for setting in fields(sampling):
            value = getattr(sampling, setting.name)
            is_used = value != setting.default
            key = self.fields.get(setting.name)
            if key is None and is_used:
                raise InputError(f"sampling[{setting.name!r}] = {shown(value)}: {self.name} has no such setting")
            if setting.name == "temperature" and value == 0 and self.greedy:
                out |= self.greedy
            elif setting.name == "logit_bias":
                if is_used and key is not None:
                    out[key] = {str(k): v for k, v in value} if self.names_tokens else [list(pair) for pair in value]
            elif key is not None and value is not None:
                out[key] = list(value) if setting.name == "allowed_tokens" else value
        return out


_COMMON = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logit_bias": "logit_bias",
}
OPENAI = Convention(
    name="an OpenAI-style server",
    fields={**_COMMON, "repetition_penalty": "repetition_penalty", "allowed_tokens": "allowed_token_ids"},
    order=STEPS,
    always={"ignore_eos": True, "return_token_ids": True},
    names_tokens=True,
    counts_prompt=frozenset({"repetition_penalty"}),
    bans_end=False,
)
LLAMA_CPP = Convention(
    name="llama.cpp",
    fields={**_COMMON, "repetition_penalty": "repeat_penalty"},
    order=("logit_bias", "penalties", "top_k", "top_p", "min_p", "temperature"),
    always={
        "ignore_eos": True,
        "return_tokens": True,
        "cache_prompt": False,
        "samplers": ["penalties", "top_k", "top_p", "min_p", "temperature"],
    },
    names_tokens=False,
    counts_prompt=frozenset(PENALTIES),
    bans_end=True,
    looks_back="repeat_last_n",
)


OPENVINO = Convention(
    name="OpenVINO GenAI",
    fields={name: name for name in ("temperature", "top_k", "top_p", "min_p", *PENALTIES)},
    order=("penalties", "top_k", "temperature", "min_p", "top_p"),
    always={"do_sample": True, "ignore_eos": True},
    names_tokens=False,
    counts_prompt=frozenset({"repetition_penalty"}),
    bans_end=False,
    raises_negative=True,
    greedy={"do_sample": False},
)
ONNX_GENAI = Convention(
    name="ONNX Runtime GenAI",
    fields={name: name for name in ("temperature", "top_k", "top_p", "repetition_penalty")},
    order=("penalties", "top_k", "temperature", "top_p"),
    always={"do_sample": True},
    names_tokens=False,
    counts_prompt=frozenset({"repetition_penalty"}),
    bans_end=True,
    greedy={"do_sample": False},
    seeds=2**31 - 1,
)


def target_laws(
    logits: Floats, tokens: Longs, prompt: Longs, sampling: Sampling, convention: Convention, ends: tuple[int, ...]
) -> Floats:
    """Return Float[S, T, V], the laws that a sampler draws from.

    Parameters
    ----------
    logits : Float[S, T, V]
        The model's own, after the prompt and the first 0 ... T - 1 of ``tokens``.
    tokens : Long[S, T - 1]
    prompt : Long[P]
    sampling, convention
        See there.
    ends : tuple of int
        End-of-sequence tokens.
    """
    out = np.array(logits, dtype=np.float64)
    if convention.bans_end and ends:
        out[..., list(ends)] = -np.inf
    for step in convention.order:
        out = _STEPS[step](out, sampling, tokens, prompt, convention)
    out -= out.max(axis=-1, keepdims=True)
    laws = np.exp(out)
    return np.asarray(laws / laws.sum(axis=-1, keepdims=True))


def _probs(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def _allow(logits: Floats, sampling: Sampling, *_: Any) -> Floats:
    if sampling.allowed_tokens is None:
        return logits
    out = np.full_like(logits, -np.inf)
    allowed = list(sampling.allowed_tokens)
    out[..., allowed] = logits[..., allowed]
    return out


def _bias(logits: Floats, sampling: Sampling, *_: Any) -> Floats:
    for token, bias in sampling.logit_bias:
        logits[..., token] += bias
    return logits


def _penalise(logits: Floats, sampling: Sampling, tokens: Longs, prompt: Longs, convention: Convention) -> Floats:
    if all(getattr(sampling, name) == getattr(Sampling(), name) for name in PENALTIES):
        return logits
    counted = {
        name: _counts(tokens, prompt if name in convention.counts_prompt else prompt[:0], logits.shape)
        for name in PENALTIES
    }
    scale = np.where(logits > 0, 1 / sampling.repetition_penalty, sampling.repetition_penalty)
    logits = np.where(counted["repetition_penalty"] > 0, logits * scale, logits)
    off = sampling.presence_penalty * (counted["presence_penalty"] > 0)
    logits = logits - off * _towards(logits, convention)
    off = sampling.frequency_penalty * counted["frequency_penalty"]
    return np.asarray(logits - off * _towards(logits, convention))


def _towards(logits: Floats, convention: Convention) -> Floats | int:
    """Return -1 where a penalty raises a logit, else 1."""
    return np.where(logits < 0, -1, 1) if convention.raises_negative else 1


def _counts(tokens: Longs, before: Longs, shape: tuple[int, ...]) -> Floats:
    """How often each token came before each place, Float[S, T, V]."""
    out = np.zeros(shape)
    out[:, 0] = np.bincount(before, minlength=shape[-1])
    rows = np.arange(len(tokens))
    for j in range(tokens.shape[1]):
        out[:, j + 1] = out[:, j]
        out[rows, j + 1, tokens[:, j]] += 1
    return out


def _heat(logits: Floats, sampling: Sampling, *_: Any) -> Floats:
    if sampling.temperature > 0:
        return np.asarray(logits / sampling.temperature)
    best = logits.argmax(axis=-1)
    out = np.full_like(logits, -np.inf)
    np.put_along_axis(out, best[..., None], 0.0, axis=-1)
    return out


def _cut_min_p(logits: Floats, sampling: Sampling, *_: Any) -> Floats:
    if sampling.min_p == 0:
        return logits
    return np.where(logits < logits.max(axis=-1, keepdims=True) + math.log(sampling.min_p), -np.inf, logits)


def _cut_top_k(logits: Floats, sampling: Sampling, *_: Any) -> Floats:
    if not 0 < sampling.top_k < logits.shape[-1]:
        return logits
    least = np.partition(logits, -sampling.top_k, axis=-1)[..., -sampling.top_k, None]
    return np.where(logits < least, -np.inf, logits)


def _cut_top_p(logits: Floats, sampling: Sampling, *_: Any) -> Floats:
    """Keep the fewest tokens that have so much together, the one that reaches it included."""
    if sampling.top_p == 1:
        return logits
    order = np.argsort(-logits, axis=-1, kind="stable")
    ordered = np.take_along_axis(_probs(logits), order, axis=-1)
    dropped = ordered.cumsum(axis=-1) - ordered >= sampling.top_p
    keep = np.empty_like(dropped)
    np.put_along_axis(keep, order, ~dropped, axis=-1)
    return np.where(keep, logits, -np.inf)


_STEPS = {
    "allowed_tokens": _allow,
    "logit_bias": _bias,
    "penalties": _penalise,
    "temperature": _heat,
    "min_p": _cut_min_p,
    "top_k": _cut_top_k,
    "top_p": _cut_top_p,
}
