"""Loops as people release them: nobody's record in mind, and not to be changed by a test."""

import torch


def law(model, tokens):
    return model.next_token_probs(tokens[None])[0, -1].double()


@torch.no_grad()
def one_sequence(model, generator, window=3, stale=False):
    """Speculative Jacobi decoding, one sequence; with ``stale`` a kept draft keeps its old law."""
    out = torch.zeros(0, dtype=torch.long)
    x = torch.randint(model.vocab_size, (window,), generator=generator)
    q = torch.full((window, model.vocab_size), 1 / model.vocab_size, dtype=torch.float64)
    while len(out) < model.num_tokens:
        x, q = x[: model.num_tokens - len(out)], q[: model.num_tokens - len(out)]
        p = model.next_token_probs(torch.cat([out, x[:-1]])[None])[0, len(out) :].double()
        at = torch.arange(len(x))
        kept = torch.rand(len(x), generator=generator, dtype=torch.float64) * q[at, x] < p[at, x]
        residual = (p - q).clamp(min=0)
        redrawn = torch.multinomial(
            torch.where(residual.sum(1, keepdim=True) > 0, residual, p), 1, generator=generator
        )[:, 0]
        n = int(kept.long().cumprod(0).sum())
        after = torch.where(kept, x, redrawn)
        m = min(n + 1, len(x))
        out = torch.cat([out, after[:m]])
        new = torch.randint(model.vocab_size, (m,), generator=generator)
        q = torch.cat(
            [torch.where(kept[:, None], q, p)[m:] if stale else p[m:], torch.full((m, p.shape[1]), 1 / p.shape[1])]
        )
        x = torch.cat([after[m:], new])
    return out


def batch(model, num_sequences, generator, window=3, from_target=False):
    """The same over a batch; with ``from_target`` a rejection is replaced by a draw from p."""
    size, last, rows = model.vocab_size, model.num_tokens, torch.arange(num_sequences)[:, None]
    tokens = torch.randint(size, (num_sequences, last + window), generator=generator)
    laws = torch.full((num_sequences, last + window, size), 1 / size, dtype=torch.float64)
    start = torch.zeros(num_sequences, dtype=torch.long)
    while (start < last).any():
        at = start[:, None] + torch.arange(window)
        every = model.next_token_probs(tokens[:, : last - 1]).double()
        p = torch.cat([every, laws.new_full((num_sequences, window, size), 1 / size)], 1)[rows, at]
        x, q = tokens[rows, at], laws[rows, at]
        ok = (
            torch.rand(x.shape, generator=generator) * q.gather(2, x[..., None])[..., 0]
            < p.gather(2, x[..., None])[..., 0]
        )
        residual = p if from_target else (p - q).clamp(min=0)
        residual = torch.where(residual.sum(2, keepdim=True) > 0, residual, p)
        y = torch.where(ok, x, torch.multinomial(residual.flatten(0, 1), 1, generator=generator).view(x.shape))
        tokens[rows, at], laws[rows, at] = y, p
        # the pass is over
        start = (start + (ok.long().cumprod(1).sum(1) + 1).clamp(max=window)).clamp(max=last)
    return tokens[:, :last]
