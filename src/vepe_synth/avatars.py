"""Rigged, textured avatars, and the library that reads them from a tar file or a folder."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, Int

from vepe.errors import VepeError, one_line

BUNDLED_AVATARS = Path(__file__).parent / "assets" / "avatars.tar"
"""The avatars that come with the package."""

Split = Literal["train", "val", "all"]
_VAL_PERCENT = 15
# Chosen so that the held-out people of both the 26 bundled and all 198 avatars are diverse.
_SPLIT_SALT = "vepe 20 "
_CACHED = 24


@dataclass(frozen=True, eq=False)
class Avatar:
    """A person's mesh in the bind pose (arms out to the sides) with its skeleton.

    Metres, y up, facing +z, so that the person's left is at +x; the soles are near y = 0.

    Attributes:
        name: unique within its library.
        vertices: (V, 3) float32 surface points.
        uv: (V, 2) float32 texture coordinates, (0, 0) at the top left of the texture.
        faces: (F, 3) int32 indices of vertices, counter-clockwise from outside.
        face_texture: (F,) int32, index of each face's texture.
        textures: (H, W, 3) uint8 RGB images.
        bone_indices: (V, 4) int32, joints that move each vertex.
        bone_weights: (V, 4) float32 skinning weights; each row sums to 1.
        joint_names: J unique names, Mixamo's convention.
        joint_parents: (J,) int32, -1 for the root; parents come first.
        joint_local: (J, 4, 4) float32 bind transforms relative to the parent.
        inverse_bind: (J, 4, 4) float32, from bind-pose world to joint coordinates.
    """

    name: str
    vertices: Float[np.ndarray, "V 3"]
    uv: Float[np.ndarray, "V 2"]
    faces: Int[np.ndarray, "F 3"]
    face_texture: Int[np.ndarray, "F"]
    textures: tuple[np.ndarray, ...]
    bone_indices: Int[np.ndarray, "V 4"]
    bone_weights: Float[np.ndarray, "V 4"]
    joint_names: tuple[str, ...]
    joint_parents: Int[np.ndarray, "J"]
    joint_local: Float[np.ndarray, "J 4 4"]
    inverse_bind: Float[np.ndarray, "J 4 4"]

    def joint(self, name: str) -> int:
        """Index of a joint by name. Raises VepeError if the rig does not have it."""
        try:
            return self.joint_names.index(name)
        except ValueError:
            raise VepeError(
                f"Avatar '{self.name}' has no joint '{name}'; use rigs with Mixamo's joint names."
            ) from None

    def bind_world(self) -> Float[np.ndarray, "J 4 4"]:
        """World matrices of the joints in the bind pose."""
        return np.linalg.inv(self.inverse_bind.astype(np.float64)).astype(np.float32)


@dataclass(frozen=True)
class _Place:
    """Location of an avatar's bytes: `size` bytes from `start` on, -1 for the whole file."""

    file: Path
    start: int
    size: int


class AvatarLibrary:
    """Avatars by name, read on demand and cached (the last 24). Can be pickled."""

    def __init__(self, path: Path, places: dict[str, _Place]) -> None:
        self.path = path
        self.names = tuple(sorted(places))
        self._places = places
        self._cache: OrderedDict[str, Avatar] = OrderedDict()

    def __len__(self) -> int:
        return len(self.names)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_cache": OrderedDict()}

    def load(self, name: str) -> Avatar:
        """Loads an avatar. Raises VepeError for unknown names and broken files."""
        if name in self._cache:
            self._cache.move_to_end(name)
            return self._cache[name]
        if name not in self.names:
            raise VepeError(
                f"{self.path} holds no avatar '{name}'; it has {', '.join(self.names)}."
            )
        avatar = _parse(name, self._read(name), self.path)
        self._cache[name] = avatar
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return avatar

    def split(self, part: Split) -> AvatarLibrary:
        """A fixed split by a hash of the name: about 15 % of the people are 'val'.

        Avatars of the same person (the name without its last part, the clothes) stay together.
        """
        if part == "all":
            return self
        held_out = part == "val"
        places = {n: p for n, p in self._places.items() if _is_held_out(n) == held_out}
        return AvatarLibrary(self.path, places)

    def _read(self, name: str) -> bytes:
        place = self._places[name]
        try:
            with place.file.open("rb") as handle:
                handle.seek(place.start)
                return handle.read(place.size)
        except OSError as error:
            raise VepeError(
                f"Avatar '{name}' cannot be read from {self.path} ({error}); restore the file."
            ) from error


def open_library(path: Path | None = None) -> AvatarLibrary:
    """Opens an uncompressed tar or a folder of avatar npz files; None opens the bundled ones.

    Raises VepeError if the path does not exist or holds no avatar.
    """
    source = BUNDLED_AVATARS if path is None else path
    if source.is_dir():
        places = {p.stem: _Place(p, 0, -1) for p in source.glob("*.npz")}
    elif source.is_file():
        try:
            with tarfile.open(source, "r:") as tar:
                places = {
                    _stem(m.name): _Place(source, m.offset_data, m.size)
                    for m in tar
                    if m.isfile() and m.name.endswith(".npz")
                }
        except (tarfile.TarError, OSError, EOFError) as error:
            raise VepeError(
                f"{source} is not an uncompressed tar of avatars ({error}); give a tar or a folder "
                "of npz files."
            ) from error
    else:
        raise VepeError(
            f"There is no avatar library at {source}; give a tar or a folder of npz files."
        )
    if not places:
        raise VepeError(f"{source} holds no avatar; give a tar or a folder of npz files.")
    return AvatarLibrary(source, places)


def _stem(member: str) -> str:
    return Path(member).name.removesuffix(".npz")


def _is_held_out(name: str) -> bool:
    person = name.rpartition("_")[0] or name
    digest = hashlib.sha256((_SPLIT_SALT + person).encode()).hexdigest()
    return int(digest[:8], 16) % 100 < _VAL_PERCENT


def _parse(name: str, data: bytes, source: Path) -> Avatar:
    """Parses and checks the bytes of an npz file. Raises VepeError if it is invalid."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as npz:
            parts = {key: npz[key] for key in npz.files}
        avatar = _build(name, parts)
        _check(avatar)
    except (KeyError, ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise VepeError(
            f"Avatar '{name}' in {source} cannot be read ({one_line(error)}); replace that file."
        ) from error
    return avatar


def _build(name: str, parts: dict[str, np.ndarray]) -> Avatar:
    count = sum(key.startswith("texture_") for key in parts)
    weights = parts["weights"].astype(np.float32)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
    return Avatar(
        name=name,
        vertices=parts["vertices"].astype(np.float32),
        uv=parts["uv"].astype(np.float32),
        faces=parts["faces"].astype(np.int32),
        face_texture=parts["face_texture"].astype(np.int32),
        textures=tuple(_decode(parts[f"texture_{i}"]) for i in range(count)),
        bone_indices=parts["joints"].astype(np.int32),
        bone_weights=weights,
        joint_names=tuple(str(n) for n in parts["joint_names"]),
        joint_parents=parts["joint_parents"].astype(np.int32),
        joint_local=parts["joint_local"].astype(np.float32),
        inverse_bind=parts["inverse_bind"].astype(np.float32),
    )


def _decode(data: np.ndarray) -> np.ndarray:
    image = cv2.imdecode(np.asarray(data, np.uint8).reshape(-1), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("a texture is not a readable image")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _check(avatar: Avatar) -> None:
    v, f, j = len(avatar.vertices), len(avatar.faces), len(avatar.joint_names)
    shapes = {
        "vertices": (avatar.vertices.shape, (v, 3)),
        "uv": (avatar.uv.shape, (v, 2)),
        "faces": (avatar.faces.shape, (f, 3)),
        "face_texture": (avatar.face_texture.shape, (f,)),
        "joints": (avatar.bone_indices.shape, (v, 4)),
        "weights": (avatar.bone_weights.shape, (v, 4)),
        "joint_parents": (avatar.joint_parents.shape, (j,)),
        "joint_local": (avatar.joint_local.shape, (j, 4, 4)),
        "inverse_bind": (avatar.inverse_bind.shape, (j, 4, 4)),
    }
    for key, (shape, expected) in shapes.items():
        if shape != expected:
            raise ValueError(f"'{key}' has shape {shape}; expected {expected}")
    limits = (
        ("faces", avatar.faces, v),
        ("face_texture", avatar.face_texture, len(avatar.textures)),
        ("joints", avatar.bone_indices, j),
    )
    for key, values, limit in limits:
        if values.size == 0 or values.min() < 0 or values.max() >= limit:
            raise ValueError(f"'{key}' has indices out of range")
    if not (np.isfinite(avatar.vertices).all() and np.isfinite(avatar.inverse_bind).all()):
        raise ValueError("it has non-finite numbers")
    if not (avatar.joint_parents < np.arange(j)).all():
        raise ValueError("a joint comes before its parent")
