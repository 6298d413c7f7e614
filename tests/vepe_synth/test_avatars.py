"""The library of avatars: what it reads, how it splits, and what it says of broken files."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from vepe.errors import VepeError
from vepe_synth.avatars import BUNDLED_AVATARS, open_library


def bundled_parts() -> dict[str, np.ndarray]:
    """The arrays of one bundled avatar."""
    with tarfile.open(BUNDLED_AVATARS) as tar:
        handle = tar.extractfile("White_M_1_Casual.npz")
        assert handle is not None
        with np.load(io.BytesIO(handle.read()), allow_pickle=False) as npz:
            return {key: npz[key] for key in npz.files}


def test_bundled_people_have_whole_rigs() -> None:
    library = open_library()
    assert len(library) >= 24
    for name in library.names[::6]:
        avatar = library.load(name)
        assert avatar.vertices.dtype == np.float32
        assert avatar.textures[0].shape[2] == 3
        np.testing.assert_allclose(avatar.bone_weights.sum(axis=1), 1.0, atol=1e-5)
        world = np.linalg.inv(avatar.inverse_bind)
        for joint in (5, 20):
            parent = avatar.joint_parents[joint]
            np.testing.assert_allclose(
                world[parent] @ avatar.joint_local[joint], world[joint], atol=1e-5
            )
        assert avatar.bind_world()[avatar.joint("LeftHand"), 0, 3] > 0.4  # its left is at +x


def test_textures_are_rgb() -> None:
    avatar = open_library().load("White_M_1_Casual")
    red, _, blue = avatar.textures[0][150:180, 100:150].reshape(-1, 3).mean(axis=0)
    assert red > blue + 20  # skin


def test_split_keeps_faces_together() -> None:
    library = open_library()
    train, val = library.split("train"), library.split("val")
    assert set(train.names) | set(val.names) == set(library.names)
    faces = [{n.rpartition("_")[0] for n in part.names} for part in (train, val)]
    assert faces[1]
    assert not faces[0] & faces[1]
    assert {n.split("_")[1] for n in val.names} == {"F", "M"}
    assert library.split("all") is library


def test_all_198_people_are_held_out_in_part(shared_dir: Path) -> None:
    library = open_library(shared_dir / "data/avatars/avatars.tar")
    assert len(library) == 198
    assert 0.1 < len(library.split("val")) / 198 < 0.2


def test_folder_reads_as_tar_does(tmp_path: Path) -> None:
    np.savez(tmp_path / "me.npz", **bundled_parts())
    library = open_library(tmp_path)
    assert library.names == ("me",)
    expected = open_library().load("White_M_1_Casual")
    np.testing.assert_array_equal(library.load("me").vertices, expected.vertices)
    assert library.load("me") is library.load("me")


def test_library_travels_to_workers() -> None:
    library = open_library()
    library.load(library.names[0])
    copy = pickle.loads(pickle.dumps(library))
    assert copy.load(copy.names[0]).name == library.names[0]


def _without_uv(parts: dict[str, np.ndarray]) -> None:
    del parts["uv"]


def _faces_outside(parts: dict[str, np.ndarray]) -> None:
    parts["faces"] = parts["faces"] + np.uint16(9000)


def _short_weights(parts: dict[str, np.ndarray]) -> None:
    parts["weights"] = parts["weights"][:-1]


def _joints_outside(parts: dict[str, np.ndarray]) -> None:
    parts["joints"] = np.full_like(parts["joints"], 250)


def _infinite(parts: dict[str, np.ndarray]) -> None:
    parts["vertices"] = parts["vertices"] * np.float16("inf")


def _bad_texture(parts: dict[str, np.ndarray]) -> None:
    parts["texture_0"] = np.zeros(50, np.uint8)


def _objects(parts: dict[str, np.ndarray]) -> None:
    parts["joint_names"] = np.array([{}, "x"], dtype=object)


def _child_first(parts: dict[str, np.ndarray]) -> None:
    parts["joint_parents"] = parts["joint_parents"][::-1].copy()


@pytest.mark.parametrize(
    "damage",
    [
        _without_uv, _faces_outside, _short_weights, _joints_outside, _infinite, _bad_texture,
        _objects, _child_first,
    ],
)  # fmt: skip
def test_broken_avatar_is_named(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    parts = bundled_parts()
    damage(parts)
    np.savez(tmp_path / "broken.npz", **parts)
    with pytest.raises(VepeError, match=r"Avatar 'broken'.*replace that file"):
        open_library(tmp_path).load("broken")


def test_truncated_npz_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "cut.npz", **bundled_parts())
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VepeError, match="'cut'"):
        open_library(tmp_path).load("cut")


@pytest.mark.parametrize("kind", ["missing", "no_tar", "empty_tar", "empty_folder"])
def test_wrong_libraries(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "people.tar"
    if kind == "no_tar":
        path.write_bytes(b"no tar at all" * 100)
    elif kind == "empty_tar":
        tarfile.open(path, "w").close()
    elif kind == "empty_folder":
        path.mkdir()
    with pytest.raises(VepeError, match=r"people\.tar"):
        open_library(path)


def test_unknown_name() -> None:
    with pytest.raises(VepeError, match="no avatar 'Nobody'"):
        open_library().load("Nobody")
    with pytest.raises(VepeError, match="no joint 'Tail'"):
        open_library().load("White_M_1_Casual").joint("Tail")
