"""Weights by address on the hub: what is requested, and the message of each failure."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from vepe.errors import VepeError
from vepe.inference.model_files import fetch_weights, find_weights


def answer(status: int = 404) -> Any:
    """A failed response, with the parts that the hub library's errors read."""
    return SimpleNamespace(status_code=status, headers={}, request=None, text="")


@pytest.mark.parametrize(
    ("address", "request_"),
    [
        ("hf://me/pose", ("me/pose", "model.safetensors", None)),
        ("hf://me/pose-2.1/b.safetensors", ("me/pose-2.1", "b.safetensors", None)),
        ("hf://me/pose@v1.0", ("me/pose", "model.safetensors", "v1.0")),
        ("hf://me/pose@main/sub/b.safetensors", ("me/pose", "sub/b.safetensors", "main")),
    ],
)
def test_requested_file(address: str, request_: tuple, monkeypatch, tmp_path: Path) -> None:
    calls = []

    def download(repo: str, file: str, *, revision: str | None) -> str:
        calls.append((repo, file, revision))
        return str(tmp_path / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert find_weights(address) == tmp_path / request_[1]
    assert calls == [request_]


@pytest.mark.parametrize(
    "address",
    ["hf://", "hf://me", "hf://me/pose/b.pt", "hf://me/../x.safetensors", "hf://me/pose/run.py"],
)
def test_malformed_addresses(address: str) -> None:
    with pytest.raises(VepeError, match="is no address of weights; write hf://OWNER/REPO"):
        fetch_weights(address)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (lambda: errors.RepositoryNotFoundError("no", response=answer(401)), "no such repository"),
        (lambda: errors.GatedRepoError("no", response=answer(403)), "must grant access"),
        (lambda: errors.RevisionNotFoundError("no", response=answer()), "no revision 'v9'"),
        (lambda: errors.LocalEntryNotFoundError("no"), "check the network"),
        (lambda: errors.RemoteEntryNotFoundError("no", response=answer()), "'model.safetensors'"),
        (lambda: errors.HfHubHTTPError("500 broken.", response=answer(500)), "500 broken: try"),
        (lambda: OSError(28, "No space left on device"), "No space left on device: try again"),
    ],
)
def test_what_fails_is_told_in_one_sentence(error, says: str, monkeypatch) -> None:
    def download(*_: Any, **__: Any) -> str:
        raise error()

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(VepeError) as caught:
        fetch_weights("hf://me/pose@v9")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
