"""Any value in any place may be wrong: the answer is a sentence, never a traceback."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usable_formats import usable_targets
from vepe.errors import VepeError
from vepe.formats.coco_writer import write_coco_video
from vepe.formats.conversion import convert_annotations
from vepe.formats.dataset_check import check_dataset
from vepe.formats.label_studio import write_label_studio
from vepe.formats.posetrack import parse_sequences

DATA = Path(__file__).parent / "data"


def documents() -> list[Any]:
    old = json.loads((DATA / "pt17_000902_mpii_test.json").read_text())
    old["annolist"] = old["annolist"][:2]
    new = json.loads((DATA / "pt18_000902_mpii_test.json").read_text())
    new["images"] = new["images"][:2]
    ids = {image["id"] for image in new["images"]}
    new["annotations"] = [a for a in new["annotations"] if a["image_id"] in ids][:4]
    with tempfile.TemporaryDirectory() as folder:
        (sequence,) = parse_sequences(copy.deepcopy(new), Path("000902_mpii_test.json"))
        coco = json.loads(write_coco_video(Path(folder) / "c.json", [sequence]).read_text())
        tasks = json.loads(write_label_studio(Path(folder) / "t.json", sequence).read_text())
    return [old, new, coco, tasks]


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all values below a node (of lists, the first three)."""
    children: list[tuple[Any, Any]] = []
    if isinstance(node, dict):
        children = list(node.items())
    elif isinstance(node, list):
        children = list(enumerate(node[:3]))
    here = [(*path, key) for key, _ in children]
    return here + [p for key, child in children for p in places(child, (*path, key))]


DOCUMENTS = documents()
PLACES = [(i, path) for i, document in enumerate(DOCUMENTS) for path in places(document)]
JUNK = [None, True, -1, 0, 3.5, 10**30, float("inf"), float("nan"), "x", "", [], {}, [1], [[1]],
        {"a": 1}, [None]]  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    place=st.sampled_from(PLACES), junk=st.sampled_from(JUNK), to=st.sampled_from(usable_targets())
)
def test_no_tracebacks(place, junk, to) -> None:
    number, path = place
    document = copy.deepcopy(DOCUMENTS[number])
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = junk
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "s.json").write_text(json.dumps(document))
        for action in (
            lambda: check_dataset(folder),
            lambda: convert_annotations(folder / "s.json", folder / "out", to),
        ):
            message = "."
            try:
                action()
            except VepeError as error:
                message = str(error)
            assert message.endswith("."), message
