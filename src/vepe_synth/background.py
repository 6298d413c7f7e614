"""Random surroundings: rooms, outdoor scenes or the user's own images, and their light."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from vepe.errors import VepeError
from vepe.image_header import image_header
from vepe_synth import clutter, textures
from vepe_synth.scene import Crowd, Scene
from vepe_synth.stage import Backdrop, Colour, Light, Stage
from vepe_synth.surfaces import Surface, join, quad
from vepe_synth.textures import Palette
from vepe_synth.view import View, look_at

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_LONGEST_PX = 1280
_HALL_M = 14.0  # rooms look implausible from farther away


def plan_stage(
    rng: np.random.Generator,
    palette: Palette,
    scene: Scene,
    crowd: Crowd,
    view: View,
    images: Sequence[Path] = (),
    occluders: Sequence[Surface] = (),
) -> Stage:
    """Surroundings and light for a scene, as seen by `view` at half time.

    Args:
        rng: source of all randomness.
        palette: textures for walls and objects.
        scene: its props are drawn.
        crowd: positions that objects must not touch.
        view: the camera; objects go behind the people as seen from it.
        images: the user's own backdrops; if there are any, one of them is used.
        occluders: objects in front of the people.

    Raises:
        VepeError: if an image cannot be read.
    """
    props = [clutter.prop(rng, palette, p) for p in scene.props]
    things = [*props, *occluders]
    if images:
        image = _read(images[int(rng.integers(len(images)))])
        return _photo(rng, image, view, crowd, things)
    low, high = crowd.bounds()
    things += clutter.around(rng, palette, crowd, view)
    far = float(np.linalg.norm((view.eye - (low + high) / 2)[[0, 2]]))
    if rng.random() < (0.6 if far < _HALL_M else 0.15):
        return _room(rng, palette, low, high, view, things)
    return _outdoors(rng, palette, (low + high) / 2, view, things)


def background_images(folder: Path) -> tuple[Path, ...]:
    """All images below a folder, sorted. Raises VepeError if there are none."""
    if not folder.is_dir():
        raise VepeError(f"There is no folder {folder}; give a folder of background images.")
    paths = sorted(
        p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()
    )
    if not paths:
        raise VepeError(f"{folder} has no images; give a folder of background images.")
    return tuple(paths)


def _read(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise VepeError(
            f"{path} cannot be read ({error.strerror}); check its access rights."
        ) from error
    header, image = image_header(raw), None
    if isinstance(header, str):
        raise VepeError(f"{path} {header}; remove it from the backgrounds.")
    with suppress(cv2.error):
        image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise VepeError(f"{path} is not a readable image; remove it from the backgrounds.")
    scale = _LONGEST_PX / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _photo(
    rng: np.random.Generator,
    image: UInt8[np.ndarray, "H W 3"],
    view: View,
    crowd: Crowd,
    things: list[Surface],
) -> Stage:
    """The image fills the view with a margin to pan; an invisible floor receives shadows."""
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
    width, height = view.half_sizes()
    aspect = image.shape[1] / image.shape[0]
    wide = max(width, height * aspect) * rng.uniform(1.08, 1.5)
    sizes = (wide, wide / aspect)
    if sizes[1] < 1.05 * height:
        sizes = (1.05 * height * aspect, 1.05 * height)
    light = random_light(rng, indoors=rng.random() < 0.5, middle_m=crowd.bounds().mean(axis=0))
    return Stage(join(things), Backdrop(image, view.rotation, sizes), light, catcher_half_m=30.0)


def _room(
    rng: np.random.Generator,
    palette: Palette,
    low: np.ndarray,
    high: np.ndarray,
    view: View,
    things: list[Surface],
) -> Stage:
    """Walls, a floor and often a ceiling around the people, and mostly around the camera too."""
    middle = (low + high) / 2
    around = [low, high, view.eye] if rng.random() < 0.8 else [low, high]
    start, end = np.min(around, axis=0), np.max(around, axis=0)
    x0, z0 = (start - rng.uniform(0.5, 4.0, 3))[[0, 2]]
    x1, z1 = (end + rng.uniform(0.5, 4.0, 3))[[0, 2]]
    height = max(float(rng.uniform(2.3, 4.5)), float(end[1]) + 0.4)
    wall, repeat = palette.material(rng), float(np.exp(rng.uniform(np.log(0.5), np.log(4))))
    tint = _tint(rng)
    corners = [np.array(c) for c in ((x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1))]
    for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
        inwards = np.array([-(b - a)[2], 0, (b - a)[0]])
        if inwards @ (view.eye - a) <= 0.1 * np.linalg.norm(inwards):
            continue  # a wall between the camera and the people
        image = wall if rng.random() < 0.75 else palette.material(rng)
        face = quad(a, b - a, (0, height, 0), metres_per_repeat=repeat)
        things.append(Surface(*face, image, tint, casts_shadow=False))
        things += clutter.on_wall(rng, palette, a, b, height)
    things.append(_floor(rng, palette.material(rng), max(x1 - x0, z1 - z0) + 20, middle))
    if view.eye[1] < height - 0.05 and rng.random() < 0.8:
        face = quad((x0, height, z0), (x1 - x0, 0, 0), (0, 0, z1 - z0), metres_per_repeat=repeat)
        things.append(Surface(*face, textures.plain(rng), _tint(rng), casts_shadow=False))
    light = random_light(rng, indoors=True, middle_m=middle)
    beyond = np.ascontiguousarray(palette.material(rng)[..., :3])
    return Stage(join(things), Backdrop(beyond, view.rotation, (2.0, 2.0), gain=0.7), light)


def _outdoors(
    rng: np.random.Generator,
    palette: Palette,
    middle: np.ndarray,
    view: View,
    things: list[Surface],
) -> Stage:
    """Ground up to the horizon, a sky, and houses, trees and cars."""
    things.append(_floor(rng, palette.material(rng), 160.0, middle))
    things += clutter.far_away(rng, palette, middle, view)
    light = random_light(rng, indoors=False, middle_m=middle)
    ahead = -view.rotation[2] * [1, 0, 1]
    level = ahead if np.linalg.norm(ahead) > 0.05 else view.rotation[1] * [1, 0, 1]
    axes = look_at(view.eye, view.eye + level)
    return Stage(join(things), Backdrop(_sky(rng), axes, (3.0, 1.5)), light)


def _floor(rng: np.random.Generator, image: np.ndarray, size: float, middle: np.ndarray) -> Surface:
    x, z = middle[0] - size / 2, middle[2] + size / 2
    repeat = float(np.exp(rng.uniform(np.log(0.6), np.log(5))))
    face = quad((x, 0, z), (size, 0, 0), (0, 0, -size), metres_per_repeat=repeat)
    return Surface(*face, image, _tint(rng), casts_shadow=False)


def _tint(rng: np.random.Generator) -> tuple[float, float, float]:
    a, b, c = rng.uniform(0.75, 1.15, 3) ** 0.5 * rng.uniform(0.6, 1.1)
    return float(a), float(b), float(c)


def _sky(rng: np.random.Generator) -> UInt8[np.ndarray, "H W 3"]:
    """A sky with clouds, the horizon at half height, and often hills along it."""
    height, width = 256, 512
    up = np.clip(1 - np.arange(height) / (height / 2), 0, 1)[:, None, None]
    horizon = 0.6 + 0.4 * textures.colour(rng, vivid=0.2)
    zenith = np.array([rng.uniform(0.2, 0.8), rng.uniform(0.4, 0.85), rng.uniform(0.6, 1.0)])
    sky = horizon * (1 - up**0.5) + zenith * up**0.5
    cover = cv2.resize(textures.noise(rng, 4), (width, height), interpolation=cv2.INTER_LINEAR)
    cloud = np.clip((cover - rng.uniform(0.3, 0.8)) * rng.uniform(2, 8), 0, 1)[..., None]
    sky = sky * (1 - cloud) + rng.uniform(0.7, 1.0) * cloud
    if rng.random() < 0.7:
        edge = textures.noise(rng, 8)[0]
        line = np.interp(np.arange(width), np.linspace(0, width, len(edge)), edge)
        top = height / 2 - line * rng.uniform(2, 40)
        hills = np.arange(height)[:, None] > top[None]
        sky = np.where(hills[..., None], textures.colour(rng, vivid=0.2) * 0.7, sky)
    return (np.clip(sky, 0, 1) * 255).astype(np.uint8)


def random_light(rng: np.random.Generator, *, indoors: bool, middle_m: np.ndarray) -> Light:
    """Random light for a scene around `middle_m` (x, y, z), with a random exposure error."""
    azimuth, height = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(18, 85))
    sun_direction = _direction(azimuth, height)
    harsh = rng.beta(1.3, 1.3)  # 0: diffuse light only, 1: directional light only
    if indoors:
        harsh *= 0.75
    sun = harsh * np.array(
        temperature(rng.uniform(2700, 6500) if indoors else rng.uniform(3800, 6500))
    )
    sky_colour = np.array(
        temperature(rng.uniform(3000, 7000) if indoors else rng.uniform(6000, 12000))
    )
    sky = (1.15 - harsh) * 0.75 * sky_colour
    ground = sky.mean() * rng.uniform(0.25, 0.8) * _tinted(rng, 0.25)
    lamp = np.zeros(3)
    if indoors and rng.random() < 0.6:
        lamp = rng.uniform(0.2, 1.2) * np.array(temperature(rng.uniform(2500, 6500)))
        if rng.random() < 0.15:
            lamp = lamp * _tinted(rng, 0.9)
    place = middle_m + np.array([rng.uniform(-3, 3), rng.uniform(1.2, 2.6), rng.uniform(-3, 3)])
    fill = rng.uniform(0, 0.35) * _tinted(rng, 0.4)
    # Mean light on an upright surface, which the camera's exposure compensates for.
    on_upright = float(np.mean(0.5 * (sky + ground) + 0.4 * sun + 0.3 * fill + 0.15 * lamp)) / 0.8
    fog = 0.0 if indoors or rng.random() < 0.5 else float(rng.uniform(0.002, 0.03))
    return Light(
        sun_direction=sun_direction,
        sun=_triple(1.3 * sun),
        sky=_triple(sky),
        ground=_triple(ground),
        fill_direction=_direction(rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.6)),
        fill=_triple(fill),
        lamp_m=_triple(place),
        lamp_reach_m=float(rng.uniform(1.0, 3.0)),
        lamp=_triple(lamp),
        fog=_triple(0.5 * on_upright * sky_colour),
        fog_per_m=fog,
        exposure=float(np.exp(rng.normal(0, 0.3)) / max(on_upright, 0.05)),
        shadow_softness=float(rng.uniform(0.7, 6.0)),
        shadow_depth=float(rng.uniform(0.75, 1.0)),
        contact=float(0.25 + 0.45 * (1 - harsh)),
    )


def temperature(kelvin: float) -> Colour:
    """RGB of a black body with maximum 1 (Tanner Helland's fit of CIE data)."""
    t = kelvin / 100
    red = 255 if t <= 66 else 329.7 * (t - 60) ** -0.1332
    green = 99.47 * np.log(t) - 161.1 if t <= 66 else 288.1 * (t - 60) ** -0.0755
    blue = 255 if t >= 66 else 0 if t <= 19 else 138.5 * np.log(t - 10) - 305.0
    rgb = np.clip([red, green, blue], 1, 255) / 255
    return _triple((rgb / rgb.max()) ** 2)


def _direction(azimuth: float, height: float) -> tuple[float, float, float]:
    flat = np.cos(height)
    return _triple(np.array([flat * np.sin(azimuth), np.sin(height), flat * np.cos(azimuth)]))


def _tinted(rng: np.random.Generator, strength: float) -> np.ndarray:
    tint = rng.uniform(1 - strength, 1, 3)
    return tint / tint.max()


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    a, b, c = (float(v) for v in values)
    return a, b, c
