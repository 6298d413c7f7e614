"""Kinds `claims` and `memory`: inputs that state enormous sizes, and too little memory."""

from __future__ import annotations

import json
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import run_vepe
import yaml
from campaign import Trial
from commands import COMMANDS, Command

Claim = Callable[[Trial, Path, int], list[str]]
_HUGE = (10**5, 2**20, 10**7, 2**31 - 1, 2**31, 10**10, 2**53, 2**63 - 1, 2**63, 10**18, 10**30)


def claims(trial: Trial) -> None:
    """One enormous number: a sentence (or a result), without the memory that it asks for."""
    claim, number = trial.rng.choice(CLAIMS), trial.rng.choice(_HUGE)
    folder = trial.folder / "in"
    folder.mkdir()
    words = claim(trial, folder, number)
    trial.say(f"{claim.__name__.strip('_')} {number}: {trial.title} | {' '.join(words)}"[:500])
    answer = run_vepe.run(words, trial.folder)
    run_vepe.check(answer, codes=(0, 1, 2) if "check" in words else (0, 2), log=words[0] == "train")
    run_vepe.check_files(trial.folder / "out")


def _label_numbers(trial: Trial, folder: Path, number: int) -> list[str]:
    """A number in a COCO-like file."""
    name = trial.rng.choice(["video.json", "new21.json"])
    trial.samples.copy((name,), folder)
    document = json.loads((folder / name).read_text())
    fields: list[tuple[dict[str, Any], str]] = [
        (image, key)
        for image in document["images"]
        for key in (
            "id",
            "width",
            "height",
            "frame_index",
            "frame_id",
            "video_id",
            "time_s",
            "nframes",
        )
    ]
    people = ("track_id", "person_id", "area", "num_keypoints", "category_id")
    fields += [(a, key) for a in document["annotations"][:3] for key in people]
    record, key = trial.rng.choice(fields)
    record[key] = number
    trial.title = key
    (folder / name).write_text(json.dumps(document))
    to = trial.rng.choice(["posetrack17", "posetrack18", "coco", "csv", "openpose", "mot",
                           "submission"])  # fmt: skip
    target = folder.parent / "out" / ("s.zip" if to == "submission" else "a")
    if trial.rng.random() < 0.3:
        return ["data", "check", str(folder), "--no-images"]
    return ["convert", str(folder / name), str(target), "--to", to]


def _table_numbers(trial: Trial, folder: Path, number: int) -> list[str]:
    """A number in a cell of CSV or MOT text."""
    name = trial.rng.choice(["table.csv", "boxes.txt"])
    trial.samples.copy((name,), folder)
    rows = [line.split(",") for line in (folder / name).read_text().splitlines()]
    row = trial.rng.randrange(1 if name == "table.csv" else 0, len(rows))
    column = trial.rng.randrange(12 if name == "table.csv" else 6)
    rows[row][column] = str(number)
    trial.title = f"{row}.{column}"
    (folder / name).write_text("\n".join(",".join(cells) for cells in rows) + "\n")
    to = trial.rng.choice(["posetrack17", "posetrack18", "coco", "openpose", "mot", "parquet"])
    return ["convert", str(folder / name), str(folder.parent / "out/a"), "--to", to]


def _many_keypoints(trial: Trial, folder: Path, number: int) -> list[str]:
    """A category with tens of thousands of keypoints."""
    trial.samples.copy(("video.json",), folder)
    document = json.loads((folder / "video.json").read_text())
    count = min(number, 200_000) // 2
    document["categories"][0]["keypoints"] = [f"k{i}" for i in range(count)]
    if trial.rng.random() < 0.5:
        for annotation in document["annotations"][:2]:
            annotation["keypoints"] = [1.0] * (3 * count)
        document["annotations"] = document["annotations"][:2]
    (folder / "video.json").write_text(json.dumps(document))
    to = trial.rng.choice(["coco", "csv", "openpose", "posetrack18"])
    return ["convert", str(folder / "video.json"), str(folder.parent / "out/a"), "--to", to]


def _model_sizes(trial: Trial, folder: Path, number: int) -> list[str]:
    """A dimension of a model."""
    trial.samples.copy(("model.yaml",), folder)
    keys = ("dim", "heads", "points", "hidden", "queries", "input_px", "spatial_decoder.layers",
            "temporal.window", "temporal.lookahead", "consistency.dim")  # fmt: skip
    key, model = trial.rng.choice(keys), yaml.safe_load((folder / "model.yaml").read_text())
    *outer, last = key.split(".")
    place = model
    for part in outer:
        place = place.setdefault(part, {})
    place[last] = number
    trial.title = key
    (folder / "model.yaml").write_text(yaml.safe_dump(model))
    return ["models", str(folder / "model.yaml")]


def _recipe_sizes(trial: Trial, folder: Path, number: int) -> list[str]:
    """A number of a recipe."""
    trial.samples.copy(("recipe.yaml", "set"), folder)
    keys = ("stages.0.batch", "stages.0.size_px", "stages.0.frames", "workers", "seed",
            "stages.0.data.0.fps", "model.dim", "model.queries", "calibration_batches")  # fmt: skip
    key = trial.rng.choice(keys)
    small = number if key in ("workers", "stages.0.batch") or number > 10**7 else 10**9
    trial.title = key
    words = ["train", str(folder / "recipe.yaml"), "--data-root", str(folder)]
    return [*words, "-o", str(folder.parent / "out/run"), "--set", f"{key}={max(small, 10**9)}"]


def _option(trial: Trial, folder: Path, number: int) -> list[str]:
    """An option of `vepe track`."""
    trial.samples.copy(("clip.mp4", "frames", "tiny.safetensors"), folder)
    option = trial.rng.choice(["--imgsz", "--window", "--lookahead", "--stride", "--start", "--end",
                               "--conf", "--fps"])  # fmt: skip
    source = "frames" if option == "--fps" else "clip.mp4"
    trial.title = option
    value = f"-{number}" if trial.rng.random() < 0.2 else str(number)
    words = ["track", str(folder / source), "-o", str(folder.parent / "out")]
    return [*words, "--model", str(folder / "tiny.safetensors"), option, value]


def _video_header(trial: Trial, folder: Path, number: int) -> list[str]:
    """The size, rate or length in the header of a video."""
    name = trial.rng.choice(
        ["clip.avi", "clip.mp4", "clip.mov", "clip.gif", "clip.flv", "clip.mkv"]
    )
    trial.samples.copy((name, "tiny.safetensors"), folder)
    data = bytearray((folder / name).read_bytes())
    spots = [i for i in range(min(len(data) - 4, 40_000)) if _is_size(data, i)]
    at = trial.rng.choice(spots or [24])
    value = trial.rng.choice([0xFFFF, 0x7FFF, 20_000, 0x7FFFFFFF, 0xFFFFFFFF])
    width = 4 if value > 0xFFFF else 2
    data[at : at + width] = value.to_bytes(
        width, "big" if name[-3:] in ("mp4", "mov") else "little"
    )
    trial.title = f"{name} at {at}: {value}"
    (folder / name).write_bytes(data)
    words = ["track", str(folder / name), "-o", str(folder.parent / "out"), "--imgsz", "64"]
    return [*words, "--model", str(folder / "tiny.safetensors")]


def _is_size(data: bytearray, at: int) -> bool:
    """Whether 64 or 48, the sides of the samples, may be stated here."""
    return bytes(data[at : at + 2]) in (b"\x40\0", b"\x30\0", b"\0\x40", b"\0\x30")


def _image_header(trial: Trial, folder: Path, number: int) -> list[str]:
    """The size in the header of an image."""
    trial.samples.copy(("images", "tiny.safetensors"), folder)
    path = trial.rng.choice(sorted((folder / "images").iterdir()))
    data = bytearray(path.read_bytes())
    spots = [i for i in range(min(len(data) - 4, 2000)) if _is_size(data, i)]
    at = trial.rng.choice(spots or [16])
    value = trial.rng.choice([0xFFFF, 0x7FFF, 20_000])
    data[at : at + 2] = struct.pack(trial.rng.choice("<>") + "H", value)
    path.write_bytes(data)
    trial.title = f"{path.name} at {at}"
    words = ["predict", str(folder / "images"), "-o", str(folder.parent / "out/p.json")]
    return [*words, "--model", str(folder / "tiny.safetensors"), "--imgsz", "64"]


def _parquet_rows(trial: Trial, folder: Path, number: int) -> list[str]:
    """A small file that holds very many equal rows."""
    trial.samples.copy(("table.parquet",), folder)
    path = folder / "table.parquet"
    table = pq.read_table(path)
    count = min(number, 20_000)
    row = table.slice(0, 1)
    columns = {n: pa.repeat(row.column(n)[0], count) for n in table.column_names}
    pq.write_table(pa.table(columns), path, compression="zstd")
    return ["convert", str(path), str(folder.parent / "out/a"), "--to", "coco"]


def _shard_range(trial: Trial, folder: Path, number: int) -> list[str]:
    """A recipe whose shards are a range of very many names."""
    trial.samples.copy(("recipe.yaml",), folder)
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    name = trial.rng.choice([f"a-{{0..{number}}}.tar", "a" + "{0..9}" * 8 + ".tar"])
    recipe["stages"][0]["data"] = [{"kind": "shards", "shards": [name]}]
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return ["train", str(folder / "recipe.yaml"), "-o", str(folder.parent / "out/run")]


CLAIMS: tuple[Claim, ...] = (
    _label_numbers, _label_numbers, _table_numbers, _many_keypoints, _model_sizes, _recipe_sizes,
    _option, _option, _video_header, _video_header, _image_header, _parquet_rows, _shard_range,
)  # fmt: skip

_WITHOUT_TORCH = ("convert", "data check", "evaluate posetrack --gt IN/gt --pred IN/pred --json")


def memory(trial: Trial) -> None:
    """Undamaged inputs in a process that may take little more memory: a result or a sentence."""
    choices = [c for c in COMMANDS if c.arguments.startswith(_WITHOUT_TORCH)]
    command: Command = trial.rng.choice(choices)
    trial.samples.copy(command.inputs, trial.folder / "in")
    more = trial.rng.choice([0, 1, 2, 4, 8, 16, 32, 64])
    trial.say(f"{command.arguments} | {more} MB more")

    def arm() -> None:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
        limit = now + more * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    answer = run_vepe.run(command.words(trial.folder), trial.folder, arm)
    run_vepe.check(answer, codes=command.codes, log=command.logs)
    run_vepe.check_files(trial.folder / "out")
