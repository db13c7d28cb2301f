"""Ways of drawing that real code uses, each with the law it has: a table for the tests."""

# ruff: noqa: NPY002 -- other people's code

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from random import choice as imported_choice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

F64 = torch.float64
P = [0.5, 0.3, 0.2]
PROBS = torch.tensor(P, dtype=F64)
LOGITS = PROBS.log()


@dataclass(frozen=True)
class Idiom:
    """A sampler and its law."""

    sampler: Callable[[], Any]
    law: dict[Any, float]


IDIOMS: dict[str, Idiom] = {}
TOKEN = dict(enumerate(P))
COIN = {True: 0.3, False: 0.7}
HALF = {True: 0.5, False: 0.5}
QUARTERS = dict.fromkeys(range(4), 0.25)
PAIR = {(i, j): P[i] * P[j] / (1 - P[i]) for i in range(3) for j in range(3) if i != j}
ORDER = dict.fromkeys(itertools.permutations(range(3), 2), 1 / 6)


def has(law: dict[Any, float]) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Enter a sampler into the table."""

    def enter(sampler: Callable[[], Any]) -> Callable[[], Any]:
        IDIOMS[sampler.__name__] = Idiom(sampler, law)
        return sampler

    return enter


def u64(*shape: int) -> torch.Tensor:
    return torch.rand(shape, dtype=F64)


# -- inverse CDF ------------------------------------------------------------------------------------------------


@has(TOKEN)
def first_above_in_cumsum() -> Any:
    return (PROBS.cumsum(0) > u64(1)).int().argmax().item()


@has(TOKEN)
def first_at_least_in_cumsum_batched() -> Any:
    mask = torch.cumsum(PROBS[None], -1) >= u64(1, 1)
    return torch.argmax(mask.to(torch.int8), dim=-1).item()


@has(TOKEN)
def count_below_in_cumsum() -> Any:
    return (PROBS.cumsum(0) < u64(1)).sum().item()


@has(TOKEN)
def difference_of_cumsum_and_variate() -> Any:
    return int(((PROBS.cumsum(0) - u64(1)) < 0).sum())


@has(TOKEN)
def nonzero_of_cumsum() -> Any:
    return int((PROBS.cumsum(0) - u64(1) >= 0).nonzero(as_tuple=True)[0][0])


@has(TOKEN)
def searchsorted_batched() -> Any:
    cdf = PROBS.cumsum(-1)[None].expand(1, 3).contiguous()
    return torch.searchsorted(cdf, u64(1, 1), right=True)[0, 0].clamp(max=2).item()


@has(TOKEN)
def bucketize() -> Any:
    return torch.bucketize(torch.rand(()).double(), PROBS.cumsum(0)).item()


@has(TOKEN)
def python_cumulative_loop() -> Any:
    r, mass = random.random(), 0.0
    for token, p in enumerate(P):
        mass += p
        if r < mass:
            return token
    return len(P) - 1


@has(TOKEN)
def bisect_in_cumsum() -> Any:
    return bisect.bisect(list(itertools.accumulate(P)), random.random())


@has(TOKEN)
def numpy_searchsorted_of_two() -> Any:
    found = np.searchsorted(np.cumsum(P), np.random.default_rng(0).random(2), side="right")
    return int(found[0]) if np.digitize(np.random.default_rng(1).random(2), [0.5])[1] else int(found[1])


@has(TOKEN)
def numpy_searchsorted() -> Any:
    return int(np.searchsorted(np.cumsum(P), np.random.default_rng(0).random(), side="right"))


@has(TOKEN)
def numpy_count_above_cumsum() -> Any:
    return int((np.random.default_rng(0).random() > np.cumsum(P)).sum())


# -- races ------------------------------------------------------------------------------------------------------


@has(TOKEN)
def gumbel_max() -> Any:
    return (LOGITS - torch.log(-torch.log(torch.rand(3)))).argmax(-1).item()


@has(TOKEN)
def gumbel_max_with_guards() -> Any:
    noise = -torch.log(-torch.log(torch.rand(3, dtype=F64) + 1e-20) + 1e-20)
    return torch.argmax(LOGITS + noise, dim=-1).item()


@has(TOKEN)
def gumbel_max_with_clamp_and_temperature() -> Any:
    noise = -torch.log(-torch.log(u64(3).clamp_(1e-20)))
    return torch.softmax((LOGITS + noise) / 0.5, -1).argmax().item()


@has(TOKEN)
def exponential_race() -> Any:
    return torch.argmax(PROBS / torch.empty_like(PROBS).exponential_(1), dim=-1, keepdim=True)[0].item()


@has(TOKEN)
def exponential_race_after_sorting() -> Any:
    probs, index = torch.sort(PROBS, descending=True)
    noise = torch.empty_like(probs).exponential_(1)
    return index.gather(-1, (probs / noise).argmax(-1, keepdim=True)).item()


@has(TOKEN)
def log_u_over_p() -> Any:
    return (torch.log(torch.rand_like(PROBS)) / PROBS).argmax().item()


@has(TOKEN)
def u_to_the_one_over_p() -> Any:
    return torch.rand_like(PROBS).pow(1 / PROBS).max(0)[1].item()


@has(TOKEN)
def argmin_of_minus_log1p() -> Any:
    return int(torch.argmin(-torch.log1p(-u64(3)) / PROBS))


@has(TOKEN)
def argmax_through_its_maximum() -> Any:
    times = PROBS / torch.empty(3).exponential_()
    best, _ = times.max(dim=-1, keepdim=True)
    return int((times == best).int().argmax())


@has(TOKEN)
def gumbel_softmax_hard() -> Any:
    return F.gumbel_softmax(LOGITS[None], tau=0.7, hard=True).argmax(-1).item()


@has(TOKEN)
def gumbel_softmax_soft() -> Any:
    return F.gumbel_softmax(LOGITS[None], tau=0.7).argmax(-1)[0].item()


@has({0: 0.625, 1: 0.375})
def masked_logits_in_a_race() -> Any:
    logits = LOGITS.clone()
    logits[2] = -math.inf
    return (logits - torch.empty(3).exponential_().log()).argmax().item()


@has({0: 0.625, 1: 0.375})
def zero_weight_in_a_race() -> Any:
    return (PROBS * torch.tensor([1, 1, 0]) / torch.empty(3).exponential_()).argmax().item()


@has(PAIR)
def gumbel_top_two() -> Any:
    return (LOGITS - torch.log(-torch.log(u64(3)))).topk(2).indices.tolist()


@has(ORDER)
def argsort_of_uniforms() -> Any:
    return torch.rand(3).argsort()[:2].tolist()


@has(TOKEN)
def numpy_race() -> Any:
    return int(np.argmax(np.array(P) / np.random.exponential(size=3)))


@has(TOKEN)
def numpy_gumbel_max() -> Any:
    return int(np.argmax(np.log(P) + np.random.gumbel(size=3)))


@has(TOKEN)
def numpy_minus_log() -> Any:
    return int(np.argmin(-np.log(np.random.rand(3)) / np.array(P)))


@has(TOKEN)
def python_race() -> Any:
    times = [-math.log(random.random()) / p for p in P]
    return times.index(min(times))


@has(TOKEN)
def python_expovariate() -> Any:
    times = [random.expovariate(p) for p in P]
    return min(range(3), key=times.__getitem__)


# -- distributions ----------------------------------------------------------------------------------------------


@has(TOKEN)
def torch_categorical() -> Any:
    return torch.distributions.Categorical(probs=PROBS).sample().item()


@has(TOKEN)
def torch_one_hot_categorical() -> Any:
    return torch.distributions.OneHotCategorical(PROBS).sample().argmax().item()


@has(TOKEN)
def torch_gumbel() -> Any:
    return (LOGITS + torch.distributions.Gumbel(0.0, 1.0).sample((3,))).argmax().item()


@has(TOKEN)
def torch_exponential() -> Any:
    return int((PROBS / torch.distributions.Exponential(torch.ones(3)).sample()).argmax())


@has(COIN)
def torch_bernoulli() -> Any:
    return bool(torch.distributions.Bernoulli(torch.tensor(0.3, dtype=F64)).sample())


@has({True: 0.25, False: 0.75})
def torch_uniform() -> Any:
    return bool(torch.distributions.Uniform(1.0, 3.0).sample() < 1.5)


# -- discrete draws ---------------------------------------------------------------------------------------------


@has(PAIR)
def multinomial_without_replacement() -> Any:
    return torch.multinomial(PROBS, 2)


@has({(i, j): P[i] * P[j] for i in range(3) for j in range(3)})
def multinomial_with_replacement() -> Any:
    return PROBS.multinomial(2, replacement=True)


@has(dict.fromkeys([((i,), (j,)) for i in range(2) for j in range(2)], 0.25))
def multinomial_of_rows() -> Any:
    return torch.ones(2, 2).multinomial(1)


@has({0: 1 / 3, 1: 1 / 3, 2: 1 / 3})
def randint() -> Any:
    return torch.randint(0, 3, (1,), generator=torch.Generator()).item()


@has({2: 0.5, 3: 0.5})
def randint_like() -> Any:
    return torch.randint_like(torch.zeros(1, dtype=torch.long), 2, 4).item()


@has({2: 0.5, 3: 0.5})
def random_in_place() -> Any:
    return torch.empty(1, dtype=torch.long).random_(2, 4).item()


@has(ORDER)
def randperm() -> Any:
    return torch.randperm(3)[:2]


@has(COIN)
def bernoulli_of_probabilities() -> Any:
    return bool(torch.bernoulli(torch.tensor(0.3, dtype=F64)))


@has(COIN)
def bernoulli_in_place() -> Any:
    return bool(torch.zeros(1, dtype=torch.bool).bernoulli_(0.3))


@has({(True,): 1 - 0.7, (False,): 0.7})
def dropout() -> Any:
    return torch.dropout(torch.ones(1, dtype=F64), 0.7, True) > 0


@has(TOKEN)
def numpy_choice() -> Any:
    return np.random.choice(3, p=P).item()


@has(TOKEN)
def numpy_multinomial() -> Any:
    return int(np.argmax(np.random.multinomial(1, P)))


@has({1: 0.5, 2: 0.5})
def numpy_randint() -> Any:
    return int(np.random.randint(1, 3))


@has({(0, 1): 0.5, (1, 0): 0.5})
def numpy_permutation() -> Any:
    return np.random.permutation(2)


@has(TOKEN)
def numpy_generator_choice() -> Any:
    return int(np.random.Generator(np.random.PCG64(3)).choice([0, 1, 2], p=P))


@has({(0, 2): 0.25, (1, 1): 0.5, (2, 0): 0.25})
def numpy_multinomial_of_two() -> Any:
    return np.random.default_rng().multinomial(2, [0.5, 0.5])


@has(TOKEN)
def python_choices() -> Any:
    return random.choices(range(3), weights=P)[0]


@has({"a": 0.5, "b": 0.5})
def python_shuffle() -> Any:
    letters = ["a", "b"]
    random.shuffle(letters)
    return letters[0]


@has(HALF)
def python_instance_randint() -> Any:
    return random.Random(3).randint(0, 1) == 1


@has({"a": 0.5, "b": 0.5})
def python_imported_choice() -> Any:
    return imported_choice("ab")
