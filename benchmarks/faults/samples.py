"""Valid inputs of every kind, small, made once per campaign; trials copy what they damage."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np
import yaml
from PIL import Image
from scipy.io import savemat

TESTS = Path(__file__).parents[2] / "tests"
sys.path.insert(0, str(TESTS))
sys.path.insert(0, str(TESTS / "video"))

from tiny_videos import make_video  # noqa: E402

from figures.moving import figure_clips  # noqa: E402
from figures.sets import write_coco, write_figures, write_posetrack18  # noqa: E402
from figures.shards import make_shard  # noqa: E402
from tiny_models import TINY as TINY_MODEL  # noqa: E402
from tiny_models import moving_frames, tiny_model, tiny_weights_file  # noqa: E402
from tiny_recipes import TINY  # noqa: E402
from vepe.errors import VepeError  # noqa: E402
from vepe.formats.conversion import convert_annotations  # noqa: E402
from vepe.inference.export import export_onnx  # noqa: E402

FRAMES = 8
VIDEOS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "clip.mp4": ("libx264", "yuv420p", {"audio_codec": "aac", "audio_s": 1.2}),
    "clip.mov": ("libx264", "yuv420p", {"audio_codec": "pcm_s16le", "audio_s": 1.2}),
    "clip.mkv": ("libx264", "yuv420p", {"options": {"g": "4", "bf": "0"}}),
    "clip.avi": ("mjpeg", "yuvj420p", {}),
    "clip.ts": ("mpeg4", "yuv420p", {"options": {"g": "4"}}),
    "clip.webm": ("libvpx-vp9", "yuv420p", {"options": {"cpu-used": "8"}}),
    "clip.gif": ("gif", "rgb8", {}),
    "clip.flv": ("flv", "yuv420p", {}),
}
"""Codec, pixel format and options of every sample video."""
IMAGES: dict[str, dict[str, Any]] = {
    "a.jpg": {"quality": 90},
    "b.png": {},
    "c.bmp": {},
    "d.webp": {},
    "e.tif": {"compression": "tiff_lzw"},
    "f.ppm": {},
    "g.jp2": {},
    "h.tiff": {"compression": "jpeg"},
}


@dataclass(frozen=True)
class Samples:
    """The folder of the samples, and what undamaged commands made of them.

    Attributes:
        folder: read-only by agreement.
        results: folder of what a command wrote, by its arguments.
        num_changes: how many file changes it made.
    """

    folder: Path
    results: dict[str, str]
    num_changes: dict[str, int]

    @property
    def small_model(self) -> str:
        """The sample that is a model, exported where `onnx` is installed: it loads faster."""
        exported = (self.folder / "tiny.onnx").exists()
        return "tiny.onnx" if exported else "tiny.safetensors"

    def copy(self, names: tuple[str, ...], target: Path) -> Path:
        """Copies samples into a new folder, under their own names."""
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            source, place = self.folder / name, target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place, dirs_exist_ok=True)
            else:
                shutil.copyfile(source, place)
        return target

    def begin(self, inputs: tuple[str, ...], after: str, target: Path) -> None:
        """The folders `in` and `out` of a trial: inputs, and results of the command before."""
        self.copy(inputs, target / "in")
        if after:
            shutil.copytree(self.results[after], target / "out", dirs_exist_ok=True)


def make_samples(folder: Path) -> Samples:
    """Writes all samples below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    _media(folder)
    _labels(folder)
    _training(folder)
    tiny_weights_file(folder)
    if find_spec("onnx") is not None:
        export_onnx(tiny_model(), TINY_MODEL, {"data": "none"}, folder / "tiny.onnx")
    return Samples(folder, {}, {})


def _media(folder: Path) -> None:
    views = moving_frames(FRAMES, width=64, height=48)
    for name, (codec, pix_fmt, options) in VIDEOS.items():
        if codec in av.codecs_available:
            make_video(folder / name, views, codec=codec, pix_fmt=pix_fmt, **options)
    (folder / "frames").mkdir()
    for i, view in enumerate(views[:4]):
        Image.fromarray(view).save(folder / "frames" / f"{i:03d}.jpg", quality=95)
    (folder / "videos").mkdir()
    for name in ("clip.mkv", "clip.avi"):
        shutil.copyfile(folder / name, folder / "videos" / f"{name[-3:]}_{name}")
    rows = ["source,name", "videos/mkv_clip.mkv,one", "videos/avi_clip.avi,two"]
    (folder / "videos.csv").write_text("\n".join(rows) + "\n")
    (folder / "many").mkdir()
    for number in range(6):
        shutil.copyfile(folder / "clip.mkv", folder / "many" / f"{number}.mkv")
    (folder / "images").mkdir()
    for name, options in IMAGES.items():
        Image.fromarray(views[0]).save(folder / "images" / name, **options)
    images = [Image.fromarray(view) for view in views[:4]]
    for name in ("moving.png", "moving.webp"):
        images[0].save(folder / name, save_all=True, append_images=images[1:], duration=80)
    grey = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20
    Image.fromarray(grey).save(folder / "images" / "i.png")


def _labels(folder: Path) -> None:
    write_posetrack18(folder / "pt18", frames=4)
    gt = folder / "pt18/posetrack_data/annotations/train/000001_bonn_train.json"
    (folder / "gt").mkdir()
    shutil.copyfile(gt, folder / "gt" / gt.name)
    document = json.loads(gt.read_text())
    for annotation in document["annotations"]:
        annotation["scores"] = [0.8] * 17
        annotation["score"] = 0.7
        annotation.pop("bbox_head")
    (folder / "pred").mkdir()
    (folder / "pred" / gt.name).write_text(json.dumps(document))
    write_coco(folder / "coco", images=3)
    labels = json.loads((folder / "coco/labels.json").read_text())
    people = [a for a in labels["annotations"] if not a["iscrowd"]]
    wanted = ("image_id", "category_id", "keypoints")
    results = [{**{key: a[key] for key in wanted}, "score": 0.9} for a in people]
    (folder / "coco/results.json").write_text(json.dumps(results))
    crowd = {**labels, "images": [i | {"crowdIndex": 0.3} for i in labels["images"]]}
    crowd["annotations"] = [_with_14_keypoints(a) for a in people]
    crowd["categories"] = [{**labels["categories"][0], "keypoints": CROWDPOSE}]
    (folder / "crowd.json").write_text(json.dumps(crowd))
    keys = ("image_id", "category_id", "keypoints")
    detections = [{key: a[key] for key in keys} | {"score": 0.9} for a in crowd["annotations"]]
    (folder / "crowd_results.json").write_text(json.dumps(detections))
    source = folder / "pred" / gt.name
    for target, to in (
        ("old.json", "posetrack17"),
        ("new21.json", "posetrack21"),
        ("video.json", "coco"),
        ("table.csv", "csv"),
        ("table.parquet", "parquet"),
        ("boxes.txt", "mot"),
        ("openpose", "openpose"),
        ("tasks.json", "label-studio"),
        ("poses.h5", "hdf5"),
        ("poses.slp", "slp"),
    ):
        with suppress(VepeError) if to in OPTIONAL else nullcontext():
            convert_annotations(source, folder / target, to)
    annolist = _as_structs(json.loads((folder / "old.json").read_text())["annolist"])
    savemat(folder / "old.mat", {"annolist": annolist})
    savemat(folder / "packed.mat", {"annolist": annolist}, do_compression=True)
    make_shard(folder / "shard.tar", video=True)


OPTIONAL = {"hdf5", "slp"}
"""Formats that need a package of an extra."""
CROWDPOSE = [
    *(f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
      for side in ("left", "right")),
    "head", "neck",
]  # fmt: skip


def _with_14_keypoints(annotation: dict[str, Any]) -> dict[str, Any]:
    return {**annotation, "keypoints": annotation["keypoints"][9:], "num_keypoints": 14}


def _as_structs(frames: list[dict[str, Any]]) -> np.ndarray:
    """Frames of a PoseTrack17 document as MATLAB's array of structs."""
    array = np.zeros((1, len(frames)), [("image", object), ("annorect", object)])
    for i, frame in enumerate(frames):
        people = frame["annorect"]
        rects = np.zeros((1, len(people)), [("track_id", object), ("annopoints", object)])
        for n, person in enumerate(people):
            points = person["annopoints"][0]["point"]
            cells = np.zeros((1, len(points)), [(key, object) for key in ("id", "x", "y")])
            for k, point in enumerate(points):
                cells[0, k] = tuple(float(np.ravel(point[key])[0]) for key in ("id", "x", "y"))
            rects[0, n] = (float(np.ravel(person["track_id"])[0]), {"point": cells})
        array[0, i] = ({"name": f"{i:08d}.jpg"}, rects)
    return array


def _training(folder: Path) -> None:
    write_figures(folder / "set", figure_clips(2, frames=3))
    stage = {**TINY["stages"][0], "steps": 2, "batch": 1, "size_px": 64}
    stage["data"] = [{"kind": "video", "root": "set", "annotations": ["labels.json"]}]
    recipe = {**TINY, "stages": [stage], "calibration_batches": 0, "image_every_steps": 0}
    recipe |= {"device": "cpu", "checkpoint_steps": 1}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "model.yaml").write_text(yaml.safe_dump({"name": "tiny", **TINY["model"]}))
    grid = {"base": "recipe.yaml", "runs": [{"name": "one"}, {"name": "two", "set": ["seed=5"]}]}
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid))
