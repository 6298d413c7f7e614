"""The GPU buffers and textures of one clip, and the contact shadows under its people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int, UInt8

from vepe_synth.avatars import Avatar
from vepe_synth.gl import BONES_UNIT, SKIN_UNIT, SURFACES_UNIT
from vepe_synth.people_mesh import people_mesh
from vepe_synth.stage import Stage
from vepe_synth.surfaces import Surface, join, quad

if TYPE_CHECKING:
    import moderngl

_JOINTS = (
    "Hips", "Spine1", "Head", "LeftFoot", "RightFoot", "LeftToeBase", "RightToeBase", "LeftHand",
    "RightHand", "LeftLeg", "RightLeg", "LeftForeArm", "RightForeArm",
)  # fmt: skip
SPOTS_PER_PERSON = len(_JOINTS)
VERTEX_FLOATS = 5
_REACH_M = 0.6
_CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, -1], [1, 1], [-1, 1]], np.float32)


def touching(joint_names: tuple[str, ...]) -> np.ndarray:
    """Indices of the joints that can cast a contact shadow."""
    return np.array([i for i, name in enumerate(joint_names) if name in _JOINTS], np.int64)


def contact_spots(places: Float[np.ndarray, "N 3"], strength: float) -> Float[np.ndarray, "M 5"]:
    """Two triangles for each contact shadow; without these people seem to float.

    Vertices are x, z, two coordinates within the spot, and strength. The closer a joint to the
    floor, the smaller and darker its spot; joints above 0.6 m have none.
    """
    height = np.clip(places[:, 1], 0, None)
    near = places[height < _REACH_M]
    height = height[height < _REACH_M]
    radius = 0.14 + 0.5 * height
    dark = strength * (1 - height / _REACH_M) ** 2
    out = np.empty((len(near), 6, VERTEX_FLOATS), np.float32)
    out[..., :2] = near[:, None, [0, 2]] + radius[:, None, None] * _CORNERS
    out[..., 2:4] = _CORNERS
    out[..., 4] = dark[:, None]
    return out.reshape(-1, VERTEX_FLOATS)


Pass = Literal["colour", "id", "shadow"]
_PASSES: tuple[Pass, ...] = ("colour", "id", "shadow")
_PEOPLE = (
    "3f 3f 2f 4u2 4f 1f",
    ("in_position", "in_normal", "in_uv", "in_bones", "in_weights", "in_part"),
)
_SURFACES = (
    "3f 3f 2f 3f 1f",
    ("in_position", "in_normal", "in_uv", "in_colour", "in_layer"),
)


@dataclass(eq=False)
class LoadedPerson:
    """One person on the GPU.

    Attributes:
        avatar: the person's avatar.
        bones: (U,) joints that move the mesh.
        touching: (C,) joints that can cast a contact shadow.
        first_bone: row of the first bone in the clip's bone table.
        tint: colour factor.
        draws: texture and vertex arrays by render pass, per texture of the avatar.
    """

    avatar: Avatar
    bones: Int[np.ndarray, "U"]
    touching: Int[np.ndarray, "C"]
    first_bone: int
    tint: tuple[float, float, float]
    draws: list[tuple[moderngl.Texture, dict[Pass, moderngl.VertexArray]]]


class LoadedClip:
    """Everything on the GPU that stays constant over the frames of a clip."""

    def __init__(
        self,
        context: moderngl.Context,
        programs: dict[str, moderngl.Program],
        stage: Stage,
        avatars: Sequence[Avatar],
        tints: Float[np.ndarray, "P 3"],
    ) -> None:
        self.stage = stage
        self._context, self._programs = context, programs
        self._owned: list[Any] = []
        self.people: list[LoadedPerson] = []
        for avatar, tint in zip(avatars, tints, strict=True):
            self.people.append(self._load_person(avatar, tint))
        count = sum(len(p.bones) for p in self.people)
        self.bone_table = np.zeros((max(count, 1), 3, 4), np.float32)
        self.bones = self._keep(context.texture((3, max(count, 1)), 4, dtype="f4"))
        self.bones.filter = (context.NEAREST, context.NEAREST)
        self.backdrop = self._texture(stage.backdrop.image)
        self.backdrop.repeat_x = self.backdrop.repeat_y = False
        self._surface_images = self._load_surface_images()
        mesh = stage.surfaces
        vertices = self._keep(context.buffer(mesh.vertices.tobytes() or bytes(48)))
        self._surfaces = [
            (self._arrays("surface", vertices, mesh.solid, _SURFACES), mesh.solid_casters),
            (self._arrays("cutout", vertices, mesh.cutout, _SURFACES), mesh.cutout_casters),
        ]
        self._catcher = self._load_catcher() if stage.catcher_half_m > 0 else None
        self._spot_count, most = 0, 6 * SPOTS_PER_PERSON * max(len(self.people), 1)
        self._spots = self._keep(context.buffer(reserve=4 * VERTEX_FLOATS * most))
        self._contacts = self._keep(
            context.vertex_array(
                programs["contact"], [(self._spots, "4f 1f", "in_place", "in_strength")]
            )
        )

    def draw(self, render_pass: Pass) -> None:
        """Draws people and surfaces into the framebuffer in use."""
        self.bones.use(BONES_UNIT)
        self._surface_images.use(SURFACES_UNIT)
        ctx, program = self._context, self._programs[f"people_{render_pass}"]
        if render_pass != "shadow":
            ctx.enable(ctx.CULL_FACE)
        for number, person in enumerate(self.people):
            program["first_bone"] = person.first_bone
            if render_pass == "colour":
                program["tint"] = person.tint
            if render_pass == "id":
                program["person"] = number
            for texture, drawn in person.draws:
                texture.use(SKIN_UNIT)
                drawn[render_pass].render()
        ctx.disable(ctx.CULL_FACE)
        for arrays, casters in self._surfaces:
            if arrays is not None and (render_pass != "shadow" or casters):
                arrays[render_pass].render(vertices=3 * casters if render_pass == "shadow" else -1)

    def place_contacts(self, joints_m: Sequence[Float[np.ndarray, "J 3"]]) -> None:
        """Updates the contact shadows; `joints_m` in the order of the avatars."""
        places = [j[p.touching] for p, j in zip(self.people, joints_m, strict=True)]
        spots = contact_spots(np.concatenate(places), self.stage.light.contact)
        self._spot_count = len(spots)
        if len(spots):
            self._spots.write(spots.tobytes())

    def draw_floor_shadows(self) -> None:
        """Blends contact shadows, and sun shadows on the invisible floor, over the image."""
        ctx = self._context
        ctx.enable(ctx.BLEND)
        if self._catcher is not None:
            self._catcher.render()
        if self._spot_count:
            self._contacts.render(vertices=self._spot_count)
        ctx.disable(ctx.BLEND)

    def release(self) -> None:
        """Frees all GPU memory of the clip."""
        for item in reversed(self._owned):
            item.release()
        self._owned.clear()

    def _keep(self, item: Any) -> Any:
        self._owned.append(item)
        return item

    def _load_person(self, avatar: Avatar, tint: np.ndarray) -> LoadedPerson:
        mesh = people_mesh(avatar)
        first = sum(len(p.bones) for p in self.people)
        vertices = self._keep(self._context.buffer(mesh.vertices.tobytes()))
        draws = []
        for image, triangles in zip(avatar.textures, mesh.triangles, strict=True):
            arrays = self._arrays("people", vertices, triangles, _PEOPLE)
            if arrays is not None:
                draws.append((self._texture(image), arrays))
        red, green, blue = (float(v) for v in tint)
        near_floor = touching(avatar.joint_names)
        return LoadedPerson(avatar, mesh.bones, near_floor, first, (red, green, blue), draws)

    def _arrays(
        self,
        kind: str,
        vertices: moderngl.Buffer,
        triangles: Int[np.ndarray, "F 3"],
        layout: tuple[str, tuple[str, ...]],
    ) -> dict[Pass, moderngl.VertexArray] | None:
        """A vertex array for each render pass; None if there are no triangles."""
        if len(triangles) == 0:
            return None
        ctx = self._context
        indices = self._keep(ctx.buffer(np.ascontiguousarray(triangles, np.int32).tobytes()))
        return {
            render_pass: self._keep(
                _vertex_array(
                    ctx, self._programs[f"{kind}_{render_pass}"], vertices, indices, layout
                )
            )
            for render_pass in _PASSES
        }

    def _texture(self, image: UInt8[np.ndarray, "H W 3"]) -> moderngl.Texture:
        height, width = image.shape[:2]
        data = np.ascontiguousarray(image).tobytes()
        texture = self._keep(self._context.texture((width, height), 3, data, alignment=1))
        texture.build_mipmaps()
        texture.filter = (self._context.LINEAR_MIPMAP_NEAREST, self._context.LINEAR)
        return texture

    def _load_surface_images(self) -> moderngl.TextureArray:
        stack = self.stage.surfaces.images
        layers, height, width = stack.shape[:3]
        ctx = self._context
        texture = self._keep(ctx.texture_array((width, height, layers), 4, stack.tobytes()))
        texture.build_mipmaps()
        texture.filter = (ctx.LINEAR_MIPMAP_NEAREST, ctx.LINEAR)
        return texture

    def _load_catcher(self) -> moderngl.VertexArray:
        half = self.stage.catcher_half_m
        blank = np.full((1, 1, 4), 255, np.uint8)
        floor = join([Surface(*quad((-half, 0, half), (2 * half, 0, 0), (0, 0, -2 * half)), blank)])
        ctx, program = self._context, self._programs["catcher"]
        vertices = self._keep(ctx.buffer(floor.vertices.tobytes()))
        indices = self._keep(ctx.buffer(floor.solid.tobytes()))
        return self._keep(_vertex_array(ctx, program, vertices, indices, _SURFACES))


def _vertex_array(
    context: moderngl.Context,
    program: moderngl.Program,
    vertices: moderngl.Buffer,
    indices: moderngl.Buffer,
    layout: tuple[str, tuple[str, ...]],
) -> moderngl.VertexArray:
    """A vertex array that skips the attributes that this program does not read."""
    kinds, names = layout
    parts = kinds.split()
    sizes = {"f": 4, "u2": 2}
    used, attributes = [], []
    for kind, name in zip(parts, names, strict=True):
        if name in program:
            used.append(kind)
            attributes.append(name)
        else:
            used.append(f"{int(kind[0]) * sizes[kind[1:]]}x")
    return context.vertex_array(
        program, [(vertices, " ".join(used), *attributes)], index_buffer=indices
    )
