"""Ways of handing drawn tokens on, through types, buffers, NumPy and modes, each with its law."""

from __future__ import annotations

import random
from typing import Any

import torch
import torch.nn.functional as F

from tests.exact.idioms import HALF, LOGITS, PROBS, TOKEN, has, u64

with torch.inference_mode():
    PROBS_OF_INFERENCE = PROBS.clone()


@has(TOKEN)
def tensor_of_tokens() -> Any:
    return torch.tensor([torch.multinomial(PROBS, 1)[0], torch.tensor(5)])[0].item()


@has(TOKEN)
def tensor_of_tokens2() -> Any:
    return torch.tensor([torch.multinomial(PROBS, 1), 5])[0].item()


@has(TOKEN)
def stack_items() -> Any:
    return torch.stack([torch.multinomial(PROBS, 1)[0]]).tolist()[0]


@has(TOKEN)
def vmapped_multinomial() -> Any:
    return torch.vmap(lambda p: torch.multinomial(p, 1), randomness="different")(PROBS[None])[0, 0].item()


@has(TOKEN)
def vmapped_argmax() -> Any:
    return torch.vmap(lambda p: (p / torch.empty_like(p).exponential_()).argmax(), randomness="different")(PROBS[None])[
        0
    ].item()


@has(TOKEN)
def np_tokens() -> Any:
    return int(torch.multinomial(PROBS, 1).numpy()[0])


@has(TOKEN)
def np_tokens32() -> Any:
    return int(torch.multinomial(PROBS, 1).int().numpy()[0])


@has(TOKEN)
def token_float() -> Any:
    return int(torch.multinomial(PROBS, 1).float().item())


@has(TOKEN)
def token_onehot() -> Any:
    return F.one_hot(torch.multinomial(PROBS, 1), 3).argmax(-1).item()


@has(TOKEN)
def token_onehot_sum() -> Any:
    return int((F.one_hot(torch.multinomial(PROBS, 1), 3) * torch.arange(3)).sum())


@has(TOKEN)
def token_embedding() -> Any:
    return F.embedding(torch.multinomial(PROBS, 1), torch.eye(3)).argmax(-1).item()


@has(TOKEN)
def token_index() -> Any:
    return torch.arange(3)[torch.multinomial(PROBS, 1)].item()


@has(TOKEN)
def token_scatter() -> Any:
    return torch.zeros(3).scatter_(0, torch.multinomial(PROBS, 1), 1.0).argmax().item()


@has(TOKEN)
def token_cat() -> Any:
    return torch.cat([torch.zeros(1, dtype=torch.long), torch.multinomial(PROBS, 1)])[-1].item()


@has(TOKEN)
def token_out() -> Any:
    o = torch.zeros(1, dtype=torch.long)
    torch.multinomial(PROBS, 1, out=o)
    return o.item()


@has(TOKEN)
def token_write() -> Any:
    o = torch.zeros(2, dtype=torch.long)
    o[1:] = torch.multinomial(PROBS, 1)
    return o.tolist()[1]


@has(TOKEN)
def token_write32() -> Any:
    o = torch.zeros(2, dtype=torch.int32)
    o[1] = torch.multinomial(PROBS, 1)[0]
    return o.tolist()[1]


@has(TOKEN)
def categorical_logits() -> Any:
    return torch.distributions.Categorical(logits=LOGITS).sample((1,))[0].item()


@has(TOKEN)
def categorical_inference() -> Any:
    with torch.inference_mode():
        d = torch.distributions.Categorical(probs=PROBS)
        x = d.sample()
    return int(x)


@has(TOKEN)
def inference_then_out() -> Any:
    with torch.inference_mode():
        x = torch.multinomial(PROBS, 1)
    return (x + 0).item()


@has(TOKEN)
def inference_probs() -> Any:
    return torch.multinomial(PROBS_OF_INFERENCE, 1).item()


@has(TOKEN)
def cumsum_search() -> Any:
    return int(torch.searchsorted(PROBS.cumsum(0), u64(1)).clamp_(max=2))


@has(TOKEN)
def cumsum_gt_sum_long() -> Any:
    return (PROBS.cumsum(-1) <= u64(1)).long().sum(-1).item()


@has(TOKEN)
def gs_hard_matmul() -> Any:
    return int((F.gumbel_softmax(LOGITS, hard=True)).max(-1).indices)


@has({0: 0.5, 1: 0.5})
def randint_out() -> Any:
    o = torch.zeros(1, dtype=torch.long)
    torch.randint(0, 2, (1,), out=o)
    return int(o)


@has(HALF)
def randperm_int() -> Any:
    return bool(torch.randperm(2).int()[0] == 1)


@has(HALF)
def randperm_float() -> Any:
    return torch.randperm(2, dtype=torch.float32)[0].item() == 1.0


@has(TOKEN)
def topk_gather() -> Any:
    v, i = PROBS.topk(3)
    return i[torch.multinomial(v, 1)].item()


@has(TOKEN)
def sort_gather_take() -> Any:
    v, i = PROBS.sort(descending=True)
    return i.gather(-1, torch.multinomial(v[None], 1)[0]).item()


@has(TOKEN)
def argwhere_() -> Any:
    return int(torch.argwhere(PROBS.cumsum(0) > u64(1))[0])


@has(TOKEN)
def np_count() -> Any:
    return int((PROBS.cumsum(0) < u64(1)).numpy().sum())


@has(TOKEN)
def list_index() -> Any:
    return ["a", "b", "c"].index(["a", "b", "c"][torch.multinomial(PROBS, 1)])


@has(TOKEN)
def bin_weights() -> Any:
    return random.choices([0, 1, 2], cum_weights=[0.5, 0.8, 1.0])[0]


@has({(0, 1, 3): 0.5, (1, 0, 3): 0.5})
def multinomial_takes_what_has_no_weight() -> Any:
    return torch.multinomial(torch.tensor([0.5, 0.5, 0, 0]), 3)
