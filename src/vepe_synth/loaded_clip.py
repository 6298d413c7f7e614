"""The buffers and textures of one clip on the graphics card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int, UInt8

from vepe_synth.avatars import Avatar
from vepe_synth.contact import SPOTS_PER_PERSON, VERTEX_FLOATS, contact_spots, touching
from vepe_synth.people_mesh import people_mesh
from vepe_synth.programs import BONES_UNIT, SKIN_UNIT, SURFACES_UNIT
from vepe_synth.surfaces import Surface, join, quad
from vepe_synth.surroundings import Stage

if TYPE_CHECKING:
    import moderngl

Picture = Literal["colour", "id", "shadow"]
_PICTURES: tuple[Picture, ...] = ("colour", "id", "shadow")
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
    """One person: which bones move it and lie where in the table, which joints darken the floor
    when they come near it, and what to draw."""

    avatar: Avatar
    bones: Int[np.ndarray, "U"]
    touching: Int[np.ndarray, "C"]
    first_bone: int
    tint: tuple[float, float, float]
    draws: list[tuple[moderngl.Texture, dict[Picture, moderngl.VertexArray]]]


class LoadedClip:
    """Everything of a clip that stays the same from frame to frame, on the card."""

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
        self.backdrop = self._texture(stage.backdrop.picture)
        self.backdrop.repeat_x = self.backdrop.repeat_y = False
        self._pictures = self._load_pictures()
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

    def draw(self, picture: Picture) -> None:
        """Draws people and surfaces into the framebuffer in use."""
        self.bones.use(BONES_UNIT)
        self._pictures.use(SURFACES_UNIT)
        ctx, program = self._context, self._programs[f"people_{picture}"]
        if picture != "shadow":
            ctx.enable(ctx.CULL_FACE)
        for number, person in enumerate(self.people):
            program["first_bone"] = person.first_bone
            if picture == "colour":
                program["tint"] = person.tint
            if picture == "id":
                program["person"] = number
            for texture, drawn in person.draws:
                texture.use(SKIN_UNIT)
                drawn[picture].render()
        ctx.disable(ctx.CULL_FACE)
        for arrays, casters in self._surfaces:
            if arrays is not None and (picture != "shadow" or casters):
                arrays[picture].render(vertices=3 * casters if picture == "shadow" else -1)

    def place_contacts(self, joints_m: Sequence[Float[np.ndarray, "J 3"]]) -> None:
        """Puts the dark spots under the people; `joints_m` in the order of the avatars."""
        places = [j[p.touching] for p, j in zip(self.people, joints_m, strict=True)]
        spots = contact_spots(np.concatenate(places), self.stage.light.contact)
        self._spot_count = len(spots)
        if len(spots):
            self._spots.write(spots.tobytes())

    def draw_floor_shadows(self) -> None:
        """Darkens the floor under people, and in shadow where only a picture shows the floor."""
        ctx = self._context
        ctx.enable(ctx.BLEND)
        if self._catcher is not None:
            self._catcher.render()
        if self._spot_count:
            self._contacts.render(vertices=self._spot_count)
        ctx.disable(ctx.BLEND)

    def release(self) -> None:
        """Gives everything on the card back."""
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
        for picture, triangles in zip(avatar.textures, mesh.triangles, strict=True):
            arrays = self._arrays("people", vertices, triangles, _PEOPLE)
            if arrays is not None:
                draws.append((self._texture(picture), arrays))
        red, green, blue = (float(v) for v in tint)
        near_floor = touching(avatar.joint_names)
        return LoadedPerson(avatar, mesh.bones, near_floor, first, (red, green, blue), draws)

    def _arrays(
        self,
        kind: str,
        vertices: moderngl.Buffer,
        triangles: Int[np.ndarray, "F 3"],
        layout: tuple[str, tuple[str, ...]],
    ) -> dict[Picture, moderngl.VertexArray] | None:
        """A vertex array for each kind of picture; None where there is nothing to draw."""
        if len(triangles) == 0:
            return None
        ctx = self._context
        indices = self._keep(ctx.buffer(np.ascontiguousarray(triangles, np.int32).tobytes()))
        return {
            picture: self._keep(
                _vertex_array(ctx, self._programs[f"{kind}_{picture}"], vertices, indices, layout)
            )
            for picture in _PICTURES
        }

    def _texture(self, picture: UInt8[np.ndarray, "H W 3"]) -> moderngl.Texture:
        height, width = picture.shape[:2]
        data = np.ascontiguousarray(picture).tobytes()
        texture = self._keep(self._context.texture((width, height), 3, data, alignment=1))
        texture.build_mipmaps()
        texture.filter = (self._context.LINEAR_MIPMAP_NEAREST, self._context.LINEAR)
        return texture

    def _load_pictures(self) -> moderngl.TextureArray:
        stack = self.stage.surfaces.pictures
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
    """A vertex array that skips what this program does not read."""
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
