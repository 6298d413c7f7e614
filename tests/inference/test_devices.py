"""Devices by name, with a message for those that are missing, and the threads of a CPU."""

from __future__ import annotations

import os

import pytest
import torch

from vepe.errors import VepeError
from vepe.inference import devices
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


@pytest.mark.parametrize(
    ("variables", "quota", "expected"),
    [
        ({}, None, {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}),
        ({"VEPE_SPIN": "1"}, None, {}),
        ({"VEPE_SPIN": "1", "OMP_WAIT_POLICY": "ACTIVE"}, 8, {"OMP_WAIT_POLICY": "ACTIVE"}),
        ({"VEPE_SPIN": "1"}, 2, {"OMP_NUM_THREADS": "2"}),
        ({"VEPE_SPIN": "1", "OMP_NUM_THREADS": "3"}, 2, {"OMP_NUM_THREADS": "3"}),
    ],
)
def test_threads_of_openmp(
    variables: dict[str, str], quota: int | None, expected: dict[str, str], monkeypatch
) -> None:
    environment = dict(variables)
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(devices, "_quota", lambda: quota)
    monkeypatch.setattr(devices, "_affinity", lambda: 8)
    devices.quiet_threads()
    environment.pop("VEPE_SPIN", None)
    assert environment == expected
    assert devices.available_cores() == min(quota or 8, int(expected.get("OMP_NUM_THREADS", 8)))
