"""The GLSL programs: people (lit per vertex), surfaces (lit per pixel), backdrop, shadows.

People consist of small triangles, so lighting per vertex looks the same as per pixel and costs a
fraction of it on a CPU. Colours are linear until `finish`. Depth in the id buffer is in metres
along the optical axis, which is the `w` of the clip coordinates.
"""

from __future__ import annotations

FRAME = """
#version 330 core
layout(std140) uniform Frame {
    mat4 clip_from_world;
    mat4 shadow_from_world;
    vec4 eye;            // xyz
    vec4 sun_direction;  // towards the sun
    vec4 sun;            // rgb
    vec4 sky;            // rgb, from above
    vec4 ground;         // rgb, from below
    vec4 fill_direction;
    vec4 fill;           // rgb
    vec4 lamp;           // xyz, reach in metres
    vec4 lamp_colour;    // rgb
    vec4 fog;            // rgb, density per metre
    vec4 tone;           // exposure, shadow softness in texels, shadow depth, unused
};
"""

_LIGHT = """
uniform sampler2DShadow shadows;

float lit_share(vec3 p, vec3 n) {
    vec4 s = shadow_from_world * vec4(p + 0.015 * n, 1);
    vec3 q = s.xyz * 0.5 + 0.5;
    if (any(lessThan(q, vec3(0))) || any(greaterThan(q, vec3(1)))) return 1.0;
    q.z -= 0.0008;
    float r = tone.y / float(textureSize(shadows, 0).x);
    float seen = texture(shadows, q + vec3(-r, -0.4 * r, 0))
               + texture(shadows, q + vec3(0.9 * r, -0.6 * r, 0))
               + texture(shadows, q + vec3(0.1 * r, r, 0));
    return mix(1.0, 0.3333 * seen, tone.z);
}

vec3 ambient_light(vec3 n) {
    vec3 light = mix(ground.rgb, sky.rgb, 0.5 + 0.5 * n.y);
    return (light + fill.rgb * max(dot(n, fill_direction.xyz), 0.0)) * tone.x;
}

vec3 sun_light(vec3 n) { return sun.rgb * max(dot(n, sun_direction.xyz), 0.0) * tone.x; }

vec3 lamp_light(vec3 p, vec3 n) {
    vec3 way = lamp.xyz - p;
    float d2 = dot(way, way);
    float facing = max(dot(n, way), 0.0) * inversesqrt(d2);
    return lamp_colour.rgb * (facing * tone.x / (1.0 + d2 / (lamp.w * lamp.w)));
}
"""

_FINISH = """
vec3 finish(vec3 texel, vec3 light, float distance_m) {
    vec3 colour = texel * texel * light;
    if (fog.w > 0.0) colour = mix(fog.rgb * tone.x, colour, exp(-fog.w * distance_m));
    return sqrt(clamp(colour, 0.0, 1.0));
}
"""

_SKIN = """
uniform sampler2D bones;  // three texels per bone: the rows of its matrix
uniform int first_bone;
in vec3 in_position;
in vec3 in_normal;
in vec2 in_uv;
in uvec4 in_bones;
in vec4 in_weights;
in float in_part;

vec4 row0 = vec4(0), row1 = vec4(0), row2 = vec4(0);

vec3 skinned() {
    for (int i = 0; i < 4; ++i) {
        int bone = first_bone + int(in_bones[i]);
        row0 += in_weights[i] * texelFetch(bones, ivec2(0, bone), 0);
        row1 += in_weights[i] * texelFetch(bones, ivec2(1, bone), 0);
        row2 += in_weights[i] * texelFetch(bones, ivec2(2, bone), 0);
    }
    vec4 p = vec4(in_position, 1);
    return vec3(dot(row0, p), dot(row1, p), dot(row2, p));
}
"""

PEOPLE_COLOUR = (
    FRAME
    + _LIGHT
    + _SKIN
    + """
uniform vec3 tint;
out vec3 light;
out vec2 at;
out float depth;
void main() {
    vec3 world = skinned();
    vec3 n = in_normal;
    n = normalize(vec3(dot(row0.xyz, n), dot(row1.xyz, n), dot(row2.xyz, n)));
    light = ambient_light(n) + lamp_light(world, n);
    vec3 direct = sun_light(n);
    if (direct.g > 0.0) light += direct * lit_share(world, n);
    light *= tint;
    at = in_uv;
    gl_Position = clip_from_world * vec4(world, 1);
    depth = gl_Position.w;
}
""",
    FRAME
    + _FINISH
    + """
uniform sampler2D skin;
in vec3 light; in vec2 at; in float depth;
out vec4 colour;
void main() { colour = vec4(finish(texture(skin, at).rgb, light, depth), 1); }
""",
)

PEOPLE_ID = (
    FRAME
    + _SKIN
    + """
flat out float part;
out float depth;
void main() {
    part = in_part;
    gl_Position = clip_from_world * vec4(skinned(), 1);
    depth = gl_Position.w;
}
""",
    """
#version 330 core
uniform float person;
flat in float part;
in float depth;
out vec2 id_depth;
void main() { id_depth = vec2(person * 32.0 + part + 1.0, depth); }
""",
)

_NO_COLOUR = """
#version 330 core
void main() {}
"""

PEOPLE_SHADOW = (
    FRAME + _SKIN + "void main() { gl_Position = shadow_from_world * vec4(skinned(), 1); }",
    _NO_COLOUR,
)

_SURFACE = """
in vec3 in_position;
in vec3 in_normal;
in vec2 in_uv;
in vec3 in_colour;
in float in_layer;
flat out vec3 normal;
flat out float layer;
flat out vec3 ambient;
flat out vec3 direct;
flat out vec3 tint;
out vec3 world;
out vec2 at;
out float depth;
void main() {
    world = in_position;
    // Surfaces are seen from both sides; a flat one shows the same side everywhere.
    normal = dot(in_normal, eye.xyz - world) < 0.0 ? -in_normal : in_normal;
    NORMAL
    ambient = ambient_light(normal) * in_colour;
    direct = sun_light(normal) * in_colour;
    tint = in_colour;
    at = in_uv;
    layer = in_layer;
    gl_Position = SPACE * vec4(world, 1);
    depth = gl_Position.w;
}
"""

_SURFACE_IN = """
uniform sampler2DArray surface_images;
flat in float layer;
in vec2 at;
in float depth;
"""

# Cut-outs (mostly leaves) are translucent: both sides are lit as if from above.
_CAMERA, _SUN, _UP = "clip_from_world", "shadow_from_world", "normal = vec3(0, 1, 0);"
_SURFACE = FRAME + _LIGHT + _SURFACE
_SURFACE_FROM_CAMERA = _SURFACE.replace("SPACE", _CAMERA).replace("NORMAL", "")
_CUTOUT_FROM_CAMERA = _SURFACE.replace("SPACE", _CAMERA).replace("NORMAL", _UP)
_FROM_SUN = _SURFACE.replace("SPACE", _SUN).replace("NORMAL", "")
_DROP_HOLES = "if (texture(surface_images, vec3(at, layer)).a < 0.5) discard;"

_LIT_SURFACE = (
    FRAME
    + _SURFACE_IN
    + _LIGHT
    + _FINISH
    + """
flat in vec3 normal; flat in vec3 ambient; flat in vec3 direct; flat in vec3 tint;
in vec3 world;
out vec4 colour;
void main() {
    vec4 texel = texture(surface_images, vec3(at, layer));
    HOLES
    vec3 light = ambient;
    if (lamp_colour.g > 0.0) light += lamp_light(world, normal) * tint;
    if (direct.g > 0.0) light += direct * lit_share(world, normal);
    colour = vec4(finish(texel.rgb, light, depth), 1);
}
"""
)

SURFACE_COLOUR = (_SURFACE_FROM_CAMERA, _LIT_SURFACE.replace("HOLES", ""))
CUTOUT_COLOUR = (
    _CUTOUT_FROM_CAMERA,
    _LIT_SURFACE.replace("HOLES", "if (texel.a < 0.5) discard;"),
)

SURFACE_ID = (
    _SURFACE_FROM_CAMERA,
    """
#version 330 core
in float depth;
out vec2 id_depth;
void main() { id_depth = vec2(0, depth); }
""",
)

CUTOUT_ID = (
    _CUTOUT_FROM_CAMERA,
    FRAME
    + _SURFACE_IN
    + "out vec2 id_depth; void main() {"
    + _DROP_HOLES
    + "id_depth = vec2(0, depth);}",
)

SURFACE_SHADOW = (_FROM_SUN, _NO_COLOUR)
CUTOUT_SHADOW = (_FROM_SUN, FRAME + _SURFACE_IN + "void main() {" + _DROP_HOLES + "}")

CATCHER = (
    _SURFACE_FROM_CAMERA,
    FRAME
    + _LIGHT
    + """
in vec3 world;
out vec4 colour;
void main() { colour = vec4(0, 0, 0, 0.6 * (1.0 - lit_share(world, vec3(0, 1, 0)))); }
""",
)

CONTACT = (
    FRAME
    + """
in vec4 in_place;  // x and z in the world, then within -1..1
in float in_strength;
out vec2 within;
out float strength;
void main() {
    within = in_place.zw;
    strength = in_strength;
    gl_Position = clip_from_world * vec4(in_place.x, 0.006, in_place.y, 1);
}
""",
    """
#version 330 core
in vec2 within; in float strength;
out vec4 colour;
void main() {
    float falloff = max(1.0 - dot(within, within), 0.0);
    colour = vec4(0, 0, 0, strength * falloff * falloff);
}
""",
)

BACKDROP = (
    """
#version 330 core
in vec2 in_corner;
out vec2 corner;
void main() { corner = in_corner; gl_Position = vec4(in_corner, 0.99999, 1); }
""",
    """
#version 330 core
uniform sampler2D backdrop_image;
uniform mat3 backdrop_from_ray;  // from the camera's axes to the backdrop's axes
uniform vec4 half_sizes;  // of the view and of the backdrop, width and height, at distance 1
uniform float gain;
in vec2 corner;
out vec4 colour;
void main() {
    vec3 ray = vec3(corner.x * half_sizes.x, -corner.y * half_sizes.y, -1.0);
    ray = backdrop_from_ray * ray;
    vec2 at = ray.xy / max(-ray.z, 0.05) / half_sizes.zw;
    colour = vec4(texture(backdrop_image, vec2(0.5 + 0.5 * at.x, 0.5 - 0.5 * at.y)).rgb * gain, 1);
}
""",
)

PROGRAMS = {
    "people_colour": PEOPLE_COLOUR,
    "people_id": PEOPLE_ID,
    "people_shadow": PEOPLE_SHADOW,
    "surface_colour": SURFACE_COLOUR,
    "surface_id": SURFACE_ID,
    "surface_shadow": SURFACE_SHADOW,
    "cutout_colour": CUTOUT_COLOUR,
    "cutout_id": CUTOUT_ID,
    "cutout_shadow": CUTOUT_SHADOW,
    "catcher": CATCHER,
    "contact": CONTACT,
    "backdrop": BACKDROP,
}
"""Vertex and fragment shader by name: what is drawn, and in which render pass."""
