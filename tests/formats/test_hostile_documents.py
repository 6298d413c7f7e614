"""Documents that state what no honest one does."""

from pathlib import Path

import numpy as np
import pytest

from vepe.data.label_cache import load_index
from vepe.errors import VepeError
from vepe.formats.files import load_json


def test_huge_integer_in_json_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" + "1" * 5000 + "]")
    with pytest.raises(VepeError, match="too many digits"):
        load_json(path)


def test_label_cache_with_object_arrays_is_discarded(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, about=np.array([{}], object))
    assert load_index(path, "stamp") is None
