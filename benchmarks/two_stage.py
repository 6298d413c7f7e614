"""Latency of VEPE and of two-stage pipelines against the number of people in the frame.

    python benchmarks/two_stage.py [--people 1,3,5,10,20,50] [--repeats 5] \\
        [--measure wall] [--json out.json] [--figure docs/images/two_stage.png]

A two-stage pipeline detects people, crops each one and estimates one pose per crop:

* detector: torchvision's SSDlite on MobileNetV3 at 320 px (BSD), with its post-processing;
* pose: heatmaps of one person at 256 x 192 px from the trunk that VEPE has too (MobileNetV2 x1.75,
  MoveNet Thunder's), with a light pyramid, all crops of a frame in batches;
* temporal: the same for the crops of three frames, whose heatmaps are merged by residual blocks and
  a deformable convolution, as in DCPose (arXiv 2103.07254); leaner than DCPose, which has an
  HRNet-W48 at 384 x 288 px and five deformable convolutions.

**All of them have random weights**: they are here for their time, not for their poses. So the boxes
of the detector are replaced by as many boxes as there are people to be. Everything runs in ONNX
Runtime: VEPE with its tracker and window, the others without any tracker. The pipelines and the
numbers of people are interleaved, so that drifting machine speed affects all alike; the table gives
medians. `--measure cpu` gives the CPU time of all threads instead of the time that passes, for a
machine that does other work too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vepe.inference.devices import available_cores
from vepe.inference.timing import WARM_UP, crowd

CROP_HW, DETECTOR_PX = (256, 192), 320
KEYPOINTS = 17
CHUNK = 16  # crops per run of the pose network


class SinglePersonPose(nn.Module):
    """Heatmaps of one person per crop at a fourth of its size."""

    def __init__(self, backbone: str, dim: int = 64) -> None:
        from vepe.models.backbone import Backbone, fold_batch_norms

        super().__init__()
        self.backbone = Backbone(backbone, (4, 8, 16, 32))
        self.lateral = nn.ModuleList(nn.Conv2d(c, dim, 1) for c in self.backbone.channels)
        self.smooth = nn.ModuleList(_separable(dim, dim) for _ in self.backbone.channels[:-1])
        self.head = nn.Sequential(_separable(dim, 96), nn.Conv2d(96, KEYPOINTS, 1))
        self.eval()
        fold_batch_norms(self)

    def forward(self, crops: Tensor) -> Tensor:
        maps = [conv(m) for conv, m in zip(self.lateral, self.backbone(crops), strict=True)]
        top = maps.pop()
        for smooth in self.smooth:
            top = smooth(maps.pop() + F.interpolate(top, scale_factor=2.0))
        return self.head(top)  # (X, K, 64, 48)


class TemporalPose(nn.Module):
    """DCPose's kind: heatmaps of a person in three frames, merged for the middle one."""

    def __init__(self, backbone: str, width: int = 32) -> None:
        super().__init__()
        self.pose = SinglePersonPose(backbone)
        self.merge = nn.Sequential(nn.Conv2d(3 * KEYPOINTS, width, 1), _Residual(width))
        self.change = nn.Sequential(nn.Conv2d(2 * KEYPOINTS, width, 1), _Residual(width))
        self.to_maps = nn.Conv2d(width, KEYPOINTS, 1)
        self.offsets = nn.Conv2d(2 * width, 18, 3, padding=3, dilation=3)
        self.masks = nn.Conv2d(2 * width, 9, 3, padding=3, dilation=3)
        self.deform = nn.Conv2d(9 * KEYPOINTS, KEYPOINTS, 1)

    def forward(self, crops: Tensor) -> Tensor:
        maps = self.pose(crops).unflatten(0, (-1, 3))  # (X, 3, K, h, w)
        before, now, after = maps.unbind(1)
        merged = self.merge(maps.flatten(1, 2))
        context = torch.cat([merged, self.change(torch.cat([now - before, after - now], 1))], 1)
        height, width = maps.shape[-2:]
        scale = torch.tensor([2.0 / width, 2.0 / height])
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width))
        offsets = self.offsets(context).unflatten(1, (9, 2)).permute(0, 1, 3, 4, 2)
        grid = torch.stack([x, y], -1) + offsets * scale  # (X, 9, h, w, 2)
        sampled = F.grid_sample(self.to_maps(merged), grid.flatten(1, 2), align_corners=False)
        sampled = sampled.unflatten(2, (9, height)) * self.masks(context).sigmoid().unsqueeze(1)
        return self.deform(sampled.flatten(1, 2))


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(maps + self.second(F.relu(self.first(maps))))


def _separable(channels: int, out: int) -> nn.Sequential:
    depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
    return nn.Sequential(depthwise, nn.ReLU(), nn.Conv2d(channels, out, 1), nn.ReLU())


class _DetectorNetwork(nn.Module):
    def __init__(self, ssd: Any) -> None:
        super().__init__()
        self.backbone, self.head = ssd.backbone, ssd.head

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        output = self.head(list(self.backbone(images).values()))
        return output["cls_logits"], output["bbox_regression"]


class Detector:
    """Resizes a frame, runs the network, decodes its boxes and suppresses overlaps."""

    def __init__(self, session: Callable[[Any], Any], anchors: np.ndarray) -> None:
        self.session, self.anchors = session, anchors  # (A, 4) centre and size, in pixels

    def __call__(self, image: np.ndarray) -> np.ndarray:
        resized = cv2.resize(image, (DETECTOR_PX, DETECTOR_PX)).astype(np.float32) / 127.5 - 1
        logits, deltas = self.session(resized.transpose(2, 0, 1)[None])
        person = logits[0, :, 1] - logits[0].max(axis=1)
        best = np.argsort(-person)[:100]
        size = self.anchors[best, 2:] * np.exp(np.clip(deltas[0, best, 2:] / 5, -4, 4))
        centre = self.anchors[best, :2] + deltas[0, best, :2] / 10 * self.anchors[best, 2:]
        boxes = np.concatenate([centre - size / 2, size], axis=1)
        scores = 1 / (1 + np.exp(-person[best]))
        cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, 0.5)
        return boxes


class TwoStage:
    """Detector, crops, single-person network, maxima of the heatmaps."""

    def __init__(self, detector: Detector, pose: Callable[[Any], Any], frames: int) -> None:
        self.detector, self.pose, self.frames = detector, pose, frames

    def __call__(self, images: list[np.ndarray], people: int) -> np.ndarray:
        self.detector(images[-1])
        boxes = _boxes(images[-1].shape, people)  # random weights detect nobody: see the docstring
        crops = np.stack([_crop(i, box) for box in boxes for i in images[-self.frames :]])
        step = CHUNK // self.frames * self.frames
        maps = [self.pose(crops[i : i + step])[0] for i in range(0, len(crops), step)]
        flat = np.concatenate(maps).reshape(people, KEYPOINTS, -1)
        return flat.argmax(axis=-1)


def _boxes(shape: tuple[int, ...], people: int) -> np.ndarray:
    """Boxes (x, y, width, height) of people who stand in a row and overlap."""
    height, width = shape[:2]
    box = np.array([height / 4, height / 2])
    x = np.linspace(0, width - box[0], people)
    return np.stack(
        [x, np.full(people, height / 4), *np.broadcast_to(box[:, None], (2, people))], 1
    )


def _crop(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    scale = CROP_HW[0] / (1.25 * box[3])
    shift = np.array(CROP_HW[::-1]) / 2 - scale * (box[:2] + box[2:] / 2)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    crop = cv2.warpAffine(image, matrix, CROP_HW[::-1], flags=cv2.INTER_LINEAR)
    return crop.astype(np.float32).transpose(2, 0, 1) / 255


def exported(network: nn.Module, example: Tensor) -> Callable[[Any], Any]:
    """The network in ONNX Runtime, for any number of rows."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = str(Path(folder) / "network.onnx")
        torch.onnx.export(
            network.eval(),
            (example,),
            path,
            dynamo=False,
            opset_version=18,
            input_names=["input"],
            output_names=["output", "more"][: 2 if isinstance(network, _DetectorNetwork) else 1],
            dynamic_axes={"input": {0: "rows"}, "output": {0: "people"}},
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = available_cores()
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    return lambda values: session.run(None, {"input": values})


def two_stage_pipelines(backbone: str) -> dict[str, TwoStage]:
    """The pipelines by name, with random weights."""
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large
    from torchvision.models.detection.image_list import ImageList

    torch.manual_seed(0)
    ssd: Any = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).eval()
    image = torch.rand(1, 3, DETECTOR_PX, DETECTOR_PX)
    with torch.inference_mode():
        maps = list(ssd.backbone(image).values())
        corners = ssd.anchor_generator(ImageList(image, [(DETECTOR_PX, DETECTOR_PX)]), maps)[0]
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    anchors = torch.cat([centres, corners[:, 2:] - corners[:, :2]], dim=1).numpy()
    detector = Detector(exported(_DetectorNetwork(ssd), image), anchors)
    crops = torch.rand(3, 3, *CROP_HW)
    single = exported(SinglePersonPose(backbone), crops)
    temporal = exported(TemporalPose(backbone), crops)
    return {
        "two stages": TwoStage(detector, single, 1),
        "two stages, three frames": TwoStage(detector, temporal, 3),
    }


class VepeFrames:
    """VEPE on a live stream: letterbox, network, window, tracker.

    The clip shows few people, so its tracker also follows `people` made-up ones.
    """

    def __init__(self, name: str) -> None:
        import vepe
        from vepe.tracking.tracker import Tracker

        self.stream = vepe.load(name, backend="onnxruntime").stream(fps=25)
        self.tracker = Tracker()
        self.state = self.tracker.start()
        self.count = 0

    def __call__(self, images: list[np.ndarray], people: int) -> None:
        self.stream.push(images[-1])
        self.count += 1
        self.state, _ = self.tracker.step(self.state, crowd(people, self.count / 25))


def measure(
    pipelines: dict[str, Any], clip: Path, people: list[int], repeats: int, clock: str
) -> dict[str, dict[int, float]]:
    """Median milliseconds per frame, by pipeline and number of people."""
    from vepe.video.reader import open_video

    with open_video(clip) as video:
        images = [frame.image for frame in video]
    for pipeline in pipelines.values():
        if isinstance(pipeline, VepeFrames):
            for _ in range(WARM_UP):
                pipeline(images[:1], 1)
    now = time.process_time if clock == "cpu" else time.perf_counter
    times: dict[tuple[str, int], list[float]] = {}
    for repeat in range(repeats + 1):
        window = [images[(repeat + i) % len(images)] for i in range(3)]
        for count in people:
            for name, pipeline in pipelines.items():
                start = now()
                pipeline(window, count)
                if repeat:  # the first round warms up
                    times.setdefault((name, count), []).append(1000 * (now() - start))
    medians = {key: statistics.median(values) for key, values in times.items()}
    return {name: {n: medians[name, n] for n in people} for name in pipelines}


def draw(results: dict[str, dict[int, float]], path: Path) -> None:
    """The figure: milliseconds per frame against people, both logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.8), dpi=150, layout="constrained")
    for name, row in results.items():
        style = "--" if name.startswith("two") else "-"
        axes.plot(list(row), list(row.values()), f"o{style}", label=name, markersize=4)
    people = list(next(iter(results.values())))
    axes.set(xscale="log", yscale="log", xlabel="people in the frame", ylabel="ms per frame")
    axes.set_xticks(people, [str(n) for n in people])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}"))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser()
    clip = Path(__file__).parents[1] / "assets" / "store_aisle.mp4"
    parser.add_argument("--clip", type=Path, default=clip)
    parser.add_argument("--models", default="vepe-n,vepe-s")
    parser.add_argument("--backbone", default="mobilenetv2_pose_175", help="of the pose networks")
    parser.add_argument("--people", default="1,3,5,10,20,50")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--measure", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    people = [int(n) for n in options.people.split(",")]
    pipelines: dict[str, Any] = {
        name: VepeFrames(name) for name in options.models.split(",") if name
    }
    pipelines |= two_stage_pipelines(options.backbone)
    results = measure(pipelines, options.clip, people, options.repeats, options.measure)
    first, *others = results.values()
    print(f"| ms per frame ({options.measure} time, {available_cores()} cores), people: |", end="")
    print("".join(f" {n} |" for n in people) + "\n|---|" + "---:|" * len(people))
    for name, row in results.items():
        print(f"| {name} | " + " | ".join(f"{row[n]:.0f}" for n in people) + " |")
    for name, row in zip(list(results)[1:], others, strict=True):
        print(
            f"| {name}, times the first | "
            + " | ".join(f"{row[n] / first[n]:.1f}" for n in people)
            + " |"
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    main()
