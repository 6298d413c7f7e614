"""The blocks of docs/python.md run one after the other, as the page says; and the README's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from vepe.inference.model_files import bundled_weights
from vepe.video.reader import open_video
from vepe.video.writer import VideoWriter

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "python.md"
CLIP = ROOT / "assets" / "store_aisle.mp4"


def blocks(page: Path) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.M)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A short `clip.mp4` and two images, as the page asks for."""
    with (
        open_video(CLIP, end_s=0.9) as source,
        VideoWriter(tmp_path / "clip.mp4", width=480, height=270, fps=source.info.fps) as writer,
    ):
        for frame in source:
            writer.write(frame.image, frame.time_s)
            if frame.index == 0:
                Image.fromarray(frame.image).save(tmp_path / "photo.jpg")
            elif frame.index == 9:
                Image.fromarray(frame.image).save(tmp_path / "other.jpg")
    return tmp_path


@pytest.mark.slow
@pytest.mark.skipif(bundled_weights("vepe-n") is None, reason="no weights are bundled yet")
def test_the_page_runs(folder: Path) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    readme = [block.replace("holiday.mp4", "clip.mp4") for block in blocks(ROOT / "README.md")]
    code = "\n\n".join([*blocks(PAGE), *readme])
    script = folder / "page.py"
    # Processes that are spawned import the script again, so it must not run there.
    script.write_text(
        "if __name__ == '__main__':\n" + "".join(f"    {line}\n" for line in code.splitlines()),
        encoding="utf-8",
    )
    run = subprocess.run(
        [sys.executable, script.name],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "FrameResult(frame 0 at 0.00 s" in run.stdout
    assert (folder / "again.mp4").exists()
