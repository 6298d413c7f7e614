"""Trained further, a model gives the same person another embedding; this keeps the old ones.

    python examples/keep_identity.py OLD.safetensors NEW.safetensors --images DIR -o OUT

Identity embeddings are compared with each other: between the frames of a video, and with stored
ones. When the queries they are made from change, the identity head of the new weights is fitted
here so that it gives, for the same people in the same images, the embeddings of the old weights,
and keeps their similarities to other people (backward-compatible training, arXiv 2003.11942). No
labels are needed. Only the identity head changes, so poses and scores stay the same.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vepe.formats.files import check_targets
from vepe.inference.devices import keep_freed_memory
from vepe.inference.prepost import letterbox
from vepe.inference.weights import load_weights, save_weights
from vepe.models.decoder_layer import PoseOutput, person_size_px
from vepe.models.step import network_input
from vepe.video.images import read_image

SCORE, NEW_SCORE, DISTANCE = 0.4, 0.3, 0.08
"""A person of both models: scores of at least so much, keypoints so near in units of its size."""
STEPS, BATCH, RATE = 600, 128, 1e-3
HELD_OUT = 0.15
IMAGES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass
class People:
    """The same people in both models: inputs of the new head (N, C), old embeddings (N, D)."""

    instance: Tensor
    appearance: Tensor | None
    embedding: Tensor

    def rows(self, index: Tensor) -> People:
        look = None if self.appearance is None else self.appearance[index]
        return People(self.instance[index], look, self.embedding[index])


def same_people(old: PoseOutput, new: PoseOutput) -> list[tuple[int, int]]:
    """Pairs of queries that are each other's nearest and found by both models."""
    size = person_size_px(old.keypoints_px)[0]  # (N,)
    apart = (old.keypoints_px[0][:, None] - new.keypoints_px[0][None]).norm(dim=-1).mean(dim=-1)
    apart = apart / size[:, None]  # (N, M)
    old_score, new_score = (p.score_logits[0].sigmoid() for p in (old, new))
    pairs = []
    for a in torch.nonzero(old_score >= SCORE)[:, 0].tolist():
        b = int(apart[a].argmin())
        if apart[a, b] < DISTANCE and new_score[b] >= NEW_SCORE and int(apart[:, b].argmin()) == a:
            pairs.append((a, b))
    return pairs


@torch.no_grad()
def collect(old: tuple[Any, Any], new: tuple[Any, Any], files: list[Path]) -> People:
    """The people that both models find in the images."""
    inputs: list[tuple[Tensor, ...]] = []
    hook = new[0].identity.register_forward_hook(lambda _, given, __: inputs.append(given))
    rows: list[tuple[Tensor, Tensor | None, Tensor]] = []
    for number, file in enumerate(files):
        image = read_image(file)
        poses = []
        for model, config in (old, new):
            resized, fit = letterbox(image, config.input_px, model.stride)
            pixels, padding = network_input(
                torch.from_numpy(resized[None]), torch.tensor([fit.resized_wh])
            )
            poses.append(model.encode_frame(pixels, padding)[0].poses)
        instance, appearance = (*inputs.pop(), None)[:2]
        inputs.clear()
        rows += [
            (
                instance[0, b],
                None if appearance is None else appearance[0, b],
                poses[0].identity[0, a],
            )
            for a, b in same_people(*poses)
        ]
        if number % 50 == 49:
            print(f"{number + 1} of {len(files)} images, {len(rows)} people", flush=True)
    hook.remove()
    if len(rows) < 20:
        raise SystemExit(f"Both models find only {len(rows)} people; give more images of people.")
    instance, appearance, embedding = zip(*rows, strict=True)
    looks = None if appearance[0] is None else torch.stack(appearance)
    return People(torch.stack(instance), looks, torch.stack(embedding))


def fit(head: torch.nn.Module, people: People) -> tuple[float, float]:
    """Fits the head; returns the mean cosine of held-out people to the old embeddings, before and
    after."""
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(people.instance), generator=generator)
    count = max(1, round(HELD_OUT * len(order)))
    held_out, taught = order[:count], order[count:]
    test, train = people.rows(held_out), people.rows(taught)

    @torch.no_grad()
    def agreement() -> float:
        return float((head(test.instance, test.appearance) * test.embedding).sum(dim=-1).mean())

    before = best = agreement()
    kept = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=1e-3)
    noise = 0.05 * train.instance.std()
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        rows = train.rows(torch.randint(len(taught), (BATCH,), generator=generator))
        noisy = rows.instance + noise * torch.randn(rows.instance.shape, generator=generator)
        found = head(noisy, rows.appearance)
        own = 1 - (found * rows.embedding).sum(dim=-1).mean()
        others = found @ rows.embedding.T - rows.embedding @ rows.embedding.T
        optimiser.zero_grad()
        (own + others.square().mean()).backward()
        optimiser.step()
        if step % 50 == 49 and (now := agreement()) > best:
            best = now
            kept = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    head.load_state_dict(kept)
    return before, best


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old", help="weights whose embeddings are kept, or a preset")
    parser.add_argument("new", help="weights whose identity head is fitted")
    parser.add_argument("--images", type=Path, required=True, help="folder of images of people")
    parser.add_argument("--count", type=int, default=450, help="at most so many of them")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    check_targets([options.output], [Path(options.new)])
    keep_freed_memory()
    files = sorted(p for p in options.images.rglob("*") if p.suffix.lower() in IMAGES)
    files = files[:: max(1, len(files) // options.count)][: options.count]
    old, old_config, _ = load_weights(options.old)
    new, config, training = load_weights(options.new, skeleton=old_config.skeleton)
    # What does not read the queries starts from, or stays, the old one.
    kept = {
        name: tensor
        for name, tensor in old.state_dict().items()
        if name.split(".")[0] in ("appearance", "identity", "consistency")
    }
    new.load_state_dict(new.state_dict() | kept)
    people = collect((old, old_config), (new, config), files)
    before, after = fit(new.identity, people)
    count = len(people.instance)
    print(f"{count} people; cosine to the old embeddings {before:.2f}, held out {after:.2f} now")
    training = {**training, "identity_kept": {"people": count, "cosine": round(after, 3)}}
    save_weights(options.output, new, config, training)
    print(f"Weights: {options.output}")


if __name__ == "__main__":
    main()
