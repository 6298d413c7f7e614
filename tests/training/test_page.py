"""The page of a run: everything it must hold, and nothing that it would have to fetch."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tiny_recipes import tiny_recipe
from vepe.errors import VepeError
from vepe.training.report import MOST_POINTS, loss_charts, write_page
from vepe.training.report_images import save_picture
from vepe.training.run_log import label, metric_names
from vepe.training.setup import write_environment


def write_run(folder: Path, count: int = 6) -> Path:
    lines = []
    for n in range(count):
        stage = int(n >= count // 2)
        place = {"stage": ("frames", "temporal")[stage], "stage_index": stage}
        place |= {"step": n - stage * (count // 2), "run_step": n, "elapsed_s": n * 100.0}
        losses = {"loss": 9.0 - n / count, "spatial0/l1": 5.0, "identity/cosine": 4.0 - n / count}
        pace = {"lr": 1e-3, "clips_per_s": 5.0, "frames_per_s": 15.5, "memory_gib": 1.25}
        lines.append({**place, **losses, **pace})
        if n % 3 == 2:
            lines.append({**place, "evaluation": {"recall": None, "mota": 7.125, "ap": 20.0 + n}})
    folder.mkdir(exist_ok=True)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


class Reader(HTMLParser):
    """Collects addresses and headings, and counts charts."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.headings: list[str] = []
        self.charts, self.inside = 0, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.charts += tag == "svg"
        self.sources += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]

    def handle_data(self, data: str) -> None:
        if self.inside in ("h1", "h2"):
            self.headings.append(data)
            self.inside = ""


def test_the_page_is_whole_and_alone(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run <1>")
    write_environment(folder, tiny_recipe(seed=77))
    picture = np.full((30, 40, 3), 200, np.uint8)
    save_picture(folder / "worst" / "01.jpg", picture)
    worst = [{"file": "01.jpg", "loss": 12.345, "clip": "a&b"}]
    (folder / "worst" / "worst.json").write_text(json.dumps(worst))
    save_picture(folder / "pictures" / "0000499_batch.jpg", picture)
    text = write_page(folder).read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.headings == [
        "Training: run <1>", "Evaluation", "Losses", "Pace", "Worst clips", "On the way",
        "Recipe", "Environment",
    ]  # fmt: skip
    # AP, MOTA; the loss, spatial, identity; rate, throughput, memory.
    assert reader.charts == 8
    own = [s for s in reader.sources if not s.startswith("#")]
    assert len(own) == 2
    assert all(source.startswith("data:image/jpeg;base64,") for source in own)
    assert not re.search(r"<script|https?:|url\((?!#)", text)
    assert "prefers-color-scheme: dark" in text
    for words in (
        "25.0", "7.1", "n/a", "After step 500", "a&amp;b: loss 12.35", "seed: 77", "torch",
        "15.5", ">temporal<", "6 steps in 0:08:20",
    ):  # fmt: skip
        assert words in text, words


def test_a_young_run_has_a_page_too(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", count=1)
    assert "The run was not evaluated" in write_page(folder).read_text()


@pytest.mark.parametrize("content", [None, "", '{"stage"'])
def test_no_run_no_page(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "log.jsonl").write_text(content)
    with pytest.raises(VepeError, match="give a run's output folder"):
        write_page(tmp_path)
    assert not (tmp_path / "index.html").exists()


def test_long_logs_are_drawn_as_means() -> None:
    place = {"stage": "a", "stage_index": 0, "elapsed_s": 0.0}
    lines = [{**place, "step": n, "run_step": n, "loss": 1.0 + n % 2} for n in range(20_000)]
    (chart,) = loss_charts(lines)
    assert chart.count(" L ") + chart.count("\nL ") < 2 * MOST_POINTS
    assert len(chart) < 60_000


@pytest.mark.parametrize(
    ("metric", "name"),
    [("ap", "AP"), ("ap_medium", "AP medium"), ("assa", "AssA"), ("recall", "recall")],
)
def test_metrics_are_spelt_as_in_papers(metric: str, name: str) -> None:
    assert label(metric) == name


def test_what_papers_report_comes_first() -> None:
    tests = [{"evaluation": {"recall": 1, "hota": 1}}, {"evaluation": {"ap": 1, "recall": 1}}]
    assert metric_names(tests) == ["ap", "hota", "recall"]
