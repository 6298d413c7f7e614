"""The quality page of an unlabelled video: one HTML file that says where not to trust the poses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from vepe.errors import VepeError, counted, missing_extra
from vepe.measures.quality import Finding, TrackQuality, VideoQuality, video_quality
from vepe.results.render import black_image, check_times
from vepe.results.video import VideoResult
from vepe.types import FramePoses
from vepe.viz.drawing import draw_poses
from vepe.viz.html_page import data_address, render_page
from vepe.viz.options import DrawingOptions
from vepe.viz.plots import SERIES, line_chart
from vepe.viz.quality_plots import MAX_ROWS, id_timeline

Image = UInt8[np.ndarray, "H W 3"]

NUM_THUMBNAILS = 12
MAX_FINDINGS = 60
_THUMBNAIL_PX = 480
_MIN_CROP = 0.35
"""A thumbnail shows at least this share of the image's longer side."""

_APART_S = 0.5
"""Thumbnails of the same people lie at least so far apart."""

_MAX_POINTS = 600
"""Curves have at most so many points; longer ones are means over equal parts."""

_PAGE = """
<style>
.looks { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 14px; }
.looks figure { margin: 0; } .looks img { width: 100%; }
code { font-size: 12.5px; }
</style>
<h1>{{ title }}</h1>
<p class=quiet>{{ subtitle }}</p>
{{ cards(facts) }}
{% for warning in warnings %}<div class=warn>{{ warning }}</div>{% endfor %}
<h2>Who is seen when</h2>
<p class=quiet>A bar per id. Blue: sure; orange: mean keypoint score below 0.5; red dots: see the
list below.{% if rows_left_out %} {{ rows_left_out }} short tracks are left out.{% endif %}</p>
<figure>{{ timeline }}</figure>
{% if looks %}
<h2>Frames worth a look</h2>
<div class=looks>
{% for source, text in looks %}
<figure><img src="{{ source }}" alt=""><figcaption>{{ text }}</figcaption></figure>
{% endfor %}
</div>
{% endif %}
<h2>Over time</h2>
<div class=pair>{% for chart in charts %}<figure>{{ chart }}</figure>{% endfor %}</div>
<h2>Where not to trust the result</h2>
{% if findings %}
<p class=quiet>Worst first{% if more %}; {{ more }} more are left out{% endif %}. What an edit would
repair is for you to decide: <code>vepe edit POSES</code> with these options.</p>
{{ text_table(["seconds", "what", "perhaps"], findings) }}
{% else %}
<p>Nothing stands out: no gaps, low scores, jitter or jumps.</p>
{% endif %}
<h2>Tracks</h2>
{{ table(["id", "from s", "to s", "frames", "gaps", "mean score", "jitter, % of height"], tracks) }}
<p class=quiet>Jitter: how far keypoints lie from the middle between the frames before and after
(median). A page without labels cannot know errors: it shows what real movement rarely does.</p>
"""


def quality_page(
    result: VideoResult, *, on_frame: Callable[[int, int], None] = lambda done, total: None
) -> tuple[str, VideoQuality]:
    """The page, and what it says.

    Args:
        result: the poses; thumbnails show the frames of its video if it is known, else black.
        on_frame: called after every thumbnail with their number so far, and of all.

    Raises:
        VepeError: if matplotlib is missing, there are no frames, or the video cannot be read.
    """
    if find_spec("matplotlib") is None:
        raise missing_extra("The quality page", "matplotlib", "report")
    if not len(result):
        raise VepeError(f"The poses of '{result.video.name}' have no frames; nothing to report.")
    check_times(result)
    quality = video_quality(result)
    chosen = frames_to_show(quality.findings)
    looks = []
    for done, finding in enumerate(sorted(chosen, key=lambda f: f.position), start=1):
        looks.append((_thumbnail(result, finding), f"{finding.time_s:.2f} s: {finding.text}"))
        on_frame(done, len(chosen))
    page = render_page(
        _PAGE,
        title=f"Quality of {result.video.name}",
        subtitle=_subtitle(result),
        facts=_facts(result, quality),
        warnings=_warnings(quality),
        timeline=id_timeline(quality.tracks, quality.findings, quality.times_s),
        rows_left_out=max(len(quality.tracks) - MAX_ROWS, 0),
        looks=looks,
        charts=_charts(quality),
        findings=[(f"{f.time_s:.2f}", f.text, f.advice) for f in quality.findings[:MAX_FINDINGS]],
        more=max(len(quality.findings) - MAX_FINDINGS, 0),
        tracks=[_track_row(track) for track in quality.tracks],
    )
    return page, quality


def frames_to_show(findings: Sequence[Finding]) -> list[Finding]:
    """The worst findings, but not the same people again within half a second."""
    chosen: list[Finding] = []
    for finding in findings:
        seen = any(
            set(finding.track_ids) & set(other.track_ids)
            and abs(finding.time_s - other.time_s) < _APART_S
            for other in chosen
        )
        if not seen and len(chosen) < NUM_THUMBNAILS:
            chosen.append(finding)
    return chosen


def _thumbnail(result: VideoResult, finding: Finding) -> str:
    """The frame around the people it is about, as a data URL."""
    frame = result[finding.position]
    image = black_image(result) if result.source is None else frame.image
    drawn = draw_poses(image, frame, result.skeleton, DrawingOptions(fade=True))
    left, top, right, bottom = _crop(frame, finding.track_ids, image.shape)
    part = drawn[top:bottom, left:right]
    scale = min(_THUMBNAIL_PX / max(part.shape[:2]), 2.0)
    size = (max(round(part.shape[1] * scale), 1), max(round(part.shape[0] * scale), 1))
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(part, size, interpolation=kind)
    _, encoded = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    return data_address(encoded.tobytes(), "jpeg")


def _crop(
    frame: FramePoses, track_ids: Sequence[int], shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a square-like part around some people."""
    height, width = shape[:2]
    boxes = frame.boxes_xyxy_px()[np.isin(frame.track_ids, track_ids)]
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    if not len(boxes):
        return 0, 0, width, height
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    middle, size = (low + high) / 2, 1.6 * (high - low).max()
    side = float(np.clip(size, _MIN_CROP * max(width, height), max(width, height)))
    wide, tall = min(side, width), min(side, height)
    left = float(np.clip(middle[0] - wide / 2, 0, width - wide))
    top = float(np.clip(middle[1] - tall / 2, 0, height - tall))
    return int(left), int(top), int(left + wide), int(top + tall)


def _subtitle(result: VideoResult) -> str:
    parts = [f"{result.video.width} x {result.video.height} px"] if result.video.width else []
    model = result.info.get("model")
    if isinstance(model, dict) and isinstance(model.get("name"), str):
        parts.append(f"model {model['name']}")
    edits = result.info.get("edits")
    if isinstance(edits, list) and edits:
        parts.append(f"{counted(len(edits), 'edit')} of ids")
    return ", ".join(parts)


def _facts(result: VideoResult, quality: VideoQuality) -> list[tuple[str, str]]:
    tracks = quality.tracks
    observed = sum(len(track.positions) for track in tracks)
    spanned = sum(int(track.positions[-1] - track.positions[0]) + 1 for track in tracks)
    scores = np.concatenate([track.confidence for track in tracks]) if tracks else np.zeros(0)
    jitter = np.concatenate([track.jitter for track in tracks]) if tracks else np.zeros(0)
    jitter = jitter[np.isfinite(jitter)]
    return [
        ("frames", str(len(quality.times_s))),
        ("seconds", f"{quality.times_s[-1] - quality.times_s[0]:.1f}"),
        ("people per frame", f"{quality.num_people.mean():.1f}"),
        ("ids", str(len(tracks))),
        ("of the tracks unseen", f"{100 * (1 - observed / spanned):.1f} %" if spanned else "-"),
        ("mean keypoint score", f"{scores.mean():.2f}" if len(scores) else "-"),
        ("jitter, % of height", f"{100 * np.median(jitter):.2f}" if len(jitter) else "-"),
        ("to look at", str(len(quality.findings))),
    ]


def _warnings(quality: VideoQuality) -> list[str]:
    """What concerns the whole video."""
    warnings = []
    if not quality.num_people.any():
        warnings.append("Nobody was detected in any frame.")
    elif not quality.tracks:
        warnings.append("Nobody has a track id, so that only the number of people can be shown.")
    merges = sum(f.kind == "continues" for f in quality.findings)
    if merges > 1 and merges >= len(quality.tracks) / 4:
        warnings.append(f"{merges} tracks may continue another one: ids change often here.")
    scores = [track.confidence for track in quality.tracks]
    if scores and float(np.concatenate(scores).mean()) < 0.5:
        warnings.append("Most keypoints have low scores: people may be too small or too blurred.")
    return warnings


def _charts(quality: VideoQuality) -> list[str]:
    """People, scores and jitter over time; of the tracks with the most frames."""
    times = quality.times_s
    span = (float(times[0]), float(max(times[-1], times[0] + 0.04)))
    longest = sorted(quality.tracks, key=lambda t: -len(t.positions))[: len(SERIES)]
    longest.sort(key=lambda track: track.track_id)
    named = [(f"id {track.track_id}", track) for track in longest]
    curves = {
        "People per frame": {"people": _thinned(times, quality.num_people.astype(float))},
        "Mean keypoint score": {name: _curve(t, t.confidence, len(times)) for name, t in named},
        "Jitter, % of height": {name: _curve(t, 100 * t.jitter, len(times)) for name, t in named},
    }
    return [
        line_chart(title, lines, x_label="seconds", x_range=span)
        for title, lines in curves.items()
        if lines
    ]


def _curve(
    track: TrackQuality, values: Float[np.ndarray, "F"], num_frames: int
) -> tuple[list[float], list[float]]:
    """Values of a track over all frames of the video, NaN where it is not seen, thinned."""
    first, last = int(track.positions[0]), int(track.positions[-1])
    every = np.full(last - first + 1, np.nan)
    every[track.positions - first] = values
    at = np.interp(np.arange(first, last + 1), track.positions, track.times_s)
    return _thinned(at, every, num_frames)


def _thinned(
    times_s: Float[np.ndarray, "N"], values: Float[np.ndarray, "N"], num_frames: int | None = None
) -> tuple[list[float], list[float]]:
    """At most `_MAX_POINTS` points of a curve of the whole video, means over equal parts."""
    size = max(1, -(-(num_frames or len(values)) // _MAX_POINTS))
    starts = np.arange(0, len(values), size)
    known = np.isfinite(values)
    counts = np.add.reduceat(known.astype(float), starts)
    sums = np.add.reduceat(np.where(known, values, 0.0), starts)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return times_s[starts].tolist(), means.tolist()


def _track_row(track: TrackQuality) -> tuple[str, ...]:
    jitter = track.jitter[np.isfinite(track.jitter)]
    return (
        str(track.track_id),
        f"{track.times_s[0]:.2f}",
        f"{track.times_s[-1]:.2f}",
        str(len(track.positions)),
        str(len(track.spans()) - 1),
        f"{track.confidence.mean():.2f}",
        f"{100 * np.median(jitter):.2f}" if len(jitter) else "-",
    )


def without_video(result: VideoResult) -> VideoResult:
    """The result with its video forgotten, so that thumbnails are drawn on black."""
    return replace(result, source=None)
