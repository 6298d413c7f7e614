"""How well identity embeddings distinguish people in labelled video.

    python benchmarks/same_person.py --gt ANNOTATIONS --images ROOT [--model vepe-n]

Every EVERY-th frame is predicted on its own; a prediction is matched with a labelled person if
their OKS is at least MATCH_OKS. Over all pairs of observations in a video: the cosine similarities
of the same person and of two people, and how often the former is higher (area under the ROC
curve).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from vepe.evaluation.run_model import image_paths
from vepe.formats.annotations import Person
from vepe.formats.posetrack import read_posetrack
from vepe.inference.predictor import Predictor, load
from vepe.skeleton import POSETRACK15
from vepe.types import FramePoses
from vepe.video.images import read_image

EVERY = 5
MATCH_OKS = 0.4


def matching_row(person: Person, poses: FramePoses) -> int | None:
    """Index of the prediction that matches this person, if any."""
    area = max(float(person.extra.get("area", 0)), 1.0)
    squared = np.square(poses.keypoints_px - person.keypoints_px).sum(axis=2)
    oks = np.exp(-squared / (2 * area * (2 * POSETRACK15.sigma_array()) ** 2))
    similarity = oks[:, person.present].mean(axis=1)
    if not len(similarity) or similarity.max() < MATCH_OKS:
        return None
    return int(similarity.argmax())


def cosines(gt: Path, images: Path, model: Predictor) -> tuple[np.ndarray, np.ndarray]:
    """Cosine similarities of pairs of observations: of the same person, and of two people."""
    same: list[float] = []
    other: list[float] = []
    for sequence in read_posetrack(gt):
        paths = image_paths(images, [f.file_name for f in sequence.frames])
        ids, embeddings = [], []
        for frame, path in list(zip(sequence.frames, paths, strict=True))[::EVERY]:
            poses = model.predict(read_image(path))
            for person in frame.people:
                row = matching_row(person, poses)
                if row is not None and poses.embeddings is not None:
                    ids.append(person.track_id)
                    embeddings.append(poses.embeddings[row])
        for i in range(len(ids)):
            for j in range(i):
                (same if ids[i] == ids[j] else other).append(float(embeddings[i] @ embeddings[j]))
    return np.array(same), np.array(other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", default="vepe-n")
    options = parser.parse_args()
    same, other = cosines(options.gt, options.images, load(options.model, conf=0.25))
    for name, values in (("same person", same), ("two people", other)):
        low, middle, high = np.percentile(values, [10, 50, 90])
        print(f"{name}: {len(values)} pairs, cosine {middle:.2f} ({low:.2f} to {high:.2f})")
    print(f"the same person is more similar in {(same[:, None] > other).mean():.1%} of cases")


if __name__ == "__main__":
    main()
