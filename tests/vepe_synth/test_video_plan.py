"""The plan of a video depends only on its seed, split and index."""

from __future__ import annotations

import numpy as np

from vepe_synth.avatars import open_library
from vepe_synth.video_plan import plan_video


def test_plan_depends_only_on_seed_split_and_index(small_settings) -> None:
    library = open_library()
    plans = [plan_video(small_settings, library, seed=3, split="train", index=i) for i in (4, 4, 5)]
    eyes = [p.camera.at(0.05).eye for p in plans]
    np.testing.assert_array_equal(eyes[0], eyes[1])
    assert (eyes[0] != eyes[2]).any()
    assert plans[0].sensor == plans[1].sensor != plans[2].sensor
    assert plans[0].stage.light == plans[1].stage.light
