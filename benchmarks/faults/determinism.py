"""Kind `determinism`: the same input gives the same result, however it is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import run_vepe
import torch
from campaign import Trial, WrongError
from commands import COMMANDS, Command
from PIL import Image

_TOLERANCE_PX = 1e-3 + 1e-9  # results have three decimals


def determinism(trial: Trial) -> None:
    """Repeats a command, with other threads, or with frames as images instead of a video."""
    trial.rng.choice(WAYS)(trial)


def _twice(trial: Trial) -> None:
    """Every file that a command writes is equal byte for byte the second time, but for times."""
    quick = [
        c for c in COMMANDS
        if c.writes and not c.slow and not c.timed and "data shard" not in c.arguments
    ]  # fmt: skip
    command: Command = trial.rng.choice(quick)
    trial.say(f"twice: {command.arguments}")
    trial.samples.begin(command.inputs, command.after, trial.folder)
    answer = run_vepe.run(command.words(trial.folder), trial.folder)
    run_vepe.check(answer, codes=(0, *command.codes))
    before = Path(trial.samples.results[command.arguments])
    for path in sorted(before.rglob("*")):
        if path.is_file() and path.suffix not in (".zip",):
            again = trial.folder / "out" / path.relative_to(before)
            same = _normalised(again) == _normalised(path)
            if not same:
                raise WrongError(f"{again.name} differs at the second run")


def _normalised(path: Path) -> bytes:
    """The content without the paths of the trial and the identity of the source, which differ."""
    if path.suffix == ".h5":
        return _hdf5_values(path)
    data = path.read_bytes()
    if path.suffix == ".json" and isinstance(document := json.loads(data), dict):
        document.pop("info", None)
        data = json.dumps(document).encode()
    if path.suffix == ".json" and b"/" in data:
        text = data.decode()
        for part in (str(path).partition("/out/")[0], path.parts[2]):
            text = text.replace(part, "")
        return text.encode()
    return data


def _hdf5_values(path: Path) -> bytes:
    """All values but the path of the source."""
    import h5py

    values = {}
    with h5py.File(path) as file:
        for name in sorted(file.keys() - {"labels_path"}):
            values[name] = np.asarray(file[name][()]).tobytes()
    return repr(values).encode()


def _threads(trial: Trial) -> None:
    """One thread and two: the same ids, keypoints to a thousandth of a pixel."""
    trial.samples.copy(("clip.mp4", "tiny.safetensors"), trial.folder / "in")
    smooth = trial.rng.choice(["off", "causal", "offline"])
    trial.say(f"threads, --smooth {smooth}")
    one = _track(
        trial, trial.folder / "in/clip.mp4", "one", smooth, lambda: torch.set_num_threads(1)
    )
    two = _track(
        trial, trial.folder / "in/clip.mp4", "two", smooth, lambda: torch.set_num_threads(2)
    )
    _compare(one, two)


def _folder(trial: Trial) -> None:
    """A video without loss, and its frames as PNG files: the same poses and ids."""
    folder = trial.folder / "in"
    trial.samples.copy(("tiny.safetensors",), folder)
    count, start = trial.rng.randint(2, 8), trial.rng.randrange(200)
    trial.say(f"video against {count} images")
    (folder / "clip").mkdir()
    noise = trial.numpy_rng.integers(0, 255, (14, 30, 3)).astype(np.uint8)
    texture = noise.repeat(4, axis=0).repeat(4, axis=1)
    with av.open(str(folder / "clip.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for i in range(count):
            view = np.ascontiguousarray(texture[:48, i + start % 40 : i + start % 40 + 64])
            Image.fromarray(view).save(folder / f"clip/{i:03d}.png")
            frame = av.VideoFrame.from_ndarray(view).reformat(format="bgr0")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    one = _track(trial, folder / "clip.mkv", "one", "off")
    two = _track(trial, folder / "clip", "two", "off")
    _compare(one, two, 1e-9)


def _track(
    trial: Trial, source: Path, name: str, smooth: str, before: Callable[[], None] | None = None
) -> dict[tuple[int, int], np.ndarray]:
    """Keypoints by frame and id."""
    out = trial.folder / name
    words = [
        "track",
        str(source),
        "-o",
        str(out),
        "--no-video",
        "--imgsz",
        "64",
        "--smooth",
        smooth,
    ]
    words += ["--model", str(trial.folder / "in/tiny.safetensors")]
    answer = run_vepe.run(words, trial.folder, before)
    run_vepe.check(answer, codes=(0,))
    document = json.loads((out / f"{source.stem}.json").read_text())
    order = {image["id"]: i for i, image in enumerate(document["images"])}
    return {
        (order[a["image_id"]], a["track_id"]): np.array(a["keypoints"])
        for a in document["annotations"]
    }


def _compare(
    one: dict[tuple[int, int], np.ndarray],
    two: dict[tuple[int, int], np.ndarray],
    tolerance_px: float = _TOLERANCE_PX,
) -> None:
    if one.keys() != two.keys():
        raise WrongError(f"{len(one.keys() ^ two.keys())} people have other ids or frames")
    worst = max((float(np.abs(one[key] - two[key]).max()) for key in one), default=0.0)
    if worst > tolerance_px:
        raise WrongError(f"keypoints differ by {worst:.4f} px")


WAYS: tuple[Callable[[Trial], None], ...] = (_twice, _twice, _threads, _folder)
