"""Ways in which real samplers draw a token, as red teams wrote them down: each is right or refused, never wrong."""

# ruff: noqa: NPY002 -- other people's code

from __future__ import annotations

import bisect
import heapq
import itertools
import math
import operator
import random
import secrets
from functools import partial, reduce
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tests.exact.idioms import COIN, F64, HALF, LOGITS, PAIR, PROBS, QUARTERS, TOKEN, P, has, u64

W = [0.4, 0.3, 0.2, 0.1]
WEIGHTS = torch.tensor(W, dtype=F64)
TWO = {(i, j): P[i] * P[j] for i in range(3) for j in range(3)}
NUCLEUS = {0: 4 / 7, 1: 3 / 7}  # of W at top-p .7, and its two largest
FIRST_OF_THREE = {0: 4 / 9, 1: 3 / 9, 2: 2 / 9}
GEN = torch.Generator()
MIXED = {0: 0.3 * 0.5 + 0.7 * 0.2, 1: 0.3, 2: 0.3 * 0.2 + 0.7 * 0.5}
STEPS = {0: 0.5, 1: 0.25, 2: 0.25}


# -- truncation: top-k, nucleus, min-p, typical -----------------------------------------------------------------


@has(NUCLEUS)
def top_k_by_kth_value() -> Any:
    logits = WEIGHTS.log()
    kth = torch.topk(logits, 2).values[..., -1, None]
    return torch.multinomial(torch.where(logits < kth, -torch.inf, logits).softmax(-1), 1).item()


@has(NUCLEUS)
def top_k_gumbel_gather() -> Any:
    values, index = torch.topk(WEIGHTS.log(), 2)
    noise = -torch.empty_like(values).exponential_().log()
    return index[(values + noise).argmax()].item()


@has(NUCLEUS)
def nucleus_by_sorting_and_scattering() -> Any:
    logits = WEIGHTS.log()[None]
    ordered, index = torch.sort(logits, descending=True)
    remove = ordered.softmax(-1).cumsum(-1) > 0.65
    remove[..., 1:] = remove[..., :-1].clone()
    remove[..., 0] = False
    logits = logits.masked_fill(remove.scatter(1, index, remove), -float("inf"))
    return torch.multinomial(F.softmax(logits, -1), 1).squeeze().item()


@has(NUCLEUS)
def nucleus_in_place_then_race() -> Any:
    probs, index = torch.sort(WEIGHTS, dim=-1, descending=True)
    mass = torch.cumsum(probs, dim=-1)
    probs[mass - probs > 0.65] = 0.0
    probs.div_(probs.sum(dim=-1, keepdim=True))
    winner = torch.argmax(probs / torch.empty_like(probs).exponential_(1), dim=-1, keepdim=True)
    return torch.gather(index, -1, winner).item()


@has(NUCLEUS)
def nucleus_numpy() -> Any:
    order = np.argsort(W)[::-1]
    kept = order[: int(np.searchsorted(np.cumsum(np.array(W)[order]), 0.65)) + 1]
    p = np.array(W)[kept]
    return int(np.random.default_rng(0).choice(kept, p=p / p.sum()))


@has(NUCLEUS)
def min_p() -> Any:
    keep = WEIGHTS >= 0.6 * WEIGHTS.max()
    return torch.multinomial(WEIGHTS * keep, 1).item()


@has(FIRST_OF_THREE)
def epsilon_cutoff() -> Any:
    probs = WEIGHTS.masked_fill(WEIGHTS < 0.15, 0)
    return (torch.rand_like(probs).log() / probs).argmax().item()


@has(FIRST_OF_THREE)
def bad_words_by_index_fill() -> Any:
    logits = WEIGHTS.log().index_fill(0, torch.tensor([3]), -math.inf)
    return torch.distributions.Categorical(logits=logits).sample().item()


@has(NUCLEUS)
def choices_of_the_heaviest() -> Any:
    best = heapq.nlargest(2, range(4), key=W.__getitem__)
    return random.choices(best, [W[i] for i in best], k=1)[0]


# -- inverse CDF -------------------------------------------------------------------------------------------------


@has(TOKEN)
def subtract_until_negative() -> Any:
    left = torch.rand(1, dtype=F64).item()
    for token, p in enumerate(P):
        left -= p
        if left < 0:
            return token
    return 2


@has(TOKEN)
def scaled_by_the_total() -> Any:
    weights = [5, 3, 2]
    at = random.uniform(0, sum(weights))
    return bisect.bisect_right(list(itertools.accumulate(weights)), at)


@has(TOKEN)
def tensor_scalar_loop() -> Any:
    u, total = u64(), torch.zeros((), dtype=F64)
    for token in range(3):
        total = total + PROBS[token]
        if u < total:
            break
    return token


@has(TOKEN)
def cumsum_of_numpy_argmax() -> Any:
    return int(np.argmax(np.cumsum(P) > np.random.rand()))


@has(TOKEN)
def cumsum_ge_nonzero_min() -> Any:
    return (PROBS.cumsum(0) >= u64(1)).nonzero().min().item()


@has(TOKEN)
def reversed_cdf() -> Any:
    tail = PROBS.flip(0).cumsum(0).flip(0)
    return ((u64(1) < tail).long().sum() - 1).item()


@has(TOKEN)
def antithetic() -> Any:
    return torch.searchsorted(PROBS.cumsum(0), 1 - u64(1)).item()


@has(TOKEN)
def searchsorted_side() -> Any:
    return torch.searchsorted(PROBS.cumsum(0), u64(1), side="right").item()


@has(TOKEN)
def searchsorted_scaled_by_last() -> Any:
    cdf = (PROBS * 3).cumsum(0)
    return torch.searchsorted(cdf, u64(1) * cdf[-1], right=True).clamp(max=2).item()


@has(TOKEN)
def searchsorted_int32() -> Any:
    return torch.searchsorted(PROBS.cumsum(0), u64(1), out_int32=True).long().item()


@has(TOKEN)
def bucketize_right() -> Any:
    return torch.bucketize(u64(2), PROBS.cumsum(0)[:-1], right=True)[1].item()


@has(TWO)
def one_cdf_for_two_rows() -> Any:
    return torch.searchsorted(PROBS.cumsum(0).expand(2, 3).contiguous(), u64(2, 1)).squeeze(-1)


@has(TOKEN)
def numpy_digitize() -> Any:
    return int(np.digitize(np.random.random_sample(), np.cumsum(P)))


@has(TOKEN)
def numpy_vectorised_rows() -> Any:
    cdf = np.cumsum(np.array([P, P]), axis=1)
    return int((cdf < np.random.default_rng(3).random((2, 1))).sum(axis=1)[1])


@has(TOKEN)
def next_of_generator() -> Any:
    u = random.random()
    return next(i for i, c in enumerate(itertools.accumulate(P)) if u < c)


@has(TOKEN)
def interval_test_with_and() -> Any:
    u = u64()
    edges = [0.0, *itertools.accumulate(P)]
    return next(i for i in range(3) if edges[i] <= u and u < edges[i + 1])


@has(TOKEN)
def chained_comparison() -> Any:
    u = random.random()
    if 0.5 <= u < 0.8:
        return 1
    return 0 if u < 0.5 else 2


@has(STEPS)
def stick_breaking() -> Any:
    for token in range(2):
        if torch.rand(()) < 0.5:
            return token
    return 2


@has(STEPS)
def where_over_uniforms() -> Any:
    u = torch.rand(2)
    return torch.where(u[0] < 0.5, 0, torch.where(u[1] < 0.5, 1, 2)).item()


@has(STEPS)
def numpy_where_and_select() -> Any:
    u = np.random.rand()
    return int(np.select([u < 0.5, u < 0.75], [0, 1], 2))


@has(QUARTERS)
def floor_of_scaled() -> Any:
    return math.floor(random.random() * 4)


@has(QUARTERS)
def long_of_scaled() -> Any:
    return (torch.rand(1) * 4).long().item()


@has(QUARTERS)
def floor_divided() -> Any:
    return int(torch.floor_divide(torch.rand(1), 0.25))


@has(QUARTERS)
def clamped_ceiling() -> Any:
    return ((torch.rand(1) * 4).ceil() - 1).clamp(0, 3).int().item()


@has(QUARTERS)
def two_bits() -> Any:
    bits = torch.rand(2) < 0.5
    return int((bits.long() * torch.tensor([1, 2])).sum())


@has(QUARTERS)
def remainder_of_scaled() -> Any:
    return int((random.random() * 8) % 4)


@has(HALF)
def signs() -> Any:
    return bool(torch.sign(torch.rand(1) - 0.5) > 0)


@has(HALF)
def heaviside() -> Any:
    return bool(torch.heaviside(torch.rand(1) - 0.5, torch.zeros(1))[0])


@has(HALF)
def rounded_uniform() -> Any:
    return bool(torch.rand(1).round())


@has(COIN)
def relu_mask() -> Any:
    return bool(F.relu(0.3 - u64(1)) > 0)


@has(COIN)
def probit_free_logistic() -> Any:
    u = u64(1)
    return bool(torch.sigmoid(math.log(0.3 / 0.7) - torch.logit(u)) > 0.5)


# -- races -------------------------------------------------------------------------------------------------------


@has(TOKEN)
def q_exponential_in_place_division() -> Any:
    q = torch.empty_like(PROBS)
    q.exponential_()
    return PROBS.clone().div_(q).argmax(dim=-1).view(-1).item()


@has(TOKEN)
def gumbel_by_uniform_in_place() -> Any:
    g = torch.zeros(3, dtype=F64).uniform_().log_().neg_().log_().neg_()
    return g.add_(LOGITS).argmax().item()


@has(TOKEN)
def gumbel_tiny_clamp() -> Any:
    u = torch.rand(3, dtype=F64).clamp(min=torch.finfo(F64).tiny)
    return (LOGITS - (-u.log()).log()).argmax().item()


@has(TOKEN)
def gumbel_through_numpy() -> Any:
    return int((LOGITS.numpy() - np.log(-np.log(np.random.uniform(size=3)))).argmax())


@has(TOKEN)
def gumbel_with_temperature_two() -> Any:
    return ((LOGITS * 2) / 2.0 - torch.log(torch.empty(3, dtype=F64).exponential_())).argmax().item()


@has(TOKEN)
def gumbel_noise_divided_by_temperature() -> Any:
    noise = -torch.log(-torch.log(u64(3)))
    return (LOGITS / 0.5 + noise / 0.5).softmax(-1).max(-1).indices.item()


@has(PAIR)
def weighted_reservoir_keys() -> Any:
    keys = [(random.random() ** (1 / p), i) for i, p in enumerate(P)]
    return tuple(i for _, i in sorted(keys, reverse=True)[:2])


@has(PAIR)
def weighted_reservoir_heap() -> Any:
    keys = [(-math.log(random.random()) / p, i) for i, p in enumerate(P)]
    return tuple(i for _, i in heapq.nsmallest(2, keys))


@has(PAIR)
def numpy_argsort_race() -> Any:
    return tuple(np.argsort(np.random.default_rng(1).exponential(size=3) / np.array(P))[:2].tolist())


@has(TOKEN)
def numpy_standard_exponential() -> Any:
    return int((np.random.default_rng(1).standard_exponential(3) / P).argmin())


@has(TOKEN)
def tournament() -> Any:
    times = [torch.empty(1, dtype=F64).exponential_(p) for p in P]
    best = 0
    for i in (1, 2):
        if times[i] < times[best]:
            best = i
    return best


@has(TOKEN)
def reduce_of_minimum() -> Any:
    times = torch.empty(3, dtype=F64).exponential_() / PROBS
    least = reduce(torch.minimum, times.unbind())
    return (times == least).nonzero().item()


@has(TOKEN)
def amin_mask() -> Any:
    times = -u64(3).log() / PROBS
    return (times <= times.amin()).int().argmax().item()


@has(TOKEN)
def kthvalue_or_sort() -> Any:
    times = -u64(3).log() / PROBS
    return torch.sort(times).indices[0].item()


@has(TOKEN)
def race_in_two_halves() -> Any:
    noisy = LOGITS - u64(3).log().neg().log()
    left, right = noisy[:2].max(0), noisy[2:].max(0)
    return (left.indices if left.values > right.values else right.indices + 2).item()


@has(TOKEN)
def race_with_a_wall() -> Any:
    scores = torch.full((5,), -torch.inf, dtype=F64)
    scores[1:4] = LOGITS - torch.log(-torch.log(u64(3)))
    return scores.argmax().item() - 1


@has(TOKEN)
def argmax_of_logaddexp() -> Any:
    noise = torch.distributions.Gumbel(torch.zeros(3, dtype=F64), 1.0).sample()
    return torch.add(LOGITS, noise, alpha=1).argmax().item()


@has(TOKEN)
def argmax_of_sum_of_three() -> Any:
    noise = torch.distributions.Gumbel(torch.zeros(3, dtype=F64), torch.ones(3, dtype=F64)).rsample()
    return sum([LOGITS, torch.zeros(3, dtype=F64), noise]).argmax().item()


# -- libraries' distributions ------------------------------------------------------------------------------------


@has(TOKEN)
def categorical_expanded() -> Any:
    return torch.distributions.Categorical(probs=PROBS).expand((2,)).sample()[1].item()


@has(TWO)
def categorical_batch() -> Any:
    return torch.distributions.Categorical(logits=torch.stack([LOGITS, LOGITS])).sample()


@has(TOKEN)
def multinomial_distribution() -> Any:
    return torch.distributions.Multinomial(1, probs=PROBS).sample().argmax(-1).item()


@has(TOKEN)
def one_hot_straight_through() -> Any:
    return torch.distributions.OneHotCategoricalStraightThrough(probs=PROBS).sample().nonzero().item()


@has(COIN)
def bernoulli_logits() -> Any:
    return bool(torch.distributions.Bernoulli(logits=torch.tensor(0.3 / 0.7, dtype=F64).log()).sample() == 1)


@has({0: 0.49, 1: 0.42, 2: 0.09})
def binomial_distribution() -> Any:
    return int(torch.distributions.Binomial(2, torch.tensor(0.3, dtype=F64)).sample())


@has(QUARTERS)
def uniform_distribution_floor() -> Any:
    return int(torch.distributions.Uniform(torch.tensor(0.0), torch.tensor(4.0)).sample().floor())


@has(TOKEN)
def mixture_same_family() -> Any:
    mix = torch.distributions.Categorical(PROBS)
    each = torch.distributions.Categorical(torch.eye(3, dtype=F64))
    return torch.distributions.MixtureSameFamily(mix, each).sample().item()


@has(MIXED)
def coin_then_token() -> Any:
    law = PROBS if torch.bernoulli(torch.tensor(0.3, dtype=F64)) else PROBS.flip(0)
    return torch.multinomial(law, 1).item()


# -- NumPy's and Python's draws ----------------------------------------------------------------------------------


@has(TOKEN)
def numpy_choice_of_array() -> Any:
    return int(np.random.choice(np.array([0, 1, 2]), 1, p=P)[0])


@has(PAIR)
def numpy_choice_without_replacement() -> Any:
    return np.random.default_rng(0).choice(3, size=2, replace=False, p=P).tolist()


@has(TWO)
def numpy_choice_of_two() -> Any:
    return np.random.choice(3, size=(2,), p=P)


@has(TOKEN)
def numpy_multinomial_nonzero() -> Any:
    return int(np.random.default_rng(4).multinomial(1, P).nonzero()[0][0])


@has(TOKEN)
def numpy_randomstate_choice() -> Any:
    return int(np.random.RandomState(7).choice([0, 1, 2], p=P))


@has(QUARTERS)
def numpy_integers_endpoint() -> Any:
    return int(np.random.default_rng(0).integers(0, 3, endpoint=True))


@has({(0, 1): 0.5, (1, 0): 0.5})
def numpy_shuffle() -> Any:
    items = np.arange(2)
    np.random.shuffle(items)
    return items


@has({(0, 1): 0.5, (1, 0): 0.5})
def numpy_permuted() -> Any:
    return np.random.default_rng(0).permuted(np.arange(2))


@has(COIN)
def numpy_binomial_of_one() -> Any:
    return bool(np.random.binomial(1, 0.3))


@has(TOKEN)
def numpy_argwhere() -> Any:
    return int(np.argwhere(np.cumsum(P) > np.random.random())[0, 0])


@has(TOKEN)
def numpy_float32_uniform() -> Any:
    return int(np.searchsorted(np.cumsum(P), np.random.default_rng(0).random(dtype=np.float32)))


@has(TOKEN)
def choices_cum_weights() -> Any:
    return random.choices([0, 1, 2], cum_weights=[5, 8, 10], k=2)[1]


@has(TOKEN)
def choices_of_an_instance() -> Any:
    return random.Random(4).choices([0, 1, 2], P)[0]


@has({(0, 1): 1 / 6, (0, 2): 1 / 6, (1, 0): 1 / 6, (1, 2): 1 / 6, (2, 0): 1 / 6, (2, 1): 1 / 6})
def python_sample() -> Any:
    return tuple(random.sample(range(3), 2))


@has({1: 1 / 3, 3: 1 / 3, 5: 1 / 3})
def python_randrange_step() -> Any:
    return random.randrange(1, 7, 2)


@has(QUARTERS)
def python_bits() -> Any:
    return random.getrandbits(2)


@has(QUARTERS)
def system_random() -> Any:
    return random.SystemRandom().randrange(4)


@has({0: 1 / 3, 1: 1 / 3, 2: 1 / 3})
def secrets_choice() -> Any:
    return secrets.choice([0, 1, 2])


@has(COIN)
def python_triangular_free_uniform() -> Any:
    return random.uniform(-1, 1) < -0.4


@has({0: 0.49, 1: 0.42, 2: 0.09})
def count_of_bernoullis() -> Any:
    return sum(random.random() < 0.3 for _ in range(2))


@has({0: 0.49, 1: 0.42, 2: 0.09})
def python_binomialvariate() -> Any:
    draw = getattr(random, "binomialvariate", lambda n, p: sum(random.random() < p for _ in range(n)))
    return draw(2, 0.3)


# -- speculative acceptance --------------------------------------------------------------------------------------


@has(COIN)
def accept_in_log_space() -> Any:
    return bool(torch.log(u64(1)) < math.log(0.3))


@has(COIN)
def accept_by_ratio() -> Any:
    return bool(u64(1) * 0.5 <= 0.15)


@has(COIN)
def accept_by_minimum_of_one() -> Any:
    return bool(u64(1) < torch.minimum(torch.ones(1, dtype=F64), torch.tensor([0.3], dtype=F64)))


@has(COIN)
def reject_by_greater() -> Any:
    return not bool((u64(1) > 0.3).any())


@has({0: 0.7, 1: 0.21, 2: 0.09})
def length_by_cumprod() -> Any:
    accepted = u64(1, 2) < 0.3
    return accepted.long().cumprod(-1).sum(-1).item()


@has({0: 0.7, 1: 0.21, 2: 0.09})
def length_by_first_rejection() -> Any:
    rejected = (u64(2) >= 0.3).nonzero(as_tuple=True)[0]
    return int(rejected[0]) if rejected.numel() else 2


@has({0: 0.7, 1: 0.21, 2: 0.09})
def length_by_cumsum_of_rejections() -> Any:
    return ((u64(1, 2) >= 0.3).cumsum(-1) < 1).sum().item()


@has({0: 0.7, 1: 0.21, 2: 0.09})
def length_by_argmax_with_sentinel() -> Any:
    rejected = F.pad(u64(1, 2) >= 0.3, (0, 1), value=True)
    return rejected.int().argmax(-1).item()


@has({0: 0.7, 1: 0.21, 2: 0.09})
def length_by_logical_not_cumsum() -> Any:
    accepted = u64(2) < 0.3
    return int(((~accepted).cumsum(dim=-1) < 1).sum())


@has({0: 0.7, 1: 0.21, 2: 0.09})
def length_by_numpy() -> Any:
    accepted = np.random.rand(2) < 0.3
    return int(np.cumprod(accepted.astype(int)).sum())


@has({0: 0.7, 1: 0.21, 2: 0.09})
def length_by_takewhile() -> Any:
    return len(list(itertools.takewhile(lambda p: random.random() < p, [0.3, 0.3])))


@has(dict(enumerate([0.5, 0.3, 0.2])))
def whole_speculative_position() -> Any:
    q = PROBS.flip(0)
    x = torch.multinomial(q, 1)
    if torch.rand(1, dtype=F64) < (PROBS[x] / q[x]).clamp(max=1):
        return x.item()
    left = torch.clamp(PROBS - q, min=0)
    return torch.multinomial(left / left.sum(), 1).item()


@has(dict(enumerate([0.5, 0.3, 0.2])))
def whole_position_with_shared_exponentials() -> Any:
    q = PROBS.flip(0)
    x = (q / torch.empty_like(q).exponential_()).argmax(-1)
    ratio = PROBS.gather(0, x[None]) / q.gather(0, x[None])
    fresh = ((PROBS - q).relu() / torch.empty_like(q).exponential_()).argmax(-1)
    return torch.where(u64(1) <= ratio, x, fresh).item()


# -- loops -------------------------------------------------------------------------------------------------------


@has(STEPS)
def at_most_two_tries() -> Any:
    tries = 0
    while tries < 2 and torch.rand(()) >= 0.5:
        tries += 1
    return tries


@has({0: 0.3 + 0.35 * 0.5, 1: 0.35 + 0.35 * 0.5})
def a_try_then_a_fallback() -> Any:
    u = random.random()
    if u < 0.3:
        return 0
    return 1 if u < 0.65 else random.randrange(2)


@has({(0, 0): 0.25, (0, 1): 0.25, (1, 0): 0.25, (1, 1): 0.25})
def tokens_appended_in_a_loop() -> Any:
    tokens = torch.empty(1, 0, dtype=torch.long)
    for _ in range(2):
        tokens = torch.cat([tokens, torch.multinomial(torch.ones(1, 2), 1)], dim=1)
    return tokens[0]


@has(TWO)
def noise_drawn_before_the_loop() -> Any:
    u = u64(2)
    return tuple(int((PROBS.cumsum(0) < u[j]).sum()) for j in range(2))


@has(TWO)
def generator_function() -> Any:
    def tokens() -> Any:
        while True:
            yield torch.multinomial(PROBS, 1).item()

    return list(itertools.islice(tokens(), 2))


# -- types, modes, layouts ---------------------------------------------------------------------------------------


@has(COIN)
def half_and_back() -> Any:
    return bool(u64(1).half().double() < 0.3)


@has(HALF)
def bfloat16_uniform() -> Any:
    return bool(torch.rand(1, dtype=torch.bfloat16) < 0.5)


@has({0: 0.5, 1: 0.25, 2: 0.25})
def half_logits_race() -> Any:
    logits = torch.tensor([0.5, 0.25, 0.25]).log2().half().double() * math.log(2)
    return (logits - torch.log(-torch.log(u64(3)))).argmax().item()


@has(TOKEN)
def bfloat16_noise_of_a_race() -> Any:
    noise = torch.empty(3, dtype=torch.bfloat16).exponential_()
    return (PROBS / noise.double()).argmax().item()


@has(TOKEN)
def under_three_modes() -> Any:
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16), torch.set_grad_enabled(False):
        return torch.argmax(PROBS / torch.rand(3, dtype=F64).log().neg(), -1).item()


@has(TOKEN)
def vmapped_multinomial_same() -> Any:
    draw = torch.vmap(lambda p: torch.multinomial(p, 1), randomness="different")
    return draw(PROBS[None].expand(2, 3))[1, 0].item()


@has(COIN)
def vmapped_bernoulli() -> Any:
    return bool(torch.vmap(torch.bernoulli, randomness="different")(torch.full((2,), 0.3, dtype=F64))[0])


@has(TOKEN)
def vmapped_argmax() -> Any:
    return torch.vmap(lambda p, u: (p / -u.log()).argmax())(PROBS.expand(2, 3), u64(2, 3))[1].item()


@has(TOKEN)
def generator_passed() -> Any:
    return torch.multinomial(PROBS, 1, generator=GEN).item()


@has(COIN)
def generator_in_uniform() -> Any:
    return bool(torch.empty(1, dtype=F64).uniform_(generator=GEN) < 0.3)


@has(TOKEN)
def generator_in_exponential() -> Any:
    return (PROBS / torch.empty(3, dtype=F64).exponential_(generator=GEN)).argmax().item()


@has(TOKEN)
def strided_noise() -> Any:
    return (PROBS / -u64(3, 2).log()[:, 1]).argmax().item()


@has(TOKEN)
def transposed_noise() -> Any:
    return (PROBS[:, None] / -u64(2, 3).t().log()).argmax(0)[1].item()


@has(TOKEN)
def flat_argmax_divmod() -> Any:
    scores = (LOGITS - torch.log(-u64(1, 3).log())).flatten()
    return divmod(int(scores.argmax()), 3)[1]


@has(TOKEN)
def unravel() -> Any:
    scores = LOGITS - torch.log(-u64(1, 3).log())
    return int(torch.unravel_index(scores.argmax(), scores.shape)[1])


@has(TOKEN)
def masked_select_of_tokens() -> Any:
    return torch.arange(3).masked_select(F.one_hot(torch.multinomial(PROBS, 1)[0], 3).bool()).item()


@has(TOKEN)
def einsum_with_one_hot() -> Any:
    hot = F.one_hot(torch.multinomial(PROBS, 1), 3).double()
    return int(torch.einsum("bv,v->b", hot, torch.arange(3.0, dtype=F64)))


@has(TOKEN)
def matmul_with_one_hot() -> Any:
    hot = F.one_hot(torch.multinomial(PROBS[None], 1)[0, 0], 3).double()
    return int(hot @ torch.arange(3.0, dtype=F64))


@has(TOKEN)
def index_put_of_token() -> Any:
    out = torch.full((2, 2), -1)
    out[torch.tensor([1]), torch.tensor([0])] = torch.multinomial(PROBS, 1)
    return out[1, 0].item()


@has(TOKEN)
def bincount_of_token() -> Any:
    return torch.bincount(torch.multinomial(PROBS, 1), minlength=3).argmax().item()


@has(TOKEN)
def token_as_numpy() -> Any:
    return int(torch.multinomial(PROBS, 1).cpu().numpy()[0])


@has(TOKEN)
def token_as_dictionary_key() -> Any:
    return {0: 0, 1: 1, 2: 2}[torch.multinomial(PROBS, 1).item()]


@has(TOKEN)
def token_by_operator_index() -> Any:
    return operator.index(torch.multinomial(PROBS, 1)[0])


@has(TOKEN)
def token_by_partial() -> Any:
    return partial(torch.multinomial, PROBS)(num_samples=1).tolist()[0]


@has(COIN)
def bitwise_of_masks() -> Any:
    return bool((u64(1) < 0.3) & (u64(1) < 2.0) | (u64(1) < 0.0))


@has({True: 0.42, False: 0.58})
def xor_of_masks() -> Any:
    return bool((u64(1) < 0.3) ^ (u64(1) < 0.3))


@has({0: 0.49, 1: 0.42, 2: 0.09})
def count_nonzero_of_masks() -> Any:
    return torch.count_nonzero(u64(2) < 0.3).item()


@has(COIN)
def mask_times_mask() -> Any:
    mask = (u64(1) < 0.3).double()
    return bool(mask * mask)


@has(COIN)
def mask_mean() -> Any:
    return bool((u64(1) < 0.3).double().mean() > 0.5)


@has({0: 0.7, 1: 0.3})
def diff_of_sorted_mask() -> Any:
    return int((u64(1) < 0.3).int().sort().values[0])


@has(COIN)
def numpy_logical() -> Any:
    return bool(np.logical_and(np.random.rand(1) < 0.3, True)[0])


@has(COIN)
def numpy_nonzero_count() -> Any:
    return np.count_nonzero(np.random.rand(1) < 0.3) == 1


@has(COIN)
def numpy_clip_then_compare() -> Any:
    return bool(np.clip(np.random.rand(1), 0.1, 0.9)[0] < 0.3)


@has(COIN)
def torch_from_numpy_uniform() -> Any:
    return bool(torch.from_numpy(np.random.rand(1))[0] < 0.3)


@has(COIN)
def torch_tensor_of_python_uniform() -> Any:
    return bool(torch.tensor(random.random(), dtype=F64) < 0.3)


@has({0: 0.3, 1: 0.4, 2: 0.3})
def one_uniform_used_twice() -> Any:
    u = u64(1)
    return int((u > 0.3).int() + (u > 0.7).int())


@has({(True, False): 0.3, (False, True): 0.3, (False, False): 0.4})
def both_ends_of_one_uniform() -> Any:
    u = random.random()
    return u < 0.3, 1 - u < 0.3


@has(HALF)
def two_uniforms_against_each_other() -> Any:
    return bool(torch.rand(()) < torch.rand(()))


# -- what was wrong once -------------------------------------------------------------------------------------------


@has(COIN)
def asked_whether_it_is_a_float() -> Any:
    u = random.random()
    return isinstance(u, float) and u < 0.3


@has(COIN)
def asked_whether_it_is_a_number() -> Any:
    u = u64(1).item()
    return isinstance(u, (int, float)) and u < 0.3


@has(COIN)
def asked_whether_it_is_a_scalar() -> Any:
    u = np.random.rand()
    return bool(np.isscalar(u) and u < 0.3)


@has(COIN)
def asked_for_the_kind_of_an_array() -> Any:
    u = np.random.rand(1)
    return bool(u.dtype.kind == "f" and u[0] < 0.3)


@has(COIN)
def asked_for_the_kind_of_a_tensor_as_array() -> Any:
    u = u64(1).numpy()
    return bool(np.issubdtype(u.dtype, np.floating) and u[0] < 0.3)


@has(COIN)
def fraction_of_a_shifted_uniform() -> Any:
    return bool((u64(1) + 5).frac() < 0.3)


@has(COIN)
def divmod_of_a_uniform() -> Any:
    return divmod(random.random() + 5, 1)[1] < 0.3


def if_floats(array: Any) -> Any:
    return bool(array.reshape(-1)[0] < 0.3) if array.dtype.kind == "f" else None


@has(COIN)
def kind_of_a_copied_array() -> Any:
    return if_floats(np.array(np.random.rand(2), copy=True))


@has(COIN)
def kind_of_stacked_arrays() -> Any:
    return if_floats(np.stack([np.random.rand(2)] * 2))


@has(COIN)
def kind_of_an_array_of_numbers() -> Any:
    return if_floats(np.array([random.random(), 0.5]))


@has(COIN)
def kind_of_a_tensor_taken_as_an_array() -> Any:
    return if_floats(np.asarray(u64(2)))


@has(COIN)
def kind_of_a_number_taken_as_an_array() -> Any:
    return if_floats(np.asarray(np.random.rand(2)[0]))


@has(COIN)
def asked_for_a_method_of_floats() -> Any:
    u = random.random()
    return u.real < 0.3 if hasattr(u, "is_integer") else None


@has({0: 1 / 3, 1: 1 / 3, 2: 1 / 3})
def equal_guards_are_one_race() -> Any:
    return (-torch.log(-torch.log(u64(3) + 1e-9) + 1e-9)).argmax().item()


@has({(0, 1): 0.5, (1, 0): 0.5})
def sorting_by_equal_guards() -> Any:
    return (-torch.log(-torch.log(u64(2) + 1e-9) + 1e-9)).topk(2).indices


@has({0: 0.125, 1: 0.75, 2: 0.125})
def rounded_sum_of_two() -> Any:
    return round(random.random() + random.random())


@has({True: 0.125, False: 0.875})
def doubled_sum_of_two() -> Any:
    total = random.random() + random.random()
    return bool(total + total < 1)
