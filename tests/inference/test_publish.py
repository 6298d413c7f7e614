"""`vepe push`: what reaches the hub, and the sentence for each failure; no network."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import yaml
from huggingface_hub import errors

from tiny_models import tiny_weights_file
from vepe.cli.app import run
from vepe.errors import VepeError
from vepe.inference.model_files import read_card
from vepe.inference.publish import push_weights


class FakeHub:
    """Stands in for `HfApi`, and keeps what is uploaded."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.error: Exception | None = None

    def create_repo(self, repo: str, **options: Any) -> None:
        self.calls.append((repo, options))
        if self.error:
            raise self.error

    def file_exists(self, repo: str, name: str, revision: str | None) -> bool:
        return name in self.files

    def create_commit(self, repo: str, operations: list[Any], **options: Any) -> None:
        self.calls.append((repo, options))
        for operation in operations:
            content = operation.path_or_fileobj
            data = content if isinstance(content, bytes) else Path(content).read_bytes()
            self.files[operation.path_in_repo] = data


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    hub = FakeHub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    return hub


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tiny_weights_file(tmp_path)


def test_weights_and_card_are_uploaded(hub, weights, tmp_path, capsys) -> None:
    words = ["push", str(weights), "me/pose", "--license", "apache-2.0", "--private"]
    assert run(words) == 0
    assert "vepe track VIDEO --model hf://me/pose" in capsys.readouterr().out
    assert hub.files["model.safetensors"] == weights.read_bytes()
    (tmp_path / "again.safetensors").write_bytes(hub.files["model.safetensors"])
    assert read_card(tmp_path / "again.safetensors").config == read_card(weights).config
    text = hub.files["README.md"].decode()
    header = yaml.safe_load(text.split("---")[1])
    assert header["license"] == "apache-2.0"
    assert header["pipeline_tag"] == "keypoint-detection"
    assert 'vepe.load("hf://me/pose")' in text
    assert "## History" in text
    assert hub.calls[0] == ("me/pose", {"private": True, "exist_ok": True})
    assert run(words) == 2
    assert "has weights already; add --overwrite" in capsys.readouterr().err
    assert run([*words, "--overwrite", "--revision", "v2"]) == 0
    assert "hf://me/pose@v2" in capsys.readouterr().out


def test_card_comes_from_a_file(hub, weights, tmp_path, capsys) -> None:
    weights.with_suffix(".md").write_text(
        "# Scores\n\n[12 AP](../docs/scores.md#ap), ![a plot](plot.png) "
        "[data](https://a.b) [up](#scores)"
    )
    push_weights(weights, "me/pose")
    card = hub.files["README.md"].decode().rstrip()
    assert card.endswith("12 AP, a plot [data](https://a.b) [up](#scores)")
    (tmp_path / "other.md").write_text("Other words")
    dry = ["push", str(weights), "me/new", "--card", str(tmp_path / "other.md"), "--dry-run"]
    calls = len(hub.calls)
    assert run(dry) == 0
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith("Other words")
    assert "license" not in printed
    assert len(hub.calls) == calls
    (tmp_path / "latin.md").write_bytes(b"caf\xe9")
    for name, problem in (("none", "does not exist"), ("latin", "is not text in UTF-8")):
        with pytest.raises(VepeError, match=problem):
            push_weights(weights, "me/pose", text=tmp_path / f"{name}.md")
    with pytest.raises(VepeError, match="is no regular file"):  # it never ends
        push_weights(weights, "me/pose", text=Path("/dev/zero"))


def test_exported_models_are_not_weights(hub, weights, tmp_path) -> None:
    exported = tmp_path / "model.onnx"
    exported.write_bytes(weights.read_bytes())
    with pytest.raises(VepeError, match="push the weights that it was made from"):
        push_weights(exported, "me/pose")
    assert hub.calls == []


@pytest.mark.parametrize("repo", ["pose", "me/../pose", "me/pose/x", "", "me/"])
def test_malformed_names(repo, hub, weights) -> None:
    with pytest.raises(VepeError, match="write OWNER/REPO"):
        push_weights(weights, repo)
    assert run(["push", str(weights), repo, "--dry-run"]) == 2
    assert hub.calls == []


def _refused(status: int) -> Exception:
    response: Any = SimpleNamespace(status_code=status, headers={}, request=None, text="")
    return errors.HfHubHTTPError(f"{status} no.", response=response)


def _unreachable() -> Exception:
    kind = type("ConnectError", (Exception,), {"__module__": "httpx2"})
    return kind("[Errno 111] Connection refused")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (_refused(401), "hf auth login"),
        (_refused(403), "hf auth login"),
        (_refused(500), "500 no"),
        (errors.LocalTokenNotFoundError("no"), "nobody is logged in"),
        (OSError(28, "No space left on device"), "No space left"),
        (_unreachable(), "check the network"),
    ],
)
def test_failures_are_one_sentence(error, says, hub, weights) -> None:
    hub.error = error
    with pytest.raises(VepeError) as caught:
        push_weights(weights, "me/pose")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    hub.error = RuntimeError("a bug")
    with pytest.raises(RuntimeError):
        push_weights(weights, "me/pose")
