"""Settings of people are validated."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from vepe_synth.config import ActionWeights, PeopleSettings


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError, match="people_min is above"):
        PeopleSettings(people_min=5, people_max=2)
    with pytest.raises(ValidationError, match="all action weights"):
        ActionWeights(**dict.fromkeys(ActionWeights.model_fields, 0.0))
