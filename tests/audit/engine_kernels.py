"""Verification functions with the interfaces of serving engines, written anew from their documentation.

Each takes ``slip``: a fault that engines have had, or are one slip away from.
"""

import numpy as np
import torch


def recovered(target, draft, tokens, generator=None):
    """A token for each rejected draft, by a race: argmax of residual over exponential noise; Long[n]."""
    weights = target.clone() if draft is None else (target - draft).clamp(min=0)
    if draft is None:
        weights.scatter_(1, tokens[:, None], 0.0)
    return (weights / torch.empty_like(weights).exponential_(generator=generator)).argmax(-1)


def rejection_sample(
    draft_token_ids, num_draft_tokens, max_spec_len, cu_num_draft_tokens, draft_probs, target_probs, bonus_token_ids,
    sampling_metadata, slip="",
):  # fmt: skip
    """As vLLM's: windows end to end, a generator for some requests, output padded with -1."""
    assert isinstance(num_draft_tokens, list)
    assert cu_num_draft_tokens.shape == (len(num_draft_tokens),)
    assert target_probs.shape[0] == draft_token_ids.shape[0] == sum(num_draft_tokens)
    assert not sampling_metadata.all_greedy
    out = torch.full((len(num_draft_tokens), max_spec_len + 1), -1)
    for row, end in enumerate(cu_num_draft_tokens.tolist()):
        start = end - num_draft_tokens[row]
        rows = slice(start, end)
        laws = target_probs.roll(1, 0) if slip == "rows shifted by one" else target_probs
        x, p, q = draft_token_ids[rows], laws[rows], None if draft_probs is None else draft_probs[rows]
        generator = sampling_metadata.generators.get(row)
        other = recovered(p, q, x, generator)
        if slip == "recovered from the target":
            other = torch.multinomial(p, 1, generator=generator)[:, 0] if len(p) else other
        likely = p.gather(1, x[:, None])[:, 0] / (1 if q is None else q.gather(1, x[:, None])[:, 0])
        accepted = int((torch.rand(len(x), generator=generator) <= likely).long().cumprod(0).sum())
        out[row, :accepted] = x[:accepted]
        out[row, accepted] = other[accepted] if accepted < len(x) else bonus_token_ids[row, 0]
    return out


def chain_speculative_sampling(
    draft_probs, draft_token_ids, target_probs, maybe_output_accepted_token_num=None, deterministic=True,
    generator=None, seed=None, slip="",
):  # fmt: skip
    """As FlashInfer's, which TensorRT-LLM calls: tokens padded with -1, and two counts."""
    assert seed is None
    batch, window = draft_token_ids.shape
    p_x, q_x = (law.gather(2, draft_token_ids[..., None])[..., 0] for law in (target_probs[:, :-1], draft_probs))
    flags = torch.rand(batch, window, generator=generator) * q_x < p_x
    accepted = flags.long().cumprod(1).sum(1)
    padded = torch.cat([draft_probs, torch.zeros_like(target_probs[:, :1])], 1)
    rows = torch.arange(batch)
    rest = (target_probs[rows, accepted] - padded[rows, accepted]).clamp(min=0)
    if slip == "residual of the last row":
        rest = (target_probs[rows, accepted] - padded[rows, (accepted - 1).clamp(min=0)]).clamp(min=0)
    rest = torch.where(rest.sum(1, keepdim=True) > 0, rest, target_probs[rows, accepted])
    out = torch.cat([draft_token_ids, torch.zeros(batch, 1, dtype=torch.long)], 1)
    out[rows, accepted] = torch.multinomial(rest, 1, generator=generator)[:, 0]
    return out.masked_fill(torch.arange(window + 1) > accepted[:, None], -1), flags.sum(1), accepted


def walk(candidates, children, target, uniforms, last, slip):
    """Accepted nodes and the token after them: one variate a node decides among its children by their running sum."""
    node, path, law = 0, [0], target[0].clone()
    while True:
        upto, found = 0.0, None
        for child in children[node]:
            token = int(candidates[child])
            upto = float(law[token]) if slip == "siblings share a variate" else upto + float(law[token])
            if uniforms[node] <= upto:
                found = child
                break
        if found is None:
            break
        node = found
        path.append(node)
        law = target[path[-2] if slip == "row of the parent" else node]
    rest = law.clone()
    for child in children[node]:
        if slip != "children may come again":
            rest[int(candidates[child])] = 0
    sums = rest.double().cumsum(0)
    return path, int((sums <= float(last) * sums[-1]).sum().clamp(max=len(rest) - 1))


def fill(predicts, accept_index, accept_token_num, candidates, children_of, given, slip):
    nodes = candidates.shape[1]
    for b in range(len(candidates)):
        target, uniforms, last = (part[b] for part in given)
        path, token = walk(candidates[b].tolist(), children_of(b), target, uniforms.tolist(), last, slip)
        tokens = [*(int(candidates[b, node]) for node in path[1:]), token]
        for k, node in enumerate(path):
            accept_index[b, k] = b * nodes + node
            predicts[b * nodes + node] = tokens[k]
        accept_token_num[b] = len(path) - 1


def chain_speculative_sampling_target_only(
    predicts, accept_index, accept_token_num, candidates, uniform_samples, uniform_samples_for_final_sampling,
    target_probs, draft_probs, threshold_single=1.0, threshold_acc=1.0, slip="",
):  # fmt: skip
    """As SGLang's: buffers are filled, no draft law is known, ``draft_probs`` is room for scratch."""
    assert (draft_probs == 0).all()
    given = target_probs, uniform_samples, uniform_samples_for_final_sampling
    nodes = candidates.shape[1]
    chain = [[k + 1] if k + 1 < nodes else [] for k in range(nodes)]
    fill(predicts, accept_index, accept_token_num, candidates, lambda b: chain, given, slip)


def tree_speculative_sampling_target_only(
    predicts, accept_index, accept_token_num, candidates, retrive_index, retrive_next_token, retrive_next_sibling,
    uniform_samples, uniform_samples_for_final_sampling, target_probs, draft_probs=None, threshold_single=1.0,
    slip="",
):  # fmt: skip
    """As SGLang's for trees."""
    assert (retrive_index == torch.arange(retrive_index.numel()).view_as(retrive_index)).all()

    def children_of(b):
        found = []
        for node in range(candidates.shape[1]):
            own, child = [], int(retrive_next_token[b, node])
            while child != -1:
                own.append(child)
                child = int(retrive_next_sibling[b, child])
            found.append(own)
        return found

    given = target_probs, uniform_samples, uniform_samples_for_final_sampling
    fill(predicts, accept_index, accept_token_num, candidates, children_of, given, slip)


def rejection(x, q, p, rng):
    """Modified rejection sampling of one window in NumPy: a list of committed tokens."""
    out = []
    for k, token in enumerate(x.tolist()):
        if rng.random() * q[k, token] >= p[k, token]:
            rest = np.maximum(p[k] - q[k], 0)
            rest = rest if rest.sum() > 0 else p[k]
            return [*out, int(rng.choice(len(rest), p=rest / rest.sum()))]
        out.append(token)
    law = p[len(out)].astype(np.float64)
    return [*out, int(rng.choice(len(law), p=law / law.sum()))]
