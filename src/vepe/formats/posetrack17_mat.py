"""PoseTrack17's .mat files, brought into the form of its JSON files.

MATLAB squeezes: one frame, person or point is a struct, several are an array of structs, none is
an empty array. Here they all become lists again, so that one parser serves both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vepe.errors import VepeError


def load_annolist(path: Path) -> list[Any]:
    """The `annolist` of a .mat file as plain lists, dicts and numbers.

    Raises:
        VepeError: where the file is missing, no MATLAB file, in the HDF5 form, or has no annolist.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(str(path), struct_as_record=False, squeeze_me=True)
    except FileNotFoundError:
        raise VepeError(f"{path} does not exist; check the path.") from None
    except NotImplementedError:
        raise VepeError(
            f"{path} is a MATLAB v7.3 file; save it again in MATLAB with the option '-v7'."
        ) from None
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise VepeError(f"{path} is no readable .mat file ({error}); copy it again.") from error
    if "annolist" not in content:
        raise VepeError(f"{path} holds no 'annolist'; it is not a PoseTrack17 file.")
    return _records(content["annolist"])


def _records(value: Any) -> list[Any]:
    """A list of plain records from a struct, an array of structs or an empty array."""
    return [_plain(item) for item in np.atleast_1d(np.asarray(value, dtype=object)).ravel()]


_LISTS = frozenset({"annorect", "annopoints", "point", "ignore_regions"})


def _plain(value: Any) -> Any:
    """Structs become dicts, arrays lists, NumPy scalars Python's."""
    names = getattr(value, "_fieldnames", None)
    if names is not None:
        fields = {name: getattr(value, name) for name in names}
        return {
            name: _records(item) if name in _LISTS else _plain(item)
            for name, item in fields.items()
            if not (name in _LISTS and _is_blank(item))
        }
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.ravel()]
    return value.item() if isinstance(value, np.generic) else value


def _is_blank(value: Any) -> bool:
    """MATLAB's [] in a field of a struct array: the record has no such field."""
    return isinstance(value, np.ndarray) and value.size == 0
