"""Frozen tables: dataclasses whose every field is an array with one row a track."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Int


class Rows:
    """Selecting, replacing and joining rows; nothing is changed in place.

    For frozen dataclasses whose fields are all arrays with the same leading length.
    """

    def select(self, index: Int[np.ndarray, "Q"] | Bool[np.ndarray, "M"]) -> Self:
        """Only the rows at `index` (integers or a mask), in that order."""
        return type(self)(**{name: array[index] for name, array in self._arrays().items()})

    def with_rows(self, index: Int[np.ndarray, "Q"] | Bool[np.ndarray, "M"], rows: Self) -> Self:
        """The same table with the rows at `index` replaced by those of `rows`, in that order."""
        result = {name: array.copy() for name, array in self._arrays().items()}
        for name, array in result.items():
            array[index] = getattr(rows, name)
        return type(self)(**result)

    def joined(self, more: Self) -> Self:
        """The rows of `more` behind these; where one of the two is empty, the other."""
        if not len(next(iter(self._arrays().values()))):
            return more
        if not len(next(iter(more._arrays().values()))):
            return self
        pairs = {n: np.concatenate([a, getattr(more, n)]) for n, a in self._arrays().items()}
        return type(self)(**pairs)

    def _arrays(self) -> dict[str, Any]:
        return vars(self)
