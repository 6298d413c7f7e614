"""Draws small videos of excavators that dig, with labels: data for docs/finetune.md.

    python examples/draw_excavators.py DATA

writes DATA/images/{train,val}/<video>/*.jpg, DATA/annotations/{train,val}.json (COCO keypoints with
`video_id`, `time_s` and `track_id`), DATA/excavator.yaml (the skeleton) and DATA/digging.mp4.
An excavator has four keypoints: hip (where the arm leaves the cab), elbow, wrist and tip of bucket.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

KEYPOINTS = ("hip", "elbow", "wrist", "tip")
EDGES = ((0, 1), (1, 2), (2, 3))
SKELETON = """\
name: excavator
keypoints: [hip, elbow, wrist, tip]
edges: [[hip, elbow], [elbow, wrist], [wrist, tip]]
flip_pairs: []
sigmas: 0.06
"""
FPS = 12.5


@dataclass(frozen=True)
class Excavator:
    """One machine: position of its hip, size, driving speed and arm motion."""

    hip_px: np.ndarray
    size_px: float
    side: int
    drive_px_s: float
    lengths: np.ndarray
    angles: np.ndarray
    swings: np.ndarray
    speeds: np.ndarray
    phases: np.ndarray
    colour: tuple[int, int, int]

    def keypoints_px(self, time_s: float) -> np.ndarray:
        """(4, 2) hip, elbow, wrist, tip at a time."""
        angles = self.angles + self.swings * np.sin(self.phases + self.speeds * time_s)
        links = np.stack([self.side * np.cos(angles), -np.sin(angles)], axis=1)
        links *= (self.lengths * self.size_px)[:, None]
        start = self.hip_px + np.array([self.drive_px_s * time_s, 0.0])
        return start + np.concatenate([np.zeros((1, 2)), np.cumsum(links, axis=0)])


def draw_machine(rng: np.random.Generator, slot: int, slots: int, width: int, height: int
                 ) -> Excavator:  # fmt: skip
    """A random machine in its own vertical strip of the image."""
    size = rng.uniform(0.2, 0.34) * height
    x = width * (slot + rng.uniform(0.3, 0.7)) / slots
    yellow = rng.uniform((190, 120, 0), (255, 215, 70))
    return Excavator(
        hip_px=np.array([x, rng.uniform(0.55, 0.8) * height]),
        size_px=size,
        side=int(rng.choice([-1, 1])),
        drive_px_s=rng.normal(0, 0.06) * width,
        lengths=rng.uniform((0.85, 0.65, 0.3), (1.1, 0.9, 0.42)),
        angles=np.array([0.95, -0.55, -1.7]) + rng.normal(0, 0.15, 3),
        swings=rng.uniform(0.1, 0.45, 3),
        speeds=rng.uniform(0.8, 2.2, 3),
        phases=rng.uniform(0, 2 * np.pi, 3),
        colour=tuple(int(c) for c in yellow),
    )


def draw_site(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Sky, earth, heaps and clutter."""
    coarse = rng.uniform(60, 200, (9, 12, 1)) + rng.uniform(-25, 25, (9, 12, 3))
    coarse = coarse.astype(np.float32)
    site = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    horizon = int(rng.uniform(0.35, 0.65) * height)
    site[:horizon] = 0.5 * site[:horizon] + 0.5 * rng.uniform((120, 150, 180), (200, 225, 255))
    site[horizon:] = 0.5 * site[horizon:] + 0.5 * rng.uniform((70, 50, 30), (150, 120, 90))
    site = np.clip(site + rng.normal(0, 6, site.shape), 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(3, 9))):
        corner = rng.uniform((0, 0.3 * height), (width, height)).astype(int)
        size = rng.uniform(0.03, 0.15, 2) * height
        colour = tuple(int(c) for c in rng.integers(20, 235, 3))
        if rng.random() < 0.5:
            cv2.rectangle(site, corner, (corner + size).astype(int), colour, -1, cv2.LINE_AA)
        else:
            end = (corner + rng.normal(0, 0.2, 2) * height).astype(int)
            cv2.line(site, corner, end, colour, int(rng.integers(2, 9)), cv2.LINE_AA)
    return site


def paint(image: np.ndarray, machine: Excavator, keypoints_px: np.ndarray) -> None:
    """Draws a machine: tracks, cab with a window, and a tapering arm with a bucket."""
    unit, side = machine.size_px, machine.side
    hip, elbow, wrist, tip = keypoints_px
    dark = tuple(int(0.25 * c) for c in machine.colour)
    shade = tuple(int(0.7 * c) for c in machine.colour)

    def polygon(corners: list[tuple[float, float]], origin: np.ndarray, colour: Any) -> None:
        points = origin + unit * np.array(corners) * (side, 1)
        cv2.fillConvexPoly(image, np.rint(points * 16).astype(int), colour, cv2.LINE_AA, 4)

    def beam(a: np.ndarray, b: np.ndarray, wide: float, narrow: float, colour: Any) -> None:
        along = (b - a) / max(float(np.linalg.norm(b - a)), 1e-6)
        across = unit * np.array([-along[1], along[0]])
        corners = [a + wide * across, a - wide * across, b - narrow * across, b + narrow * across]
        cv2.fillConvexPoly(image, np.rint(np.array(corners) * 16).astype(int), colour,
                           cv2.LINE_AA, 4)  # fmt: skip

    polygon([(-0.75, 0.28), (0.3, 0.28), (0.36, 0.42), (-0.82, 0.42)], hip, dark)
    polygon([(-0.7, -0.1), (0.12, -0.1), (0.2, 0.28), (-0.7, 0.28)], hip, machine.colour)
    polygon([(-0.42, -0.45), (-0.08, -0.45), (0.02, -0.1), (-0.42, -0.1)], hip, machine.colour)
    polygon([(-0.36, -0.4), (-0.12, -0.4), (-0.04, -0.14), (-0.36, -0.14)], hip, (60, 80, 95))
    beam(hip, elbow, 0.1, 0.065, machine.colour)
    beam(elbow, wrist, 0.065, 0.045, shade)
    beam(wrist, tip, 0.13, 0.03, dark)
    for joint in (hip, elbow, wrist):
        cv2.circle(image, np.rint(joint).astype(int), max(int(0.035 * unit), 1), dark, -1,
                   cv2.LINE_AA)  # fmt: skip


def draw_video(
    rng: np.random.Generator, frames: int, width: int = 320, height: int = 240
) -> tuple[list[np.ndarray], list[list[tuple[int, np.ndarray, float]]]]:
    """RGB frames, and for each the machines: track id, keypoints and size in pixels."""
    site, slots = draw_site(rng, width, height), int(rng.integers(1, 4))
    machines = [draw_machine(rng, slot, slots, width, height) for slot in range(slots)]
    far_first = sorted(range(slots), key=lambda i: machines[i].hip_px[1])
    images, labels = [], []
    for t in range(frames):
        image = site.copy()
        keypoints = [machines[i].keypoints_px(t / FPS) for i in range(slots)]
        for i in far_first:
            paint(image, machines[i], keypoints[i])
        noise = rng.normal(0, 4, image.shape)
        images.append(np.clip(image + noise, 0, 255).astype(np.uint8))
        labels.append([(i, keypoints[i], machines[i].size_px) for i in range(slots)])
    return images, labels


def annotation(image_id: int, number: int, track_id: int, keypoints_px: np.ndarray,
               size_px: float, width: int, height: int) -> dict[str, Any]:  # fmt: skip
    """One machine in COCO's format; keypoints outside the image are unlabelled."""
    inside = ((keypoints_px >= 0) & (keypoints_px < (width, height))).all(axis=1)
    rows = np.column_stack([np.where(inside[:, None], keypoints_px, 0), 2 * inside])
    body = keypoints_px[0] + size_px * np.array([[-0.82, -0.45], [0.82, 0.42]])
    corners = np.concatenate([keypoints_px, body])
    low = np.clip(corners.min(axis=0), 0, (width, height))
    high = np.clip(corners.max(axis=0), 0, (width, height))
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "track_id": track_id,
        "keypoints": rows.round(2).ravel().tolist(),
        "num_keypoints": int(inside.sum()),
        "bbox": [*low.round(2).tolist(), *(high - low).round(2).tolist()],
        "area": round(float(0.5 * np.prod(high - low)), 1),
        "iscrowd": 0,
    }


def write_split(folder: Path, split: str, videos: int, frames: int, seed: int) -> Path:
    """Draws the videos of a split; returns its annotation file."""
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    names = []
    for video in range(videos):
        drawn, labels = draw_video(np.random.default_rng((seed, video)), frames)
        name = f"{split}/{video:04d}"
        names.append({"id": video + 1, "name": name.replace("/", "_")})
        (folder / "images" / name).mkdir(parents=True, exist_ok=True)
        for t, (image, machines) in enumerate(zip(drawn, labels, strict=True)):
            file_name, height, width = f"{name}/{t:06d}.jpg", *image.shape[:2]
            cv2.imwrite(str(folder / "images" / file_name), image[..., ::-1])
            number = len(images) + 1
            images.append(
                {"id": number, "file_name": file_name, "width": width, "height": height,
                 "video_id": video + 1, "frame_id": t, "time_s": round(t / FPS, 4),
                 "complete": True}
            )  # fmt: skip
            for track_id, points, size in machines:
                people.append(
                    annotation(number, len(people) + 1, track_id, points, size, width, height)
                )
    limbs = [[a + 1, b + 1] for a, b in EDGES]
    category = {"id": 1, "name": "excavator", "keypoints": list(KEYPOINTS), "skeleton": limbs}
    category["sigmas"] = [0.06] * len(KEYPOINTS)  # for the OKS of vepe evaluate
    data = {"images": images, "annotations": people, "categories": [category], "videos": names}
    path = folder / "annotations" / f"{split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--videos", type=int, default=60, help="training videos")
    parser.add_argument("--frames", type=int, default=12, help="frames of each")
    options = parser.parse_args()
    write_split(options.folder, "train", options.videos, options.frames, seed=1)
    write_split(options.folder, "val", max(options.videos // 6, 1), options.frames, seed=2)
    (options.folder / "excavator.yaml").write_text(SKELETON)
    from vepe.video.writer import VideoWriter

    frames, _ = draw_video(np.random.default_rng((3, 1)), 50)
    height, width = frames[0].shape[:2]
    with VideoWriter(options.folder / "digging.mp4", width=width, height=height, fps=FPS) as video:
        for t, image in enumerate(frames):
            video.write(image, t / FPS)
    print(f"Drawn into {options.folder}")


if __name__ == "__main__":
    main()
