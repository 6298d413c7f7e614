"""Kind `hostile`: archives, checkpoints, images, configurations and names that mean harm."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import run_vepe
import torch
import yaml
from campaign import Trial, WrongError
from commands import COMMANDS
from PIL import Image
from safetensors.numpy import save_file
from surroundings import environment, exported_model, own_input, special_file

_NAMES = (
    "../up", "../../out/up", "/tmp/vepe-absolute", "a/../../up", "C:\\x", "..\\up", "a\0b", "",
    ".", "..", "~root/x", "a" * 300, "\ud800", "\x1b[31mred\x07", "con\n.jpg", "a//b", "$HOME/x",
)  # fmt: skip
_FILE_NAMES = (
    "a\x1b[31mb", "a\nb", "\udcff\udcfe", "a b'c\"d", "-o", "--overwrite", "%s%n", "{0}", "[red]x",
    "a" * 240, "..hidden", "ä\u0301\u202e", "con", ":0", "http:", "a;b|c", "*", "~",
)  # fmt: skip


class _Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def hostile(trial: Trial) -> None:
    """A hostile input: nothing of it runs, and nothing outside is read or written."""
    mark = trial.folder / "ran"
    secret = trial.folder / "secret.jpg"
    Image.fromarray(np.full((24, 32, 3), 200, np.uint8)).save(secret)
    attack = trial.rng.choice(ATTACKS)
    words, codes = attack(trial, mark, secret)
    trial.say(f"{attack.__name__.strip('_')}: {trial.title} | {' '.join(words)}"[:600])
    before = run_vepe.snapshot(trial.folder / "in") if (trial.folder / "in").exists() else {}
    existing = run_vepe.snapshot(trial.folder / "out")
    answer = run_vepe.run(words, trial.folder)
    if mark.exists():
        raise WrongError("code of the input ran")
    run_vepe.check(answer, codes=codes, log=words[0] == "train")
    if any(c in answer.err + answer.out for c in "\x1b\x07\u202e"):
        raise WrongError(
            f"control characters reach the terminal: {(answer.err + answer.out)!r:.300}"
        )
    (trial.folder / "out/run/last.pt").unlink(missing_ok=True)  # the damaged input itself
    run_vepe.check_files(trial.folder / "out", before=existing)
    after = run_vepe.snapshot(trial.folder / "in") if before else {}
    if after != before and not (attack is own_input and before.items() <= after.items()):
        raise WrongError("an input was changed")
    outside = {p.name for p in trial.folder.iterdir()} - {"in", "out", secret.name}
    if outside or Path("/tmp/vepe-absolute").exists():
        raise WrongError(f"wrote outside of its folder: {sorted(outside)}")
    _check_no_leak(trial.folder / "out", secret.read_bytes())


def _check_no_leak(out: Path, secret: bytes) -> None:
    for path in out.rglob("*"):
        if path.is_symlink() or not path.is_file() or path.stat().st_size > 1e9:
            continue
        if secret[100:300] in path.read_bytes():
            raise WrongError(f"{path.name} holds a file that only a label named")


Attack = Callable[[Trial, Path, Path], tuple[list[str], tuple[int, ...]]]
_USUAL = (0, 2)


def _checkpoint(trial: Trial, mark: Path, secret: Path) -> tuple[list[str], tuple[int, ...]]:
    """A resumed run whose checkpoint is a pickle with code, or has odd content."""
    trial.samples.copy(("recipe.yaml", "set"), trial.folder / "in")
    command = next(c for c in COMMANDS if c.arguments.startswith("train IN/recipe.yaml"))
    run = trial.folder / "out" / "run"
    import shutil

    shutil.copytree(Path(trial.samples.results[command.arguments]) / "run", run)
    path = run / "last.pt"
    action = trial.rng.randrange(4)
    trial.title = f"checkpoint {action}"
    if action == 0:
        path.write_bytes(pickle.dumps({"format": 2, "parts": _Evil(mark)}))
    elif action == 1:
        torch.save({"format": 2, "parts": {"model": _Evil(mark)}}, path)
    elif action == 2:
        state = torch.load(path, weights_only=True)
        _change(trial, state)
        torch.save(state, path)
    else:
        data = bytearray(path.read_bytes())
        at = trial.rng.randrange(len(data))
        data[at : at + 50] = b"\xff" * min(50, len(data) - at)
        path.write_bytes(data if trial.rng.random() < 0.5 else data[:at])
    words = ["train", str(trial.folder / "in/recipe.yaml"), "--data-root", str(trial.folder / "in")]
    return [*words, "-o", str(run), "--resume"], _USUAL


def _change(trial: Trial, state: dict[str, Any]) -> None:
    """Replaces one value somewhere in a checkpoint, down to three levels."""
    parent: Any = state
    key: Any = trial.rng.choice([k for k in state if k != "versions"])
    for _ in range(trial.rng.randrange(3)):
        inner = parent[key]
        if isinstance(inner, dict) and inner:
            parent, key = inner, trial.rng.choice(list(inner))
        elif isinstance(inner, list) and inner:
            parent, key = inner, trial.rng.randrange(len(inner))
        else:
            break
    trial.title += f" {key}"
    junk = [
        None,
        [],
        {},
        "x",
        -1,
        10**25,
        torch.zeros(3),
        torch.tensor(float("nan")),
        [[]],
        {"a": 1},
    ]
    parent[key] = trial.rng.choice(junk)


def _pickled_weights(trial: Trial, mark: Path, secret: Path) -> tuple[list[str], tuple[int, ...]]:
    """A pickle, or a safetensors file with an odd header, as weights."""
    trial.samples.copy(("images",), trial.folder / "in")
    path = trial.folder / "in" / trial.rng.choice(["w.safetensors", "w.pt", "w"])
    action = trial.rng.randrange(5)
    trial.title = f"weights {action}"
    if action == 0:
        path.write_bytes(pickle.dumps(_Evil(mark)))
    elif action == 1:
        torch.save({"model": _Evil(mark)}, path)
    elif action == 2:
        length = trial.rng.choice([0, 2**63 - 1, 2**40, 100])
        path.write_bytes(struct.pack("<Q", length) + b'{"a":1}' * 30)
    else:
        meta = {"config": trial.rng.choice(["{}", "[]", "x", '{"name":"\\ud800"}', '{"dim":1e99}']),
                "training": trial.rng.choice(["{}", "[]", "7"]),
                "vepe_version": "\x1b[31m"}  # fmt: skip
        save_file({"a": np.zeros(3, np.float32)}, path, meta)
    words = [
        "predict",
        str(trial.folder / "in/images/b.png"),
        "-o",
        str(trial.folder / "out/p.json"),
    ]
    return [*words, "--model", str(path)], (2,)


def _label_names(trial: Trial, mark: Path, secret: Path) -> tuple[list[str], tuple[int, ...]]:
    """Labels that name files outside of their folder, or by odd names."""
    trial.samples.copy(("coco", "tiny.safetensors"), trial.folder / "in")
    path = trial.folder / "in/coco/labels.json"
    document = json.loads(path.read_text())
    name = trial.rng.choice(
        [*_NAMES, str(secret), f"../../../{secret.name}", f"../../{secret.name}"]
    )
    trial.title = f"image name {name!r:.60}"
    if trial.rng.random() < 0.3:  # a link inside the folder that leads outside
        link = trial.folder / "in/coco/images/link.jpg"
        link.symlink_to(secret)
        name = "link.jpg"
    document["images"][trial.rng.randrange(3)]["file_name"] = name
    path.write_text(json.dumps(document))
    place, out = str(trial.folder / "in/coco"), str(trial.folder / "out")
    return trial.rng.choice([
        (["data", "shard", f"{place}/labels.json", "--images", f"{place}/images", "-o", f"{out}/s",
          "--stills"], _USUAL),
        (["data", "check", place, "--json", f"{out}/c.json"], (0, 1, 2)),
        (["convert", f"{place}/labels.json", f"{out}/a", "--to", trial.rng.choice(["posetrack18",
          "csv", "openpose", "posetrack17"])], _USUAL),
        (["evaluate", "coco", "--gt", f"{place}/labels.json", "--images", f"{place}/images",
          "--model", str(trial.folder / "in/tiny.safetensors"), "--imgsz", "64"], _USUAL),
    ])  # fmt: skip


def _sequence_names(trial: Trial, mark: Path, secret: Path) -> tuple[list[str], tuple[int, ...]]:
    """Sequences, videos and categories by odd names, which become names of files."""
    trial.samples.copy(("video.json",), trial.folder / "in")
    path = trial.folder / "in/video.json"
    document = json.loads(path.read_text())
    name = trial.rng.choice(_NAMES)
    trial.title = f"video name {name!r:.60}"
    for video in document.get("videos", []):
        video["name"] = name
    for image in document["images"]:
        image["file_name"] = f"{name}/{image['file_name']}"
    document["categories"][0]["keypoints"][0] = name or "x"
    path.write_text(json.dumps(document))
    to = trial.rng.choice(
        ["posetrack18", "csv", "openpose", "coco", "mot", "submission", "parquet"]
    )
    return ["convert", str(path), str(trial.folder / "out/a"), "--to", to], _USUAL


def _shard(trial: Trial, mark: Path, secret: Path) -> tuple[list[str], tuple[int, ...]]:
    """A tar with links, devices, odd names, or sizes that it does not have."""
    trial.samples.copy(("recipe.yaml",), trial.folder / "in")
    path = trial.folder / "in/s.tar"
    data = (trial.samples.folder / "shard.tar").read_bytes()
    name = trial.rng.choice(_NAMES) or "x"
    action = trial.rng.randrange(4)
    trial.title = f"tar {action} {name!r:.40}"
    with tarfile.open(path, "w") as target, tarfile.open(fileobj=io.BytesIO(data)) as source:
        for member in source:
            content = source.extractfile(member)
            target.addfile(member, content)
        info = tarfile.TarInfo(name.replace("\ud800", "u").replace("\0", "n"))
        if action == 0:
            info.type, info.linkname = tarfile.SYMTYPE, str(secret)
        elif action == 1:
            info.type = trial.rng.choice([tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.LNKTYPE])
        elif action == 2:
            info.name, info.size = "images/0.png", 0
        target.addfile(info)
    if action == 3:
        raw = bytearray(path.read_bytes())
        at = raw.index(b"ustar") - 257 + 124
        raw[at : at + 12] = trial.rng.choice(
            [b"77777777777\0", b"\x80" + b"\xff" * 11, b"-1\0" * 4]
        )
        path.write_bytes(raw)
    recipe = yaml.safe_load((trial.folder / "in/recipe.yaml").read_text())
    recipe["stages"][0]["data"] = [{"kind": "shards", "shards": [str(path)]}]
    recipe["stages"][0]["steps"] = 1
    (trial.folder / "in/recipe.yaml").write_text(yaml.safe_dump(recipe))
    words = ["train", str(trial.folder / "in/recipe.yaml"), "-o", str(trial.folder / "out/run")]
    return words, _USUAL


def _program_image(trial: Trial, mark: Path, secret: Path) -> tuple[list[str], tuple[int, ...]]:
    """A file that is called an image, but is of a format that runs programs, or a bomb."""
    folder = trial.folder / "in"
    trial.samples.copy(("tiny.safetensors",), folder)
    path = folder / f"a.{trial.rng.choice(['jpg', 'png', 'webp', 'tif'])}"
    kind = trial.rng.choice(["EPS", "svg", "mvg", "playlist", "zip", "png bomb", "gif bomb"])
    trial.title = kind
    if kind == "EPS":
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path, "EPS")
    elif kind == "png bomb":
        path.write_bytes(_png(20_000, 20_000))
    elif kind == "gif bomb":
        path.write_bytes(b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + b"\x80\0\0" + b"\0" * 6
                         + b"," + struct.pack("<HHHH", 0, 0, 60_000, 60_000)
                         + b"\0\2\1\0\0;")  # fmt: skip
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("../../up.txt", "x")
    else:
        texts = {
            "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{secret}"/></svg>',
            "mvg": f"push graphic-context\nimage over 0,0 0,0 'file://{secret}'\n",
            "playlist": f"#EXTM3U\n#EXTINF:1,\nfile://{secret}\nhttp://127.0.0.1:9/x.ts\n",
        }
        path.write_text(texts[kind])
    model = ["--model", str(folder / "tiny.safetensors"), "--imgsz", "64"]
    return trial.rng.choice([
        ["predict", str(path), "-o", str(trial.folder / "out/p.json"), *model],
        ["track", str(path), "-o", str(trial.folder / "out"), *model],
    ]), (2,)  # fmt: skip


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def _file_names(trial: Trial, mark: Path, secret: Path) -> tuple[list[str], tuple[int, ...]]:
    """Inputs and outputs whose names hold what a terminal, a shell or a parser would obey."""
    folder = trial.folder / "in"
    trial.samples.copy(("tiny.safetensors", "clip.mp4", "images", "video.json"), folder)
    name = trial.rng.choice(_FILE_NAMES)
    trial.title = f"file name {name!r:.60}"
    source = trial.rng.choice(["clip.mp4", "images/a.jpg", "video.json"])
    path = folder / (name + Path(source).suffix)
    os.rename(folder / source, path)  # noqa: PTH104 (the name may be no text)
    model = ["--model", str(folder / "tiny.safetensors"), "--imgsz", "64"]
    out = trial.folder / "out"
    if source == "clip.mp4":
        return ["track", str(path), "-o", str(out), "--format", "csv", *model], _USUAL
    if source == "video.json":
        return ["convert", str(path), str(out / f"{name}.json"), "--to", "posetrack18"], _USUAL
    return [
        "predict",
        str(path),
        "-o",
        str(out / "p.json"),
        "--draw",
        str(out / "d"),
        *model,
    ], _USUAL


def _yaml_tags(trial: Trial, mark: Path, secret: Path) -> tuple[list[str], tuple[int, ...]]:
    """Configurations with tags, aliases and references that do more than hold values."""
    trial.samples.copy(("model.yaml",), trial.folder / "in")
    path = trial.folder / "in/model.yaml"
    lines = (
        f"name: !!python/object/apply:pathlib.Path.touch [{mark}]",
        f"name: !!python/object/apply:os.system ['touch {mark}']",
        f"extends: {secret}", "extends: ../../../../../etc/passwd.yaml", "extends: model.yaml",
        "extends: [model.yaml]", "backbone: hf_hub:evil/model", "backbone: ../../x",
        "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
            f"a{i + 1}: &a{i + 1} [{','.join([f'*a{i}'] * 9)}]" for i in range(8)),
        "name: &x {y: *x}", "<<: *nothing", "name: \"\\ud800\"", "name: \x1b[31m",
        "dim: 0x" + "f" * 400, "dim: 1e400", "dim: " + "[" * 3000, "? {a: b}\n: c",
        "name: !!binary x", "dim: !!float 1_0.0:9",
    )  # fmt: skip
    line = trial.rng.choice(lines)
    trial.title = f"yaml {line!r:.60}"
    path.write_text(f"{line}\n" + (path.read_text() if trial.rng.random() < 0.5 else ""))
    return ["models", str(path)], _USUAL


ATTACKS: tuple[Attack, ...] = (
    _checkpoint, _pickled_weights, _label_names, _label_names, _sequence_names, _shard,
    _program_image, _file_names, _file_names, _yaml_tags, exported_model, exported_model,
    environment, own_input, special_file, special_file,
)  # fmt: skip
