"""Devices by name, with a message for those that are missing."""

from __future__ import annotations

import pytest
import torch

from vepe.errors import VepeError
from vepe.inference.torch_network import choose_device


def test_auto_takes_the_best_available(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device() == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device() == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device() == torch.device("cuda")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gpu", "'gpu' is no device; give auto, cpu, cuda"),
        ("", "is no device"),
        ("meta", "'meta' is no device"),
        ("cuda", "There is no device 'cuda': torch"),
        ("cuda:3", "There is no device 'cuda:3': torch"),
        ("mps", "There is no device 'mps' here"),
    ],
)
def test_missing_devices(name: str, says: str, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(VepeError) as caught:
        choose_device(name)
    assert says in str(caught.value)


def test_gpu_index_out_of_range(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(VepeError, match="cuda:0 to cuda:1"):
        choose_device("cuda:2")
