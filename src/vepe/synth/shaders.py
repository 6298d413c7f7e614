"""The GLSL programs: people (skinned here), static surfaces, the backdrop, and shadows on it.

Colours are linear until the end of `finish`. Depth in the id picture is metres along the camera's
axis, which is the `w` of a clip coordinate.
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
    vec4 tone;           // exposure, softness of shadows in texels, depth of shadows, unused
};
"""

_WORLD_OUT = """
out vec3 world;
out vec3 normal;
out vec2 at;
out float depth;
"""

PEOPLE_VERTEX = (
    FRAME
    + """
uniform sampler2D bones;  // three texels a bone: the rows of its matrix
uniform int first_bone;
in vec3 in_position;
in vec3 in_normal;
in vec2 in_uv;
in uvec4 in_bones;
in vec4 in_weights;
in float in_part;
flat out float part;
"""
    + _WORLD_OUT
    + """
void main() {
    vec4 row0 = vec4(0), row1 = vec4(0), row2 = vec4(0);
    for (int i = 0; i < 4; ++i) {
        int bone = first_bone + int(in_bones[i]);
        row0 += in_weights[i] * texelFetch(bones, ivec2(0, bone), 0);
        row1 += in_weights[i] * texelFetch(bones, ivec2(1, bone), 0);
        row2 += in_weights[i] * texelFetch(bones, ivec2(2, bone), 0);
    }
    vec4 p = vec4(in_position, 1);
    world = vec3(dot(row0, p), dot(row1, p), dot(row2, p));
    normal = vec3(dot(row0.xyz, in_normal), dot(row1.xyz, in_normal), dot(row2.xyz, in_normal));
    at = in_uv;
    part = in_part;
    gl_Position = SPACE * vec4(world, 1);
    depth = gl_Position.w;
}
"""
)

SURFACE_VERTEX = (
    FRAME
    + """
in vec3 in_position;
in vec3 in_normal;
in vec2 in_uv;
in vec3 in_colour;
in float in_layer;
in float in_hides;
flat out vec3 tint;
flat out float layer;
flat out float hides;
"""
    + _WORLD_OUT
    + """
void main() {
    world = in_position;
    normal = in_normal;
    at = in_uv;
    tint = in_colour;
    layer = in_layer;
    hides = in_hides;
    gl_Position = SPACE * vec4(world, 1);
    depth = gl_Position.w;
}
"""
)

_LIGHT = """
uniform sampler2DShadow shadows;

float lit_share(vec3 p, vec3 n) {
    vec4 s = shadow_from_world * vec4(p + 0.015 * n, 1);
    vec3 q = s.xyz * 0.5 + 0.5;
    if (any(lessThan(q, vec3(0))) || any(greaterThan(q, vec3(1)))) return 1.0;
    q.z -= 0.0008;
    float r = tone.y / float(textureSize(shadows, 0).x);
    float sum = texture(shadows, q + vec3(-r, -0.4 * r, 0)) + texture(shadows, q + vec3(0.4 * r, -r, 0))
              + texture(shadows, q + vec3(-0.4 * r, r, 0)) + texture(shadows, q + vec3(r, 0.4 * r, 0));
    return mix(1.0, 0.25 * sum, tone.z);
}

vec3 finish(vec3 albedo, vec3 p, vec3 n, float distance_m) {
    n = normalize(n);
    if (dot(n, eye.xyz - p) < 0.0) n = -n;
    vec3 light = mix(ground.rgb, sky.rgb, 0.5 + 0.5 * n.y);
    light += fill.rgb * max(dot(n, fill_direction.xyz), 0.0);
    vec3 to_lamp = lamp.xyz - p;
    float d2 = dot(to_lamp, to_lamp);
    light += lamp_colour.rgb * max(dot(n, to_lamp * inversesqrt(d2)), 0.0) / (1.0 + d2 / (lamp.w * lamp.w));
    float facing = dot(n, sun_direction.xyz);
    if (facing > 0.0) light += sun.rgb * facing * lit_share(p, n);
    vec3 colour = mix(fog.rgb, albedo * light, exp(-fog.w * distance_m));
    return sqrt(clamp(colour * tone.x, 0.0, 1.0));
}
"""

PEOPLE_COLOUR = (
    FRAME
    + """
uniform sampler2D skin;
uniform vec3 tint;
in vec3 world; in vec3 normal; in vec2 at; in float depth;
flat in float part;
out vec4 colour;
"""
    + _LIGHT
    + """
void main() {
    vec3 texel = texture(skin, at).rgb;
    colour = vec4(finish(texel * texel * tint, world, normal, depth), 1);
}
"""
)

_SURFACE_IN = """
uniform sampler2DArray pictures;
in vec3 world; in vec3 normal; in vec2 at; in float depth;
flat in vec3 tint; flat in float layer; flat in float hides;
"""

SURFACE_COLOUR = (
    FRAME
    + _SURFACE_IN
    + """
out vec4 colour;
"""
    + _LIGHT
    + """
void main() {
    vec4 texel = texture(pictures, vec3(at, layer));
    if (texel.a < 0.5) discard;
    colour = vec4(finish(texel.rgb * texel.rgb * tint, world, normal, depth), 1);
}
"""
)

CATCHER_COLOUR = (
    FRAME
    + """
in vec3 world; in vec3 normal; in vec2 at; in float depth;
flat in vec3 tint; flat in float layer; flat in float hides;
out vec4 colour;
"""
    + _LIGHT
    + """
void main() {
    colour = vec4(0, 0, 0, 0.6 * (1.0 - lit_share(world, vec3(0, 1, 0))));
}
"""
)

PEOPLE_ID = """
#version 330 core
uniform float person;
in float depth;
flat in float part;
out vec2 found;
void main() { found = vec2(person * 32.0 + part + 1.0, depth); }
"""

SURFACE_ID = (
    FRAME
    + _SURFACE_IN
    + """
out vec2 found;
void main() {
    if (texture(pictures, vec3(at, layer)).a < 0.5) discard;
    found = vec2(0, depth);
}
"""
)

DEPTH_ONLY = """
#version 330 core
void main() {}
"""

SURFACE_DEPTH = (
    FRAME
    + _SURFACE_IN
    + """
void main() {
    if (hides < 0.5 || texture(pictures, vec3(at, layer)).a < 0.5) discard;
}
"""
)

BACKDROP_VERTEX = """
#version 330 core
in vec2 in_corner;
out vec2 corner;
void main() { corner = in_corner; gl_Position = vec4(in_corner, 0.99999, 1); }
"""

BACKDROP_COLOUR = """
#version 330 core
uniform sampler2D picture;
uniform mat3 picture_from_ray;  // turns a ray of the camera into the backdrop's own axes
uniform vec4 half_sizes;  // of the view and of the backdrop, width and height, at distance 1
uniform float gain;
in vec2 corner;
out vec4 colour;
void main() {
    vec3 ray = picture_from_ray * vec3(corner.x * half_sizes.x, -corner.y * half_sizes.y, -1.0);
    vec2 at = ray.xy / max(-ray.z, 0.05) / half_sizes.zw;
    colour = vec4(texture(picture, vec2(0.5 + 0.5 * at.x, 0.5 - 0.5 * at.y)).rgb * gain, 1);
}
"""


def vertex(source: str, space: str) -> str:
    """A vertex program that ends in `clip_from_world` or in `shadow_from_world`."""
    return source.replace("SPACE", space)
