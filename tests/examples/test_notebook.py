"""The notebook of `examples/` runs from its first cell to its last, and is small."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from vepe.inference.model_files import bundled_weights

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
MAX_CELLS, MAX_LINES, MAX_BYTES = 12, 8, 400_000


def test_it_is_short() -> None:
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert len(notebook.cells) <= MAX_CELLS
    assert max(len(cell.source.splitlines()) for cell in notebook.cells) <= MAX_LINES
    assert NOTEBOOK.stat().st_size <= MAX_BYTES


@pytest.mark.slow
@pytest.mark.skipif(bundled_weights("vepe-n") is None, reason="no weights are bundled yet")
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    for package in ("ipykernel", "pandas", "matplotlib"):
        pytest.importorskip(package)
    shutil.copytree(ROOT / "assets", tmp_path / "assets")
    folder = tmp_path / "examples"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"), prepend=os.pathsep)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert {"text/html", "image/png"} <= kinds
    assert (folder / "store_aisle_poses.mp4").stat().st_size > 10_000
