"""Ways of converting, writing and looking up that lose variates where interception is careless, each with its law."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.testing._internal.two_tensor import TwoTensor

from tests.exact.idioms import COIN, F64, HALF, has, u64

NORMAL = torch.zeros(3, dtype=F64)
with torch.inference_mode():
    MADE_IN_INFERENCE = torch.zeros(3, dtype=F64)


class Subclass(torch.Tensor):
    """Without a dispatch of its own."""


@has(COIN)
def nonzero_scalar() -> Any:
    return (u64(1) < 0.3).is_nonzero()


@has(COIN)
def vmapped() -> Any:
    return bool(
        torch.vmap(lambda p: torch.rand((), dtype=F64) < p, randomness="different")(torch.tensor([0.3], dtype=F64))[0]
    )


@has(COIN)
def vmapped_same() -> Any:
    return bool(
        torch.vmap(lambda p: torch.rand((), dtype=F64) < p, randomness="same")(torch.tensor([0.3, 0.3], dtype=F64))[0]
    )


@has(COIN)
def vmapped_where() -> Any:
    return bool(torch.vmap(lambda x, p: torch.where(x < p, 1, 0))(u64(2), torch.tensor([0.3, 0.4], dtype=F64))[0])


@has(COIN)
def func_grad() -> Any:
    x = u64()
    return bool(torch.func.grad(lambda y: y * x)(torch.tensor(2.0, dtype=F64)) < 0.3)


@has(COIN)
def fill_item() -> Any:
    x = torch.zeros(2, dtype=F64)
    x.fill_(u64(1).item())
    return bool(x[1] < 0.3)


@has(COIN)
def set_item() -> Any:
    x = torch.zeros(2, dtype=F64)
    x[1] = u64(1).item()
    return bool(x[1] < 0.3)


@has(COIN)
def masked_fill_item() -> Any:
    x = torch.zeros(2, dtype=F64).masked_fill(torch.tensor([True, False]), u64(1).item())
    return bool(x[0] < 0.3)


@has(COIN)
def where_item() -> Any:
    return bool(torch.where(torch.tensor(True), u64(1).item(), 0.0) < 0.3)


@has(COIN)
def scalar_tensor_mul() -> Any:
    return bool((torch.tensor(2.0, dtype=F64) * u64(1).item()) < 0.6)


@has(COIN)
def torch_equal() -> Any:
    return torch.equal(u64(1) < 0.3, torch.tensor([True]))


@has(COIN)
def dtype_call() -> Any:
    return bool(u64(1).type(torch.float64) < 0.3)


@has(COIN)
def double_int() -> Any:
    return bool((u64(1) / 0.3).int() == 0)


@has({0: 0.3, 1: 0.3, 2: 0.3, 3: 0.1})
def uint8() -> Any:
    return int((u64(1) / 0.3).to(torch.uint8))


@has(COIN)
def bool_conv() -> Any:
    return bool((u64(1) < 0.3).to(torch.float32).bool())


@has(COIN)
def any_float() -> Any:
    return bool((u64(1) < 0.3).float().sum() > 0)


@has(COIN)
def byte_() -> Any:
    return int((u64(1) < 0.3).byte()) == 1


@has(COIN)
def np_asarray() -> Any:
    return bool(np.asarray(u64(1))[0] < 0.3)


@has(COIN)
def np_array_list() -> Any:
    return bool(np.array(u64(2).tolist())[0] < 0.3)


@has(COIN)
def np_bool_array() -> Any:
    return bool((u64(2) < 0.3).numpy()[0])


@has(COIN)
def inference_then_compare() -> Any:
    with torch.inference_mode():
        x = u64(1)
    return bool(x.double() < 0.3)


@has(COIN)
def inference_buffer() -> Any:
    with torch.inference_mode():
        MADE_IN_INFERENCE.uniform_()
    return bool(MADE_IN_INFERENCE[0] < 0.3)


@has(COIN)
def normal_buffer_in_inference() -> Any:
    with torch.inference_mode():
        NORMAL.uniform_()
    return bool(NORMAL[0] < 0.3)


@has(COIN)
def out_rand() -> Any:
    torch.rand(3, out=NORMAL)
    return bool(NORMAL[2] < 0.3)


@has(COIN)
def lt_out() -> Any:
    o = torch.zeros(1, dtype=torch.bool)
    torch.lt(u64(1), 0.3, out=o)
    return bool(o)


@has({True: 0.3, False: 0.7})
def fdropout() -> Any:
    return bool(F.dropout(torch.ones(1, dtype=F64), 0.7)[0] > 0)


@has({True: 0.3, False: 0.7})
def alpha_dropout_mask() -> Any:
    return bool(torch.nn.Dropout(0.7)(torch.ones(1, dtype=F64)).to(torch.bool)[0])


@has(HALF)
def shuffle_list() -> Any:
    items = [0, 1]
    random.shuffle(items)
    return items[0] == 1


@has(COIN)
def python_float_of_item() -> Any:
    return float(u64(1).item()) < 0.3


@has(COIN)
def python_max() -> Any:
    return max(u64(1).item(), 0.3) == 0.3


@has(COIN)
def sorted_thing() -> Any:
    return sorted([u64(1).item(), 0.3])[1] == 0.3


@has(COIN)
def autocast_mm() -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        w = torch.ones(1, 1) @ torch.ones(1, 1)
    return bool(u64(1) * w.double()[0] < 0.3)


@has(COIN)
def accept_cumprod() -> Any:
    return bool((u64(3) < 0.3).long().cumprod(0)[0])


@has(COIN)
def accept_cumprod_int() -> Any:
    return bool((u64(3) < 0.3).int().cumprod(0)[0])


@has(COIN)
def minmax() -> Any:
    return bool(torch.minimum(u64(1), torch.tensor([0.3], dtype=F64)) < 0.3)


@has(COIN)
def unbound() -> Any:
    a, _ = u64(2)
    return bool(a < 0.3)


@has(COIN)
def iterated() -> Any:
    return next(bool(x < 0.3) for x in u64(2))


@has(COIN)
def einsum_one() -> Any:
    return bool(torch.einsum("i->i", u64(2))[0] < 0.3)


@has(COIN)
def tensor_split() -> Any:
    return bool(torch.tensor_split(u64(4), 2)[1][0] < 0.3)


@has(COIN)
def unflatten() -> Any:
    return bool(u64(4).unflatten(0, (2, 2)).flatten().narrow(0, 1, 1).contiguous().unfold(0, 1, 1)[0, 0] < 0.3)


@has(COIN)
def ceil_div() -> Any:
    return bool(torch.ceil(u64(1) - 0.3) <= 0)


@has(COIN)
def isclose_() -> Any:
    return not bool((u64(1) - 0.3).ge(0))


@has(COIN)
def sub_out() -> Any:
    x = u64(1)
    torch.sub(x, 0.3, out=x)
    return bool(x < 0)


@has(COIN)
def data_attr() -> Any:
    return bool(u64(1).data < 0.3)


@has(COIN)
def requires() -> Any:
    return bool(u64(1).requires_grad_().detach() < 0.3)


@has(COIN)
def param() -> Any:
    return bool(torch.nn.Parameter(u64(1)) < 0.3)


@has({False: 1 - 0.3 * 0.3, True: 0.09})
def all_two() -> Any:
    return bool((u64(2) < 0.3).all())


@has(COIN)
def subclass() -> Any:
    return bool(u64(1).as_subclass(Subclass) < 0.3)


@has(COIN)
def jit_traced() -> Any:
    f = torch.jit.trace(lambda p: p * 2, torch.ones(1, dtype=F64))
    return bool(f(u64(1)) < 0.6)


@has(COIN)
def checkpointed() -> Any:
    return bool(torch.utils.checkpoint.checkpoint(lambda x: x * 2, u64(1), use_reentrant=False) < 0.6)


@has(COIN)
def count_nz() -> Any:
    return int(torch.count_nonzero(u64(1) < 0.3)) == 1


@has(COIN)
def xor_() -> Any:
    return bool((u64(1) < 0.3) ^ False)


@has(HALF)
def sysrand() -> Any:
    return random.SystemRandom().random() < 0.5


@has(HALF)
def bitwise() -> Any:
    return random.getrandbits(3) % 2 == 1


@has(HALF)
def np_integers() -> Any:
    return bool(np.random.default_rng(1).integers(2))


@has(COIN)
def subclass_with_a_dispatch_of_its_own() -> Any:
    x = u64(1)
    return bool((TwoTensor(x, x) * 1).a < 0.3)


@has(COIN)
def functionalised() -> Any:
    return bool(torch.func.functionalize(lambda x: x * 1)(u64(1))[0] < 0.3)


@has(COIN)
def through_bfloat16() -> Any:
    return bool(u64(1).bfloat16().double() < 0.3)
