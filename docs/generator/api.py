"""The reference of the Python API: which names have a page, and the pages.

`PAGES` says what belongs to the API; mkdocstrings fills in signatures and docstrings.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType


@dataclass(frozen=True)
class ApiPage:
    """A page of the reference.

    Attributes:
        title: its heading.
        text: a sentence below it.
        modules: whose `__all__`, or else whose public names that they define, it documents.
    """

    title: str
    text: str
    modules: tuple[str, ...]


PAGES = {
    "api-vepe": ApiPage(
        "vepe", "Everything that `import vepe` offers, see [Python](python.md).", ("vepe",)
    ),
    "api-evaluation": ApiPage(
        "vepe.evaluation",
        "Scores of poses and tracks. The rules are on [evaluation](evaluation.md).",
        ("vepe.evaluation",),
    ),
    "api-interop": ApiPage(
        "vepe.interop",
        "Poses as values of other libraries, see [interoperability](interoperability.md).",
        ("vepe.interop",),
    ),
    "api-measures": ApiPage(
        "vepe.measures",
        "Angles, lengths, speeds and counts from keypoints, see [measures](measures.md).",
        tuple(
            f"vepe.measures.{n}" for n in ("person", "angles", "motion", "proportions", "quality")
        ),
    ),
    "api-tracking": ApiPage(
        "vepe.tracking",
        "The tracker without a network: poses in, ids out. See [identity](identity.md).",
        tuple(f"vepe.tracking.{n}" for n in ("tracker", "smoothing", "smoothing_offline", "shots")),
    ),
    "api-video": ApiPage(
        "vepe.video",
        "Frames of files, folders, cameras and streams with their own times, and a writer.",
        ("vepe.video.reader", "vepe.video.writer"),
    ),
    "api-skeleton": ApiPage(
        "Skeletons and settings",
        "Keypoints with their names, and the settings that travel with weights.",
        (
            "vepe.skeleton",
            "vepe.config.skeleton",
            "vepe.config.tracking",
            "vepe.formats.label_studio",
        ),
    ),
    "api-models": ApiPage(
        "vepe.models",
        "The network, in the reading order of [the model](model.md).",
        tuple(
            f"vepe.models.{n}"
            for n in (
                *("vepe", "memory", "proposals", "spatial_decoder", "decoder_layer"),
                *("memory_encoder", "alignment", "instance_consistency", "pose_encoder"),
                *("pose_fusion", "pose_decoder", "streaming", "windows", "build"),
            )
        ),
    ),
    "api-synth": ApiPage(
        "vepe_synth",
        "Rendering from Python, see [synthetic video](synth.md).",
        ("vepe_synth.config", "vepe_synth.video_plan", "vepe_synth.dataset"),
    ),
}
"""Page -> what it documents. A module of the API that appears in no page fails the tests."""

OPTIONAL = {
    "api-client": ApiPage(
        "vepe.client",
        "The client of a running `vepe serve`, see [serving](serve.md).",
        ("vepe.client",),
    )
}
"""Pages of modules that a checkout may lack."""


def pages() -> dict[str, ApiPage]:
    """All pages whose modules exist."""
    optional = {name: page for name, page in OPTIONAL.items() if _exists(page.modules[0])}
    return PAGES | optional


def names(module: str) -> list[str]:
    """The dotted public names of a module: its `__all__`, or what it defines itself."""
    loaded = import_module(module)
    inside = getattr(loaded, "__all__", None) or _defined(loaded)
    return [f"{module}.{name}" for name in inside if not name.startswith("__")]


def markdown(page: ApiPage) -> str:
    """The page, with a directive of mkdocstrings for each name."""
    parts = [f"# {page.title}", page.text]
    for module in page.modules:
        if len(page.modules) > 1:
            doc = (import_module(module).__doc__ or "").strip().split("\n\n")[0]
            parts.append(f"## {module}\n\n{' '.join(doc.split())}")
        parts += [f"::: {name}\n    options:\n      heading_level: 3" for name in names(module)]
    return "\n\n".join(parts) + "\n"


def _defined(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
        and getattr(value, "__doc__", None)
        and callable(value)
    ]


def _exists(module: str) -> bool:
    try:
        import_module(module)
    except ModuleNotFoundError:
        return False
    return True
