"""What is seen of a run besides its numbers: pictures on the way, and the page at the end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vepe.config.training import TrainConfig
from vepe.data.batch import Batch
from vepe.losses.criterion import Criterion
from vepe.models.vepe import Vepe
from vepe.skeleton import Skeleton
from vepe.training.journal import Journal
from vepe.training.page import write_page
from vepe.training.pictures import draw_batch, save_worst, worst_clips


class Watch:
    """Draws what the averaged weights make of clips. Of many processes, the first one does.

    Args:
        folder: of the run.
        config: the run; says how often.
        model: the averaged weights, in evaluation mode; looked at whenever something is drawn.
        criterion: matches people and gives the losses.
        skeleton: of both.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainConfig,
        model: Vepe,
        criterion: Criterion,
        skeleton: Skeleton,
    ) -> None:
        self.folder, self.every = folder, config.pictures_every
        self.model, self.criterion, self.skeleton = model, criterion, skeleton

    def step(self, journal: Journal, batch: Batch) -> None:
        """Draws the batch of the present step where its turn has come."""
        if self.every and journal.folder is not None and (journal.run_step + 1) % self.every == 0:
            image = draw_batch(self.model, self.criterion, batch, self.skeleton)
            journal.picture("batch", image)

    def finish(self, batches: Iterable[Batch]) -> Path:
        """Draws the worst clips of some batches and writes the run's page; returns its path."""
        worst = worst_clips(self.model, self.criterion, batches)
        save_worst(self.folder, worst, self.skeleton)
        return write_page(self.folder)
