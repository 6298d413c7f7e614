"""What losses are divided by: people of a whole optimiser step, however it is cut into batches.

A mean over each process's own people would weigh a person by who shares its batch. Counted from
the labels alone, so that the counts of all parts are known before any of them is run.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vepe.losses.targets import Targets


@dataclass(frozen=True)
class Counts:
    """Labelled people, and those of them whose identity is seen in another frame of their clip."""

    people: float
    anchors: float

    @staticmethod
    def of(targets: Targets) -> Counts:
        """The counts of one batch; its track ids are unique over the clips."""
        ids = targets.track_ids[targets.valid & (targets.track_ids >= 0)]
        times = torch.unique(ids, return_counts=True)[1]
        return Counts(float(targets.valid.sum()), float(times[times > 1].sum()))

    def divisors(self, parts: int = 1) -> Counts:
        """At least 1 each, and divided by the number of parts whose mean will be taken."""
        return Counts(max(self.people, 1.0) / parts, max(self.anchors, 1.0) / parts)
