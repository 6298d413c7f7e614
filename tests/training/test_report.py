"""The report of a run: everything it must have, and nothing that needs a network."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tiny_recipes import tiny_recipe
from vepe.cli.app import run
from vepe.errors import VepeError, VepeWarning
from vepe.training.report import MAX_POINTS, loss_charts, write_report
from vepe.training.report_images import save_jpeg
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


def test_page_is_complete_and_needs_no_other_file(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run <1>")
    write_environment(folder, tiny_recipe(seed=77))
    image = np.full((30, 40, 3), 200, np.uint8)
    save_jpeg(folder / "worst" / "01.jpg", image)
    worst = [{"file": "01.jpg", "loss": 12.345, "clip": "a&b"}]
    (folder / "worst" / "worst.json").write_text(json.dumps(worst))
    save_jpeg(folder / "images" / "0000499_batch.jpg", image)
    page = write_report(folder).read_text()
    reader = Reader()
    reader.feed(page)
    assert reader.headings == [
        "Training: run <1>", "Evaluation", "Losses", "Throughput", "Worst clips", "During training",
        "Recipe", "Environment",
    ]  # fmt: skip
    # AP, MOTA; the loss, spatial, identity; learning rate, throughput, memory.
    assert reader.charts == 8
    sources = [s for s in reader.sources if not s.startswith("#")]
    assert len(sources) == 2
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not re.search(r"<script|https?:|url\((?!#)", page)
    assert "prefers-color-scheme: dark" in page
    for text in (
        "25.0", "7.1", "n/a", "After step 500", "a&amp;b: loss 12.35", "seed: 77", "torch",
        "15.5", ">temporal<", "6 steps in 0:08:20",
    ):  # fmt: skip
        assert text in page, text


def test_run_of_one_step_has_a_report(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", count=1)
    assert "The run was not evaluated" in write_report(folder).read_text()


@pytest.mark.parametrize("content", [None, "", '{"stage"'])
def test_folder_without_a_run(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "log.jsonl").write_text(content)
    with pytest.raises(VepeError, match="give the output folder of a run"):
        write_report(tmp_path)
    assert not (tmp_path / "index.html").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.jsonl", '{"step": "3"}', "'step' is '3'; remove the line"),
        ("log.jsonl", '{"step": -1}', "'step' is -1"),
        ("log.jsonl", '{"run_step": 1e400}', "'run_step' is inf"),
        ("log.jsonl", '{"elapsed_s": null}', "'elapsed_s' is None"),
        ("log.jsonl", '{"elapsed_s": 1e99}', "'elapsed_s' is 1e"),
        ("log.jsonl", '{"stage": []}', "'stage' is"),
        ("log.jsonl", '{"evaluation": [1]}', "'evaluation' is"),
        ("log.jsonl", '{"evaluation": {"ap": "x"}}', "'evaluation' is"),
        ("log.jsonl", '{"loss": NaN}', "'loss' is nan"),
        ("log.jsonl", '{"loss": 1e200}', "'loss' is 1e"),
        ("log.jsonl", '{"loss": true}', "'loss' is True"),
        ("log.jsonl", "[" * 2000 + "]" * 2000 + "\n{}", "Line 1 of"),
        ("worst/worst.json", "3", "list of a run's worst clips"),
        ("worst/worst.json", "[3]", "list of a run's worst clips"),
        ("worst/worst.json", '[{"file": 3}]', "list of a run's worst clips"),
        ("worst/worst.json", '[{"file": "a.jpg", "loss": "x"}]', "list of a run's worst clips"),
        ("environment.json", "[1]", "not the environment"),
    ],
)
def test_odd_files_of_a_run_are_named(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    path = write_run(tmp_path / "run") / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    with pytest.raises(VepeError, match=re.escape(message)):
        write_report(tmp_path / "run")


def test_lines_without_places_and_undefined_losses_have_a_report(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / "log.jsonl").write_text(
        '{"loss": null, "spatial0/l1": null}\n{"loss": 2, "spatial0/l1": 3, "stage": "b"}\n{}\n'
    )
    (folder / "recipe.yaml").write_bytes(b"\xff")
    (folder / "images").mkdir()
    (folder / "images" / "mine.jpg").write_bytes(b"")
    assert "Losses" in write_report(folder).read_text()


def test_report_shows_no_file_of_another_folder(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (folder / "worst").mkdir()
    worst = [{"file": "../../secret.jpg", "loss": 1.0}, {"file": str(tmp_path / "secret.jpg")}]
    worst[1]["loss"] = 2.0
    (folder / "worst" / "worst.json").write_text(json.dumps(worst))
    assert "data:image/jpeg" not in write_report(folder).read_text()


def test_long_logs_are_drawn_as_means() -> None:
    place = {"stage": "a", "stage_index": 0, "elapsed_s": 0.0}
    lines = [{**place, "step": n, "run_step": n, "loss": 1.0 + n % 2} for n in range(20_000)]
    (chart,) = loss_charts(lines)
    assert chart.count(" L ") + chart.count("\nL ") < 2 * MAX_POINTS
    assert len(chart) < 60_000


def test_old_command_and_new_one_write_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = write_run(tmp_path / "run")
    assert run(["train", "report", str(folder)]) == 0
    assert f"Report: {folder / 'index.html'}" in capsys.readouterr().out
    (folder / "index.html").unlink()
    with pytest.warns(VepeWarning, match="`vepe page` is now `vepe train report`"):
        assert run(["page", str(folder)]) == 0
    assert (folder / "index.html").is_file()


def test_links_in_a_run_show_nothing_from_elsewhere(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    worst = [{"file": "01.jpg", "loss": 1.0}]
    for name in ("worst/01.jpg", "images/0000499_batch.jpg", "recipe.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(secret)
    (folder / "worst" / "worst.json").write_text(json.dumps(worst))
    (tmp_path / "environment.json").write_text('{"SECRET": 1}')
    (folder / "environment.json").symlink_to("../environment.json")
    page = write_report(folder).read_text()
    assert "SECRET" not in page
    assert "data:image/jpeg" not in page
