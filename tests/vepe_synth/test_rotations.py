"""Quaternions against SciPy's."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from vepe_synth import rotations as rot


def _scipy(q: np.ndarray) -> Rotation:
    return Rotation.from_quat(q[..., [1, 2, 3, 0]])


def test_operations_agree_with_scipy(rng: np.random.Generator) -> None:
    a, b = rot.normalise(rng.normal(size=(2, 20, 4)))
    np.testing.assert_allclose(rot.to_matrix(a), _scipy(a).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(
        rot.to_matrix(rot.multiply(a, b)), (_scipy(a) * _scipy(b)).as_matrix(), atol=1e-12
    )
    np.testing.assert_allclose(
        rot.to_matrix(rot.inverse(a)), _scipy(a).inv().as_matrix(), atol=1e-12
    )
    np.testing.assert_allclose(rot.to_rotvec(a), _scipy(a).as_rotvec(), atol=1e-12)
    vectors = rng.normal(size=(20, 3))
    np.testing.assert_allclose(
        rot.to_matrix(rot.from_rotvec(vectors)),
        Rotation.from_rotvec(vectors).as_matrix(),
        atol=1e-12,
    )


def test_slerp_agrees_with_scipy_and_takes_the_short_way(rng: np.random.Generator) -> None:
    a, b = rot.normalise(rng.normal(size=(2, 4)))
    shares = np.linspace(0, 1, 7)
    expected = Slerp([0, 1], Rotation.concatenate([_scipy(a), _scipy(b)]))(shares).as_matrix()
    for sign in (1.0, -1.0):
        result = rot.to_matrix(rot.slerp(a[None], sign * b[None], shares))
        np.testing.assert_allclose(result, expected, atol=1e-9)


def test_small_and_no_turns() -> None:
    tiny = rot.from_rotvec(np.array([[1e-12, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(rot.to_rotvec(tiny), [[1e-12, 0, 0], [0, 0, 0]], atol=1e-15)
    same = rot.slerp(tiny, tiny, 0.3)
    np.testing.assert_allclose(same, rot.identity(2), atol=1e-9)


def test_heading_is_the_turn_about_y() -> None:
    yaw = np.array([0.3, -2.0])
    tilted = rot.multiply(rot.about_y(yaw), rot.from_rotvec(np.array([[-1.2, 0, 0], [0.5, 0, 0]])))
    np.testing.assert_allclose(rot.heading(tilted), yaw, atol=1e-12)
    np.testing.assert_allclose(rot.to_matrix(rot.about_y(np.array(0.5)))[0, 2], np.sin(0.5))


def test_between_turns_one_direction_into_another(rng: np.random.Generator) -> None:
    start, end = rng.normal(size=(2, 3))
    turned = rot.to_matrix(rot.between(start, end)) @ start
    np.testing.assert_allclose(turned / np.linalg.norm(turned), end / np.linalg.norm(end))
