"""Every shell and Python block of README and docs runs: here, or by `make docs-full`.

Here, a network stands in for the real ones and the videos are tiny. `doc_blocks.py` says how blocks
are marked.
"""

from __future__ import annotations

import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml
from doc_blocks import (
    CHECKED_PROGRAMS,
    LANGUAGES,
    LOOKS_LIKE_CODE,
    PAGES,
    ROOT,
    RUNNABLE,
    Block,
    Session,
    blocks,
    extras,
    make_targets,
    vepe_calls,
)
from PIL import Image
from standin_network import open_walking
from typer.main import get_command

from tiny_models import moving_frames, write_video
from vepe.cli.app import app

FULL = bool(os.environ.get("VEPE_DOCS_FULL"))
HAVE = set(filter(None, os.environ.get("HAVE", "").split(",")))
"""What this machine has for `make docs-full`: network, gpu, camera, data, cluster ..."""

ALL = [block for page in PAGES for block in blocks(page)]
CODE = [block for block in ALL if block.language in RUNNABLE]
WITH_CODE = [page for page in PAGES if any(block.page == page for block in CODE)]
VIDEOS = (
    *("walk.mp4", "holiday.mp4", "clip.mp4", "walking.mp4", "store_aisle.mp4", "bedroom.mp4"),
    *("a.mp4", "clips/store_aisle.mp4", "clips/walking.mp4", "more/b.mov", "new/walking.mp4"),
    *("assets/store_aisle.mp4", "assets/walking.mp4"),
)
EXTRAS = {"supervision": "supervision", "to_sleap": "sleap_io", "fiftyone": "fiftyone"}
EXTRAS |= {"to_xarray": "xarray", "to_pandas": "pandas", "rerun": "rerun", ".parquet": "pyarrow"}
"""Text of a block -> the package without which it is skipped."""


PREPARED: dict[str, dict[str, str]] = {
    "identity": {"walk": ""},
    "interoperability": {"walk": ""},
    "privacy": {"walk": ""},
    "quality": {"bedroom": "--split 2@0.8s=3", "walking": ""},
}
"""Page -> results that it reads, with the edits that make them what the page says."""


def sh(command: str) -> Block:
    return Block(ROOT / "prepared", 1, "sh", command, "")


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages assume in the working folder."""
    folder = tmp_path_factory.mktemp("material")
    small = write_video(folder / "small.mp4", moving_frames(40, width=160, height=96))
    walking, aisle = (ROOT / "assets" / f"{name}.mp4" for name in ("walking", "store_aisle"))
    for name in VIDEOS:
        (folder / name).parent.mkdir(exist_ok=True)
        real = aisle if name in ("clip.mp4", "store_aisle.mp4") else walking
        shutil.copyfile(real if FULL else small, folder / name)
    (folder / "new" / "broken.mp4").write_bytes(b"not a video" * 100)
    (folder / "list.txt").write_text("walk.mp4\n# a comment\nholiday.mp4\n")
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (96, 160, 3), np.uint8))
    for name in ("photo", "other"):
        image.save(folder / f"{name}.jpg")
    for name in ("tests", "examples", "benchmarks"):
        (folder / name).symlink_to(ROOT / name)
    if FULL:
        shutil.copytree(ROOT / "assets", folder / "assets", dirs_exist_ok=True)
    return folder


@pytest.fixture
def session(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    folder = tmp_path / "work"
    shutil.copytree(material, folder, symlinks=True)
    if not FULL:
        monkeypatch.setattr("vepe.inference.predictor.open_network", open_walking)
    return Session(folder, real=FULL)


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_blocks_run(page: Path, session: Session) -> None:
    for name, edit in PREPARED.get(page.stem, {}).items():
        (session.folder / "out").mkdir(exist_ok=True)
        session.run(sh(f"vepe track {name}.mp4 -o {'raw' if edit else 'out'} --no-video"))
        if edit:
            session.run(sh(f"vepe edit raw/{name}.json {edit} -o out/{name}.json"))
    skipped = []
    for block in (block for block in CODE if block.page == page):
        missing = [p for text, p in EXTRAS.items() if text in block.text and not find_spec(p)]
        if block.kind == "checked" or (block.kind == "full" and not FULL):
            continue
        if missing or block.needs - HAVE:
            skipped.append(f"{block}: {', '.join(missing) or ', '.join(block.needs - HAVE)}")
            continue
        session.run(block)
    if skipped and FULL:
        pytest.skip("; ".join(skipped))


@pytest.mark.parametrize("block", ALL, ids=str)
def test_no_block_escapes(block: Block) -> None:
    assert block.language in LANGUAGES, f"{block}: give the block one of {sorted(LANGUAGES)}"
    if block.language not in RUNNABLE:
        assert not LOOKS_LIKE_CODE.search(block.text), f"{block}: this is sh, console or python"
    if block.language == "yaml":
        assert yaml.safe_load(block.text)
    if block.mark:
        known = r"(full(, with [\w, ]+)?|checked|exit code \d+): .+|exact"
        assert re.fullmatch(known, block.mark), f"{block}: unknown mark '{block.mark}'"
    if block.kind == "checked":
        assert block.language != "python", f"{block}: make docs-full can run it; mark it full"
        calls = [re.sub(r"^(\w+=\S+(\s+|$))*", "", command) for command in block.commands()]
        programs = {Path(call.split()[0]).name for call in calls if call}
        assert programs - {"", "."} <= CHECKED_PROGRAMS, f"{block}: only programs of other machines"


@pytest.mark.parametrize("block", [b for b in CODE if b.kind != "run"], ids=str)
def test_marked_blocks_are_right(block: Block) -> None:
    """Python is parsed; extras, targets, scripts and options exist."""
    if block.language == "python":
        compile(block.text, str(block), "exec")
        return
    for command in block.commands():
        for name in re.findall(r"'[^']*\[([\w,-]+)\]'", command):
            assert set(name.split(",")) <= extras(), command
        if command.startswith("make "):
            targets = [
                w for w in command.split()[1:] if "=" not in w and not w.startswith(("-", "'"))
            ]
            assert set(targets[:1]) <= make_targets(), command
        for script in re.findall(r"python (\S+\.py|benchmarks/\w+)", command):
            assert (ROOT / script).exists(), command
        for words in vepe_calls(command):
            parse_options(words)


def parse_options(words: list[str]) -> None:
    """Raises where a command has no such option, argument or subcommand."""
    group = get_command(app)
    context = group.make_context("vepe", list(words), resilient_parsing=True)
    name, sub, rest = group.resolve_command(context, list(words))  # type: ignore[attr-defined]
    if hasattr(sub, "resolve_command"):
        inner = sub.make_context(name, list(rest), parent=context, resilient_parsing=True)
        name, sub, rest = sub.resolve_command(inner, list(rest))
    sub.make_context(name, list(rest), parent=context)
