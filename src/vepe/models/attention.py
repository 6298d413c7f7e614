"""Attention and feed-forward blocks shared by all transformer layers.

Pre-norm residual blocks over `torch.nn.functional.scaled_dot_product_attention`, which picks the
fastest kernel of the device.

Dimensions: X batch (any leading dimensions flattened), S tokens, Q queries, C channels, H heads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention.

    The caller adds positions to `query` and `key` but not to `value`: positions decide where to
    look, not what is read.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim {dim} is not a multiple of heads {heads}")
        self.heads = heads
        self.to_query = nn.Linear(dim, dim)
        self.to_key = nn.Linear(dim, dim)
        self.to_value = nn.Linear(dim, dim)
        self.to_out = nn.Linear(dim, dim)

    def _split(self, tokens: Float[Tensor, "X S C"]) -> Float[Tensor, "X H S C/H"]:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(
        self,
        query: Float[Tensor, "X Q C"],
        key: Float[Tensor, "X S C"],
        value: Float[Tensor, "X S C"],
        mask: Bool[Tensor, "... Q S"] | Float[Tensor, "... Q S"] | None = None,
    ) -> Float[Tensor, "X Q C"]:
        """Attention of every query. `mask`: True where it may attend, or added to the logits."""
        q, k = self._split(self.to_query(query)), self._split(self.to_key(key))  # (X, H, S, C/H)
        v = self._split(self.to_value(value))
        if query.device.type == "cpu" and torch.is_grad_enabled():
            # The backward pass of the CPU's kernel is many times slower in bfloat16.
            with torch.autocast("cpu", enabled=False):
                out = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), mask)
        else:
            out = F.scaled_dot_product_attention(q, k, v, mask)  # (X, H, Q, C/H)
        return self.to_out(out.transpose(1, 2).flatten(2))  # (X, Q, C)


class SelfAttentionBlock(nn.Module):
    """Self-attention between tokens: x + attention(norm(x) with positions)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)

    def forward(
        self,
        tokens: Float[Tensor, "X S C"],
        positions: Float[Tensor, "X S C"] | None = None,
        mask: Tensor | None = None,
    ) -> Float[Tensor, "X S C"]:
        """The updated tokens; `mask` as in `Attention`."""
        value = self.norm(tokens)
        query = value if positions is None else value + positions
        return tokens + self.attention(query, query, value, mask)


class FeedForwardBlock(nn.Module):
    """x + MLP(norm(x)) for each token."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, hidden)
        self.reduce = nn.Linear(hidden, dim)

    def forward(self, tokens: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """The updated tokens."""
        return tokens + self.reduce(F.gelu(self.expand(self.norm(tokens))))


def mlp(dim: int, out: int, layers: int, *, zero_last: bool = False) -> nn.Sequential:
    """`layers` linear layers with GELU between them.

    Args:
        dim: channels of the input and of the hidden layers.
        out: channels of the output.
        layers: number of linear layers, at least 1.
        zero_last: start the last layer at zero, so that the untrained output is exactly 0.
    """
    parts: list[nn.Module] = []
    for _ in range(layers - 1):
        parts += [nn.Linear(dim, dim), nn.GELU()]
    last = nn.Linear(dim, out)
    if zero_last:
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return nn.Sequential(*parts, last)


def flatten_maps(maps: list[Float[Tensor, "B C h w"]]) -> Float[Tensor, "B S C"]:
    """The cells of all levels as one sequence of S tokens, finest level first, row by row."""
    return torch.cat([m.flatten(2).transpose(1, 2) for m in maps], dim=1)
