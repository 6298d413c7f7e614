"""The memory of a frame: padding reads like the area outside the image; tokens return to maps."""

from __future__ import annotations

import torch

from tiny_networks import lively_model
from vepe.models.deformable import sample_map
from vepe.models.memory import Memory, MemoryTokens, padding_by_level


def test_padding_reads_like_the_outside() -> None:
    """Maps with padded last columns, whatever these hold, decode like the maps cut there."""
    model = lively_model()
    torch.manual_seed(1)
    images = torch.rand(1, 3, 64, 96)
    maps = model.pyramid(model.backbone(images), 64, 96)
    padding = [torch.zeros(1, *m.shape[-2:], dtype=torch.bool) for m in maps]
    for level, padded in zip(maps, padding, strict=True):
        last = level.shape[-1] // 3
        padded[..., -last:] = True
        level[..., -last:] = 100.0
    cut = [m[..., : m.shape[-1] * 2 // 3] for m in maps]
    outputs = []
    with torch.inference_mode():
        for memory in (
            Memory(maps, padding, model.pyramid.strides),
            Memory(cut, None, model.pyramid.strides),
        ):
            # Positions are relative to the whole input: compare what is read, not the encoder.
            values = memory.projected(model.memory_encoder.layers[0].attention.project)
            at = torch.tensor([[[[10.0, 20.0], [60.0, 40.0], [63.0, 8.0], [70.0, 8.0]]]])
            outputs.append([sample_map(v, at, memory.image_wh_px) for v in values])
    for a, b in zip(*outputs, strict=True):
        torch.testing.assert_close(a, b)


def test_a_cell_is_padding_if_its_centre_is() -> None:
    padding = torch.zeros(1, 16, 16, dtype=torch.bool)
    padding[..., 10:] = True  # the second cell of stride 8 has its centre at 12 px
    first, second = padding_by_level(padding, (4, 8))
    assert first[0, 0].tolist() == [False, False, True, True]  # centres at 2, 6, 10, 14 px
    assert second[0, 0].tolist() == [False, True]
    assert padding_by_level(None, (8,)) is None


def test_tokens_written_back_give_the_same_memory() -> None:
    torch.manual_seed(0)
    memory = Memory([torch.rand(2, 8, 4, 6), torch.rand(2, 8, 2, 3)], None, (8, 16))
    tokens = MemoryTokens(8, (1,), 2)
    content, positions, centres, radii = tokens.read(memory)
    assert content.shape == (2, 6, 8)
    assert positions.shape == (6, 8)
    assert centres[0].tolist() == [8.0, 8.0]
    assert radii.tolist() == [[32.0, 32.0]] * 6  # two cells of the coarser of both levels
    for a, b in zip(tokens.write(memory, content).maps, memory.maps, strict=True):
        assert torch.equal(a, b)
