// The colours of people: the same numbers as `vepe.viz.colours`, so that page and video agree.

export const DARK = [16, 18, 22];
export const WHITE = [255, 255, 255];

const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));
const FIRST_HUE = 0.55;
const LIGHTNESS = [0.74, 0.66, 0.82];
const CHROMA = 0.19;
const LEFT_TINT = 0.42;
const RIGHT_SHADE = 0.38;
const DOT_TINT = 0.35;

const known = new Map();

/** [red, green, blue] in 0..255 of a track id, or of a person's place in the frame without one. */
export function personColour(number) {
  if (!known.has(number)) {
    const lightness = LIGHTNESS[((number % 3) + 3) % 3];
    known.set(number, fromOklch(lightness, CHROMA, FIRST_HUE + number * GOLDEN_ANGLE));
  }
  return known.get(number);
}

/** Colours of limbs and dots by side: -1 right (darker), 0 middle, 1 left (lighter). */
export function sideTints(colour) {
  const limbs = { "-1": mix(colour, DARK, RIGHT_SHADE), 0: colour, 1: mix(colour, WHITE, LEFT_TINT) };
  const tints = {};
  for (const [side, limb] of Object.entries(limbs)) {
    tints[side] = { limb: css(limb), dot: css(mix(limb, WHITE, DOT_TINT)) };
  }
  return tints;
}

export function mix(colour, other, weight) {
  return colour.map((value, i) => Math.round(value + weight * (other[i] - value)));
}

/** Dark or white, whichever contrasts better with a background. */
export function readableOn(background) {
  const [red, green, blue] = background.map((value) => toLinear(value / 255));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? DARK : WHITE;
}

export function css(colour, alpha = 1) {
  return `rgb(${colour.join(" ")} / ${alpha})`;
}

function fromOklch(lightness, startChroma, hue) {
  for (let chroma = startChroma; ; chroma -= 0.005) {
    const linear = oklabToLinear(lightness, chroma * Math.cos(hue), chroma * Math.sin(hue));
    if (chroma < 0.01 || linear.every((c) => c >= -1e-4 && c <= 1.0001)) {
      return linear.map((c) => Math.round(255 * toSrgb(Math.min(Math.max(c, 0), 1))));
    }
  }
}

function oklabToLinear(lightness, a, b) {
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
    -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
    -0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short,
  ];
}

function toSrgb(linear) {
  return linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
}

function toLinear(srgb) {
  return srgb <= 0.04045 ? srgb / 12.92 : ((srgb + 0.055) / 1.055) ** 2.4;
}
