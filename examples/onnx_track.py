"""Tracks people with a model of `vepe export` on any machine: ONNX Runtime, OpenCV and NumPy only.

    python examples/onnx_track.py vepe-n.onnx video.mp4 > poses.csv

What a port to another language needs: fit the image, feed the state, match people to ids. Left out
of what `vepe track` does: shot cuts, videos of more than 30 frames per second (their windows skip
frames) and the tracker's motion model. On ordinary clips the ids are the same.
"""

import json
import sys

import cv2
import numpy as np
import onnxruntime

REACH, READS = 4, (-4, -2, -1, 0, 1, 2, 4)  # frames before and after the key frame
NEW, STRONG, WEAK = 0.4, 0.311, 0.0889  # scores that start a track, find a lost one, continue one


def fit(image, longest, stride):
    """The image in the network's input, its size there, and the scale."""
    height, width = image.shape[:2]
    scale = min(longest / max(width, height), 2.0)
    w, h = max(round(width * scale), stride), max(round(height * scale), stride)
    padded = np.full((-(-h // stride) * stride, -(-w // stride) * stride, 3), 128, np.uint8)
    padded[:h, :w] = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    return padded, (w, h), np.array([w / width, h / height])


def flow(earlier, later):
    """Optical flow there and back, at a fourth of the resolution."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    size = (earlier.shape[1] // 4, earlier.shape[0] // 4)
    both = (dis.calc(earlier, later, None), dis.calc(later, earlier, None))
    return np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in both])


class Network:
    """The model with the state of one stream: what it keeps of the last frames."""

    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        values = self.session.get_modelmeta().custom_metadata_map
        self.config, self.interface = json.loads(values["config"]), json.loads(values["interface"])
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.state = [i for i in self.session.get_inputs() if i.name.startswith("memory.")]
        self.frames, self.greys, self.flows = [], [], []

    def step(self, image, size, key):
        """Adds a frame, or only fuses with None; the poses of frame `key` of those in memory."""
        old = list(self.frames)
        if image is not None:
            grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
            self.flows += [flow(self.greys[-1], grey)] if self.greys else []
            self.greys.append(grey)
        count, slots = len(old) + (image is not None), 2 * REACH
        places = [key + distance for distance in range(-REACH, REACH + 1)]
        read = [p if p - key in READS and 0 <= p < count else -1 for p in places]
        flow_hw = (self.greys[0].shape[0] // 4, self.greys[0].shape[1] // 4)
        flows = np.zeros((1, slots, 2, 2, *flow_hw), np.float32)
        for i, place in enumerate(places[:-1]):
            if 0 <= place < len(self.flows):
                flows[0, i] = self.flows[place].transpose(0, 3, 1, 2)
        feeds = {
            "images": np.zeros((1, 64, 64, 3), np.uint8) if image is None else image[None],
            "sizes_px": np.array([(64, 64) if image is None else size]),
            "windows": np.array([[slots if p == len(old) else p for p in read]]),
            "flows": flows,
        }
        for value in self.state:
            rows = np.zeros((slots, *value.shape[1:]), np.float32)
            for row, frame in enumerate(old):
                rows[row] = frame["frame." + value.name.removeprefix("memory.")]
            feeds[value.name] = rows
        result = {n: v[0] for n, v in zip(self.outputs, self.session.run(None, feeds), strict=True)}
        if image is not None:
            self.frames.append(result)
        return result

    def forget(self):
        """Drops the oldest frame."""
        self.frames, self.greys, self.flows = self.frames[1:], self.greys[1:], self.flows[1:]


def overlap(left, right):
    """0..1: a Gaussian of the keypoints' distances, in units of the person's size."""
    size = max(np.ptp(left, axis=0).max(), np.ptp(right, axis=0).max(), 8.0)
    distance = np.square(left - right).sum(-1) / (0.15 * size) ** 2
    return float(np.exp(-0.5 * distance).mean())


class Tracker:
    """Matches people to ids by identity embedding and overlap of the poses, the surest first."""

    def __init__(self):
        self.tracks, self.seen = {}, set()  # seen: ids of the last frame

    def step(self, poses):
        """The id and index of every tracked person."""
        points, scores, identities = (poses[n] for n in ("keypoints_px", "scores", "identities"))
        people = []  # without duplicates
        for i in np.argsort(-scores):
            alike = any(overlap(points[i], points[k]) > 0.5 for k in people)
            if scores[i] >= WEAK and not alike:
                people.append(i)
        ids, pairs = {}, []
        for track, (identity, last) in self.tracks.items():
            for i in people:
                if scores[i] < STRONG and track not in self.seen:
                    continue  # who left the view does not come back as a faint guess
                affinity = float(identity @ identities[i]) + overlap(last, points[i])
                pairs.append((scores[i] >= STRONG, affinity, track, i))
        for _, affinity, track, i in sorted(pairs, reverse=True):
            if affinity > 0.9 and i not in ids and track not in ids.values():
                ids[i] = track
        for i in people:
            if i not in ids and scores[i] >= NEW:
                ids[i] = len(self.tracks) + 1
                self.tracks[ids[i]] = None
        self.tracks |= {track: (identities[i], points[i]) for i, track in ids.items()}
        self.seen = set(ids.values())
        return [(ids[i], i) for i in people if i in ids]


def track(model, video):
    """Frame number, id, score and keypoints in pixels of the video, person by person."""
    network, tracker, capture = Network(model), Tracker(), cv2.VideoCapture(video)
    number, first, scale = 0, 0, None  # of the frame that is due, and of the oldest in memory
    while True:
        _, frame = capture.read()
        image, size = None, None
        if frame is not None:
            rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            image, size, scale = fit(rgb, network.config["input_px"], network.interface["stride"])
        ends = image is None
        if (ends and number - first >= len(network.frames)) or scale is None:
            return
        poses = network.step(image, size, number - first)
        if not ends and len(network.frames) <= number - first + REACH:
            continue  # later frames are read first
        for identity, i in tracker.step(poses):
            yield number, identity, poses["scores"][i], poses["keypoints_px"][i] / scale
        number += 1
        if number - first > REACH:
            network.forget()
            first += 1


if __name__ == "__main__":
    for number, identity, score, points in track(*sys.argv[1:3]):
        print(number, identity, f"{score:.3f}", *(f"{v:.1f}" for v in points.ravel()), sep=",")
