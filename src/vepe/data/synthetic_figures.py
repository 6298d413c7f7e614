"""Draws made-up people: tapered, textured capsules for limbs, hulls for torso and head.

Geometry of a whole clip is worked out in one go; then every part is one small warp and one blend.
Beside the picture an owner map is kept: which part of which figure is seen in every pixel.
Dimension letters: T frames, C capsules.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8, UInt16

from vepe.data.synthetic_appearance import Appearance, Texture
from vepe.data.synthetic_motion import JOINT_INDEX, RING_POINTS, SIDES, Body, Motion
from vepe.data.synthetic_scene import Camera

_LIMB_PARTS = ("upper_arm", "forearm", "hand", "thigh", "shank", "foot")
PARTS = ("torso", "head", "neck", "hair", *(f"{side}_{p}" for side in SIDES for p in _LIMB_PARTS))
"""Parts of a figure, in the order of their codes."""
PART_INDEX = {name: index for index, name in enumerate(PARTS)}
BACKGROUND, FOREGROUND = 0, 65535
"""Owner codes of pixels that show no person: behind all, and a post in front."""

# Part: upper joint, lower joint, radii in fractions of the body's height, and how much deeper (in
# metres) the part counts when parts are sorted: sleeves lie on the shirt, the shirt on trousers.
_CAPSULES = {
    "upper_arm": ("shoulder", "elbow", 0.031, 0.025, -0.05),
    "forearm": ("elbow", "wrist", 0.025, 0.018, -0.06),
    "hand": ("wrist", "hand", 0.020, 0.017, -0.07),
    "thigh": ("hip", "knee", 0.052, 0.036, 0.06),
    "shank": ("knee", "ankle", 0.036, 0.023, 0.05),
    "foot": ("heel", "toe", 0.024, 0.018, 0.03),
}
_CIRCLE = np.linspace(0, 2 * np.pi, 20, endpoint=False)
_HALF_CIRCLE = np.linspace(-np.pi / 2, np.pi / 2, 8)


def owner_code(figure: int, part: int) -> int:
    """The code of a part of a figure in the owner map."""
    return 1 + figure * len(PARTS) + part


def owner_figure(
    codes: Int[np.ndarray, "*S"] | UInt16[np.ndarray, "*S"],
) -> Int[np.ndarray, "*S"]:
    """The figure behind each code: -1 for the background, a large number for the foreground."""
    return (codes.astype(np.int64) + len(PARTS) - 1) // len(PARTS) - 1


@dataclass(frozen=True)
class Capsules:
    """All capsules of a figure over a clip: outline, texture map, length and depth of each."""

    names: tuple[str, ...]
    outlines_px: Float[np.ndarray, "T C 16 2"]
    origins_px: Float[np.ndarray, "T C 2"]
    across_px: Float[np.ndarray, "T C 2"]
    along_px: Float[np.ndarray, "T C 2"]
    depths_m: Float[np.ndarray, "T C"]


@dataclass(frozen=True)
class Figure:
    """A person in the pictures of a clip.

    Attributes:
        joints_px: (T, J, 2) all joints, in the order of `JOINTS`.
        depths_m: (T, J) their depths.
        torso_px: (T, M, 2) points on the torso, whose hull is its outline.
        scale: (T,) pixels a metre at the pelvis.
        head_angles, torso_angles: (T,) where the camera stands around them, 0 in front.
        head_up: (T, 2) half the head's height as a vector in the picture.
        head_half_px: (T,) half the head's width.
    """

    body: Body
    look: Appearance
    joints_px: Float[np.ndarray, "T J 2"]
    depths_m: Float[np.ndarray, "T J"]
    torso_px: Float[np.ndarray, "T M 2"]
    scale: Float[np.ndarray, "T"]
    head_angles: Float[np.ndarray, "T"]
    torso_angles: Float[np.ndarray, "T"]
    head_up_px: Float[np.ndarray, "T 2"]
    head_half_px: Float[np.ndarray, "T"]
    capsules: Capsules

    @staticmethod
    def of(body: Body, look: Appearance, motion: Motion, camera: Camera) -> Figure:
        """Projects a motion."""
        joints_px, depths_m = camera.project(motion.joints_m)
        torso_px, _ = camera.project(motion.torso_m)
        eye = np.array([0.0, camera.height_m, 0.0])
        to_camera = eye - motion.joints_m[:, JOINT_INDEX["head_centre"]]
        head = np.einsum("tji,tj->ti", motion.head_axes, to_camera)
        torso = np.einsum("tji,tj->ti", motion.torso_axes, to_camera)
        scale = camera.focal_px / np.maximum(depths_m[:, JOINT_INDEX["pelvis"]], 0.05)
        head_angles = np.arctan2(head[:, 0], head[:, 2])
        size_px = body.head * body.height_m * scale
        up = joints_px[:, JOINT_INDEX["head_top"]] - joints_px[:, JOINT_INDEX["head_centre"]]
        length = np.linalg.norm(up, axis=1, keepdims=True)
        up = up / np.maximum(length, 1e-6) * np.maximum(length * 1.04, 0.38 * size_px[:, None])
        wide = np.hypot(0.44 * np.sin(head_angles), 0.37 * np.cos(head_angles))
        return Figure(
            body=body,
            look=look,
            joints_px=joints_px,
            depths_m=depths_m,
            torso_px=torso_px,
            scale=scale,
            head_angles=head_angles,
            torso_angles=np.arctan2(torso[:, 0], torso[:, 2]),
            head_up_px=up,
            head_half_px=wide * size_px,
            capsules=_capsules(body, look, joints_px, depths_m, camera),
        )

    def outlines_px(self, frame: int) -> list[Float[np.ndarray, "V 2"]]:
        """Outlines of all parts of one frame; together they cover the person."""
        hull = cv2.convexHull(self.torso_px[frame].astype(np.float32))[:, 0]
        return [*self.capsules.outlines_px[frame], hull, self.head_outline_px(frame)]

    def head_outline_px(self, frame: int) -> Float[np.ndarray, "V 2"]:
        """The ellipse of the head."""
        up = self.head_up_px[frame]
        across = np.array([-up[1], up[0]]) / max(float(np.hypot(*up)), 1e-6)
        across *= self.head_half_px[frame]
        circle = _CIRCLE[:, None]
        return self.joint_px(frame, "head_centre") + np.cos(circle) * up + np.sin(circle) * across

    def joint_px(self, frame: int, name: str) -> Float[np.ndarray, "2"]:
        """One joint of one frame."""
        return self.joints_px[frame, JOINT_INDEX[name]]


def _capsules(
    body: Body,
    look: Appearance,
    joints_px: Float[np.ndarray, "T J 2"],
    depths_m: Float[np.ndarray, "T J"],
    camera: Camera,
) -> Capsules:
    rows = [
        (f"{side}_{part}", f"{side}_{a}", f"{side}_{b}", ra, rb, bias)
        for side in SIDES
        for part, (a, b, ra, rb, bias) in _CAPSULES.items()
    ]
    rows.append(("neck", "neck", "head_bottom", 0.03, 0.028, 0.03))
    if look.hair is not None:
        rows.append(("hair", "hair_top", "hair_low", 0.05, 0.042, 0.0))
    names, first, second, ra_, rb_, bias_ = zip(*rows, strict=True)
    a_index, b_index = ([JOINT_INDEX[n] for n in side] for side in (first, second))
    a, b = joints_px[:, a_index], joints_px[:, b_index]
    depth = 0.5 * (depths_m[:, a_index] + depths_m[:, b_index])
    pixels = body.height_m * body.girth**0.5 * camera.focal_px[:, None] / np.maximum(depth, 0.05)
    ra, rb = np.asarray(ra_) * pixels, np.asarray(rb_) * pixels

    along = b - a
    length = np.linalg.norm(along, axis=-1, keepdims=True)
    along = np.where(length > 1e-3, along / np.maximum(length, 1e-3), np.array([0.0, 1.0]))
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    cos, sin = np.cos(_HALF_CIRCLE)[:, None], np.sin(_HALF_CIRCLE)[:, None]
    lower = b[..., None, :] + rb[..., None, None] * (
        cos * along[..., None, :] + sin * across[..., None, :]
    )
    upper = a[..., None, :] - ra[..., None, None] * (
        cos * along[..., None, :] + sin * across[..., None, :]
    )
    wide = np.maximum(ra, rb)[..., None]
    start = a - ra[..., None] * along
    # Of a limb that hangs down, `across` points to the picture's left.
    return Capsules(
        names=tuple(names),
        outlines_px=np.concatenate([lower, upper], axis=-2),
        origins_px=start + wide * across,
        across_px=-2 * wide * across,
        along_px=(length + ra[..., None] + rb[..., None]) * along,
        depths_m=depth + np.asarray(bias_),
    )


class Sheet:
    """A picture in the making, with its owner map."""

    def __init__(
        self, image: UInt8[np.ndarray, "H W 3"], owners: UInt16[np.ndarray, "H W"]
    ) -> None:
        self.image = image
        self.owners = owners

    def paste(
        self,
        texture: Texture,
        outline_px: Float[np.ndarray, "V 2"],
        origin_px: Float[np.ndarray, "2"],
        across_px: Float[np.ndarray, "2"],
        along_px: Float[np.ndarray, "2"],
        code: int,
    ) -> None:
        """Fills a convex outline with a texture whose corner lies at `origin_px` and whose rows
        and columns run along `across_px` and `along_px`."""
        height, width = self.owners.shape
        x1, y1 = np.maximum(np.floor(outline_px.min(axis=0)).astype(int) - 1, 0).tolist()
        x2, y2 = np.minimum(
            np.ceil(outline_px.max(axis=0)).astype(int) + 1, (width, height)
        ).tolist()
        if x2 <= x1 or y2 <= y1:
            return
        # OpenCV counts from pixel centres; we count from the corner of the first pixel.
        corner = np.array([x1 + 0.5, y1 + 0.5])
        points = np.rint((outline_px - corner) * 16).astype(np.int32)
        mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
        cv2.fillConvexPoly(mask, points, 255, cv2.LINE_AA, 4)
        owners = self.owners[y1:y2, x1:x2]
        owners[mask > 127] = code
        rows, columns = texture.shape[:2]
        affine = np.stack([across_px / columns, along_px / rows, origin_px - corner], axis=1)
        patch = cv2.warpAffine(
            texture,
            affine,
            (x2 - x1, y2 - y1),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        image = self.image[y1:y2, x1:x2]
        weight = cv2.merge([mask, mask, mask])
        kept = cv2.multiply(image, cv2.bitwise_not(weight), scale=1 / 255)
        cv2.add(kept, cv2.multiply(patch, weight, scale=1 / 255), dst=kept)
        image[:] = kept

    def darken(
        self, centre_px: Float[np.ndarray, "2"], radii_px: tuple[float, float], strength: float
    ) -> None:
        """A soft dark ellipse; `strength` 1 would be black."""
        height, width = self.owners.shape
        radii = np.asarray(radii_px)
        x1, y1 = np.maximum(np.floor(centre_px - radii).astype(int), 0).tolist()
        x2, y2 = np.minimum(np.ceil(centre_px + radii).astype(int), (width, height)).tolist()
        if x2 <= x1 or y2 <= y1:
            return
        across = (np.arange(x1, x2) + 0.5 - centre_px[0]) / radii[0]
        down = (np.arange(y1, y2) + 0.5 - centre_px[1]) / radii[1]
        soft = np.clip(1 - across[None] ** 2 - down[:, None] ** 2, 0, 1)
        image = self.image[y1:y2, x1:x2]
        image[:] = image * (1 - strength * soft[..., None])

    def dot(
        self, centre_px: Float[np.ndarray, "2"], radius_px: float, colour: tuple[int, int, int]
    ) -> None:
        """A filled circle that leaves the owner map alone."""
        at = tuple(int(v) for v in np.rint((centre_px - 0.5) * 16))
        cv2.circle(self.image, at, max(1, round(radius_px * 16)), colour, -1, cv2.LINE_AA, 4)


def draw_figure(sheet: Sheet, figure: Figure, frame: int, index: int) -> None:
    """Draws one person, its far parts first."""
    capsules = figure.capsules
    torso_depth = figure.depths_m[frame, [JOINT_INDEX["neck"], JOINT_INDEX["pelvis"]]].mean()
    head_depth = figure.depths_m[frame, JOINT_INDEX["head_centre"]] - 0.02
    order = [(torso_depth, "torso", -1), (head_depth, "head", -1)]
    for c, name in enumerate(capsules.names):
        depth = capsules.depths_m[frame, c]
        if name == "hair":  # falls over the collar behind, and lies behind the neck in front
            depth += 0.07 * np.cos(figure.head_angles[frame])
        order.append((depth, name, c))
    for _, name, c in sorted(order, reverse=True):
        code = owner_code(index, PART_INDEX[name])
        if name == "torso":
            _draw_torso(sheet, figure, frame, code)
        elif name == "head":
            _draw_head(sheet, figure, frame, code)
        else:
            along = capsules.along_px[frame, c]
            pyramid = figure.look.hair if name == "hair" else figure.look.limbs[_kind(name)]
            if pyramid is None:
                continue
            sheet.paste(
                pyramid.at(float(np.hypot(*along))),
                capsules.outlines_px[frame, c],
                capsules.origins_px[frame, c],
                capsules.across_px[frame, c],
                along,
                code,
            )


def _kind(part: str) -> str:
    """The part's name without its side."""
    return part.removeprefix("left_").removeprefix("right_")


def _draw_torso(sheet: Sheet, figure: Figure, frame: int, code: int) -> None:
    points = figure.torso_px[frame]
    bottom, top = points[:RING_POINTS].mean(axis=0), points[-RING_POINTS:].mean(axis=0)
    along = bottom - top
    length = float(np.hypot(*along))
    unit = along / length if length > 1e-3 else np.array([0.0, 1.0])
    across = np.array([unit[1], -unit[0]])
    offsets = (points - top) @ across
    low, high = float(offsets.min()), float(offsets.max())
    view = figure.look.torso.seen_from(float(figure.torso_angles[frame]))
    hull = cv2.convexHull(points.astype(np.float32))[:, 0]
    sheet.paste(view.at(length), hull, top + low * across, (high - low) * across, along, code)


def _draw_head(sheet: Sheet, figure: Figure, frame: int, code: int) -> None:
    centre = figure.joint_px(frame, "head_centre")
    up = figure.head_up_px[frame]
    length = max(float(np.hypot(*up)), 1e-6)
    half = float(figure.head_half_px[frame])
    across = np.array([-up[1], up[0]]) / length * half
    outline = figure.head_outline_px(frame)
    angle = float(figure.head_angles[frame])
    view = figure.look.head.seen_from(angle)
    sheet.paste(view.at(2 * length), outline, centre + up - across, 2 * across, -2 * up, code)
    if abs(angle) < 1.8:
        size = figure.body.head * figure.body.height_m * float(figure.scale[frame])
        for side, far in (("left", angle < -0.9), ("right", angle > 0.9)):
            if not far:
                sheet.dot(figure.joint_px(frame, f"{side}_eye"), 0.055 * size, figure.look.eye)
        sheet.dot(figure.joint_px(frame, "nose"), 0.075 * size, figure.look.skin)
