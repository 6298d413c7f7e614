"""What a light installation does: the bundled models, without torch or with it."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import vepe
from vepe.cli.app import run
from vepe.errors import VepeError

CLIP = Path(__file__).parents[2] / "assets" / "store_aisle.mp4"
LIGHT = find_spec("torch") is None


def test_the_bundled_model_tracks_on_onnx_runtime() -> None:
    model = vepe.load("vepe-n", backend="onnxruntime", input_px=256)
    assert model.backend == "onnxruntime"
    frames = list(islice(model.track(CLIP, stride=2), 12))
    assert len(frames) == 12
    seen = np.bincount(np.concatenate([frame.track_ids for frame in frames]))
    assert seen.max() >= 10, seen  # one person keeps the id


@pytest.mark.parametrize("shape", [(90, 160), (160, 90), (40, 40)])
def test_images_of_any_shape(shape: tuple[int, int], rng: np.random.Generator) -> None:
    model = vepe.load("vepe-n", backend="onnxruntime", input_px=128, conf=0.0)
    poses = model.predict(rng.integers(0, 255, (*shape, 3)).astype(np.uint8))
    assert np.isfinite(poses.keypoints_px).all()
    assert poses.keypoints_px.shape[1:] == (15, 2)


def test_a_window_of_one_gives_what_single_images_give() -> None:
    model = vepe.load("vepe-n", backend="onnxruntime", input_px=128, window=1, conf=0.0)
    from vepe.video.reader import open_video

    with open_video(CLIP) as video:
        images = [frame.image for frame in islice(video, 3)]
    stream = model.stream(25.0, tracking=False)
    for image in images:
        np.testing.assert_array_equal(
            stream.push(image)[0].keypoints_px, model.predict(image).keypoints_px
        )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"backend": "tensorflow"}, "There is no backend 'tensorflow'; give auto, torch"),
        ({"device": "gpu"}, "'gpu' is no device"),
        ({"backend": "onnxruntime", "device": "mps"}, "has no device 'mps'"),
        ({"backend": "onnxruntime", "lookahead": 6}, "exported for at most 4"),
    ],
)
def test_wrong_options(options: dict[str, object], says: str) -> None:
    with pytest.raises(VepeError) as caught:
        vepe.load("vepe-n", **options)  # type: ignore[arg-type]
    assert says in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "text"])
def test_damaged_files(damage: str, tmp_path: Path) -> None:
    from vepe.inference.model_files import bundled_weights

    bundled = bundled_weights("vepe-n", ".onnx")
    assert bundled is not None
    content = b"these are no weights" if damage == "text" else bundled.read_bytes()[:100_000]
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(VepeError, match=r"model\.onnx"):
        vepe.load(tmp_path / "model.onnx")


@pytest.mark.skipif(not LIGHT, reason="torch is installed")
@pytest.mark.parametrize(
    "arguments",
    [
        ["track", str(CLIP), "--backend", "torch", "--no-video"],
        ["export", "vepe-n", "-o", "m.onnx"],
        ["track", str(CLIP), "--model", "hf://owner/repo", "--no-video"],
        ["train", "vepe-n"],
    ],
)
def test_what_needs_torch_says_so(
    arguments: list[str], capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert "pip install '.[" in capsys.readouterr().err


@pytest.mark.skipif(not LIGHT, reason="torch is installed")
@pytest.mark.parametrize("command", ["models", "doctor"])
def test_commands_that_run_without_torch(command: str, capsys) -> None:
    assert run([command]) == 0
    assert "vepe-n" in capsys.readouterr().out
