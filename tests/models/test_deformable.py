"""Deformable attention against a slow reference that follows the definition point by point."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vepe.models.deformable import DeformableAttention, sample_map


def value_at(level_map: Tensor, x_px: float, y_px: float, stride: float) -> Tensor:
    """Bilinear value between cell centres, cells outside the map being zero."""
    x, y = x_px / stride - 0.5, y_px / stride - 0.5
    x0, y0 = int(torch.tensor(x).floor()), int(torch.tensor(y).floor())
    total = torch.zeros(level_map.shape[0], dtype=level_map.dtype)
    for cy, cx in ((y0, x0), (y0, x0 + 1), (y0 + 1, x0), (y0 + 1, x0 + 1)):
        if 0 <= cy < level_map.shape[1] and 0 <= cx < level_map.shape[2]:
            total += level_map[:, cy, cx] * (1 - abs(x - cx)) * (1 - abs(y - cy))
    return total


def reference(
    attention: DeformableAttention,
    query: Tensor,
    points_px: Tensor,
    radius_px: Tensor,
    values: list[Tensor],
    strides: list[int],
) -> Tensor:
    """The definition with loops: softmax over levels x points, head by head."""
    heads, levels, points = attention.heads, attention.levels, attention.points
    out = torch.zeros_like(query)
    for b in range(query.shape[0]):
        for q in range(query.shape[1]):
            samples = []
            offset = attention.to_offsets(query[b, q]).view(heads, levels, points, 2)
            for h in range(heads):
                for level in range(levels):
                    for p in range(points):
                        at = points_px[b, q] + offset[h, level, p] * radius_px[b, q, level]
                        sampled = value_at(
                            values[level][b], float(at[0]), float(at[1]), strides[level]
                        )
                        samples.append(sampled.view(heads, -1)[h])
            weight = attention.to_weights(query[b, q]).view(heads, -1).softmax(dim=-1)
            values_at = torch.stack(samples).view(heads, levels * points, -1)
            out[b, q] = attention.to_out((weight.unsqueeze(-1) * values_at).sum(dim=1).flatten())
    return out


@pytest.mark.parametrize("levels", [1, 2])
def test_attention_equals_the_slow_reference(levels: int) -> None:
    torch.manual_seed(levels)
    strides = [8, 16][:levels]
    height, width, dim = 48, 64, 8
    attention = DeformableAttention(dim, heads=2, levels=levels, points=3).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    query = torch.randn(2, 5, dim, dtype=torch.float64)
    # Some points lie outside the image on purpose.
    points = torch.rand(2, 5, 2, dtype=torch.float64) * torch.tensor([90.0, 70.0]) - 10
    radius = torch.rand(2, 5, levels, dtype=torch.float64) * 20
    maps = [torch.randn(2, dim, height // s, width // s).double() for s in strides]
    size = torch.tensor([float(width), float(height)])
    attention.requires_grad_(False)
    output = attention(query, points, radius, maps, size)
    expected = reference(attention, query, points, radius, maps, strides)
    # Coordinates and softmax are float32 by design, the rest is float64.
    torch.testing.assert_close(output, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("x_px", "y_px", "expected"),
    [
        (4.0, 4.0, 0.0),  # the centre of the first cell
        (12.0, 4.0, 1.0),
        (8.0, 4.0, 0.5),  # between two centres
        (4.0, 12.0, 4.0),
        (0.0, 4.0, 0.0),
        (-40.0, 4.0, 0.0),  # outside the image
        (28.0, 20.0, 11.0),  # the centre of the last cell
        (32.0, 20.0, 5.5),  # the border: half of it is outside
    ],
)
def test_sampling_is_bilinear_between_cell_centres(
    x_px: float, y_px: float, expected: float
) -> None:
    level_map = torch.arange(12.0).view(1, 1, 3, 4)
    at = torch.tensor([x_px, y_px]).view(1, 1, 1, 2)
    sampled = sample_map(level_map, at, torch.tensor([32.0, 24.0]))
    assert sampled.item() == pytest.approx(expected, abs=1e-5)


def test_positions_stay_exact_in_half_precision() -> None:
    """A ramp over 2048 px sampled in bfloat16: the position, not the value, must be exact."""
    ramp = torch.arange(256.0).view(1, 1, 1, 256).to(torch.bfloat16)
    at = torch.tensor([[[[1003.0, 4.0]]]])
    sampled = sample_map(ramp.float(), at, torch.tensor([2048.0, 8.0]))
    assert sampled.item() == pytest.approx(1003 / 8 - 0.5, abs=1e-3)
    half = sample_map(ramp, at, torch.tensor([2048.0, 8.0]))
    assert half.dtype == torch.bfloat16
    assert half.item() == pytest.approx(1003 / 8 - 0.5, abs=0.5)
