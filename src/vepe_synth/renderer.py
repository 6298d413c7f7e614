"""Renders the people and the stage of a clip: colour images, and id buffers for exact labels.

An id buffer holds `person * 32 + part + 1` (0: no person) and the depth in metres of every pixel,
so that visibility is read instead of estimated. All passes draw the same surfaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from vepe_synth.avatars import Avatar
from vepe_synth.body import skinning
from vepe_synth.gl import (
    BACKDROP_UNIT,
    FRAME_BYTES,
    SHADOW_UNIT,
    frame_bytes,
    programs,
    shadow_from_world,
)
from vepe_synth.loaded_clip import LoadedClip
from vepe_synth.people_mesh import PARTS
from vepe_synth.stage import Stage
from vepe_synth.view import View

if TYPE_CHECKING:
    import moderngl

SAMPLES = 4
SHADOW_PX = 1024
IDS_PER_PERSON = 32
NOTHING_M = 1e6
assert len(PARTS) < IDS_PER_PERSON


@dataclass(frozen=True, eq=False)
class IdBuffer:
    """Visible person and depth of each pixel.

    Attributes:
        person: (H, W) int32, index of the person; -1 for none.
        part: (H, W) int32, index in `PARTS`; only valid where there is a person.
        depth_m: (H, W) depth along the optical axis; `NOTHING_M` for the background.
    """

    person: np.ndarray
    part: np.ndarray
    depth_m: Float[np.ndarray, "H W"]


class Renderer:
    """Renders at one size: `load` a clip, `pose` an instant, then read `colour` and `ids`."""

    def __init__(self, context: moderngl.Context, width: int, height: int) -> None:
        self.context = ctx = context
        self.size = (width, height)
        ctx.enable_only(ctx.DEPTH_TEST)
        ctx.front_face = (
            "cw"  # images are rendered upside down, so that the first row read is the top
        )
        self._programs = programs(ctx)
        self._frame = ctx.buffer(reserve=FRAME_BYTES)
        self._frame.bind_to_uniform_block(0)
        samples = min(SAMPLES, ctx.max_samples)
        self._canvas = ctx.framebuffer(
            [ctx.renderbuffer(self.size, 4, samples=samples)],
            ctx.depth_renderbuffer(self.size, samples=samples),
        )
        self._flat = ctx.framebuffer([ctx.renderbuffer(self.size, 4)])
        self._ids = ctx.framebuffer(
            [ctx.texture(self.size, 2, dtype="f4")], ctx.depth_renderbuffer(self.size)
        )
        self._shadow_map = ctx.depth_texture((SHADOW_PX, SHADOW_PX))
        self._shadow_map.compare_func = "<="
        self._shadow_map.repeat_x = self._shadow_map.repeat_y = False
        self._shadows = ctx.framebuffer(depth_attachment=self._shadow_map)
        self._screen = ctx.buffer(np.array([-1, -1, 3, -1, -1, 3], "f4").tobytes())
        self._backdrop = ctx.vertex_array(
            self._programs["backdrop"], [(self._screen, "2f", "in_corner")]
        )
        self._clip: LoadedClip | None = None
        self._shadow_matrix, self._old_shadows = np.eye(4), True

    def load(
        self, stage: Stage, avatars: Sequence[Avatar], tints: Float[np.ndarray, "P 3"]
    ) -> None:
        """Uploads the surfaces, backdrop and people of a clip, replacing the previous clip."""
        if self._clip is not None:
            self._clip.release()
        self._clip = LoadedClip(self.context, self._programs, stage, avatars, tints)

    def pose(
        self,
        view: View,
        joint_world: Sequence[Float[np.ndarray, "J 4 4"]],
        *,
        keep_shadows: bool = False,
    ) -> None:
        """Sets the camera and the people's poses; `joint_world` in the order of the loaded avatars.

        With `keep_shadows` the shadow map is not updated, for instants close in time.
        """
        clip = self._loaded()
        self.view = view
        rows = clip.bone_table
        joints_m = [joints[:, :3, 3] for joints in joint_world]
        for person, joints in zip(clip.people, joint_world, strict=True):
            moves = skinning(joints, person.avatar.inverse_bind)[person.bones, :3, :]
            rows[person.first_bone : person.first_bone + len(person.bones)] = moves
        clip.bones.write(rows.tobytes())
        light = clip.stage.light
        if not keep_shadows:
            centres = np.array([j.mean(axis=0) for j in joints_m]).reshape(-1, 3)
            self._shadow_matrix = shadow_from_world(centres, light.sun_direction)
            self._old_shadows = True
        self._frame.write(frame_bytes(view, light, self._shadow_matrix))
        clip.place_contacts(joints_m)

    def colour(self) -> UInt8[np.ndarray, "H W 4"]:
        """The colour image at the posed instant, RGBA."""
        ctx, clip = self.context, self._loaded()
        if self._old_shadows:
            self._shadows.use()
            self._shadows.clear(depth=1.0)
            clip.draw("shadow")
            self._old_shadows = False
        self._canvas.use()
        self._canvas.clear(depth=1.0)
        self._shadow_map.use(SHADOW_UNIT)
        clip.draw("colour")
        self._draw_backdrop(clip)
        clip.draw_floor_shadows()
        ctx.copy_framebuffer(self._flat, self._canvas)
        width, height = self.size
        data = self._flat.read(components=4, alignment=1)
        return np.frombuffer(data, np.uint8).reshape(height, width, 4)

    def ids(self) -> IdBuffer:
        """The id buffer at the posed instant."""
        clip = self._loaded()
        self._ids.use()
        self._ids.clear(0.0, NOTHING_M, depth=1.0)
        clip.draw("id")
        width, height = self.size
        data = np.frombuffer(self._ids.read(components=2, dtype="f4"), np.float32)
        data = data.reshape(height, width, 2)
        code = data[..., 0].astype(np.int32) - 1
        return IdBuffer(code // IDS_PER_PERSON, code % IDS_PER_PERSON, data[..., 1])

    def release(self) -> None:
        """Frees the GPU memory and the context; the renderer cannot be used afterwards."""
        if self._clip is not None:
            self._clip.release()
        self.context.release()

    def _loaded(self) -> LoadedClip:
        assert self._clip is not None, "load() comes first"
        return self._clip

    def _draw_backdrop(self, clip: LoadedClip) -> None:
        program, backdrop = self._programs["backdrop"], clip.stage.backdrop
        turn = backdrop.rotation @ self.view.rotation.T
        program["backdrop_from_ray"] = tuple(turn.T.ravel().tolist())
        program["half_sizes"] = (*self.view.half_sizes(), *backdrop.half_sizes)
        program["gain"] = backdrop.gain
        clip.backdrop.use(BACKDROP_UNIT)
        self._backdrop.render(vertices=3)
