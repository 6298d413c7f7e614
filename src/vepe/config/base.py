"""The base of all settings: frozen values, no unknown keys, renamed keys accepted with a warning.

To rename a key, rename the field and add `"old": "new"` to the class's `RENAMED`. To remove one,
delete the field and add `"old": None`.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

from vepe.errors import VepeWarning

SILENT = {"warn_renamed": False}
"""Validation context under which renamed keys are upgraded without a warning."""


class Settings(BaseModel):
    """Base of every settings class.

    Attributes:
        RENAMED: old key -> new key, or None where a key has no successor. Old keys are accepted
            for one version with a `VepeWarning` that names the new one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    RENAMED: ClassVar[dict[str, str | None]] = {}

    @model_validator(mode="before")
    @classmethod
    def _accept_renamed_keys(cls, values: Any, info: ValidationInfo) -> Any:
        if not isinstance(values, dict):
            return values
        renamed = {old: new for old, new in cls.RENAMED.items() if old in values}
        if not renamed:
            return values
        warn = (info.context or {}).get("warn_renamed", True)
        values = dict(values)
        for old, new in renamed.items():
            value = values.pop(old)
            if new is None:
                message = f"'{old}' has no effect any more; remove it."
            else:
                values.setdefault(new, value)
                message = f"'{old}' is now called '{new}'; the old name will go in version 0.3."
            if warn:
                warnings.warn(message, VepeWarning, stacklevel=2)
        return values
