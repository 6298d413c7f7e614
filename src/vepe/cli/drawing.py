"""Options of drawing that several commands share, declared once.

    @with_drawing_options
    def command(source: ..., *, drawing: DrawingOptions) -> None: ...

The command takes all options below, and gets them as one checked value.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

from vepe.cli.options import split, whole
from vepe.errors import VepeError
from vepe.viz.options import DrawingOptions

_PANEL = "Drawing"


def _options(
    boxes: Annotated[
        bool, typer.Option("--boxes", help="Draw boxes around people.", rich_help_panel=_PANEL)
    ] = False,
    trail: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Draw each person's way over the last so many seconds.",
            rich_help_panel=_PANEL,
        ),
    ] = 0.0,
    fade: Annotated[
        bool,
        typer.Option(
            "--fade",
            help="Draw keypoints the more transparent, the lower their score.",
            rich_help_panel=_PANEL,
        ),
    ] = False,
    no_skeleton: Annotated[
        bool,
        typer.Option("--no-skeleton", help="Draw no limbs and keypoints.", rich_help_panel=_PANEL),
    ] = False,
    no_ids: Annotated[
        bool, typer.Option("--no-ids", help="Draw no track ids.", rich_help_panel=_PANEL)
    ] = False,
    names: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID=NAME,...",
            help="Write names in place of ids: --names 1=Anna,2=Ben.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    only_ids: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID,...",
            help="Draw only these people.",
            show_default="all",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    keypoint_conf: Annotated[
        float,
        typer.Option(
            metavar="SCORE",
            help="Lowest score of keypoints that are drawn, 0 to 1.",
            rich_help_panel=_PANEL,
        ),
    ] = 0.3,
    line_width: Annotated[
        float | None,
        typer.Option(
            metavar="PX",
            help="Width of limbs in pixels.",
            show_default="scaled with each person",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    background: Annotated[
        str,
        typer.Option(
            metavar="image|blur|black",
            help="Blur all but people, or draw on black.",
            rich_help_panel=_PANEL,
        ),
    ] = "image",
    hide: Annotated[
        str,
        typer.Option(
            metavar="none|faces|people",
            help="Make faces or whole people unrecognisable, also of people who are not drawn.",
            rich_help_panel=_PANEL,
        ),
    ] = "none",
    hide_by: Annotated[
        str,
        typer.Option(metavar="blur|pixelate", help="How --hide does it.", rich_help_panel=_PANEL),
    ] = "blur",
    side_by_side: Annotated[
        bool,
        typer.Option(
            "--side-by-side",
            help="Put the image without drawings to the left (what is hidden stays hidden).",
            rich_help_panel=_PANEL,
        ),
    ] = False,
) -> DrawingOptions:
    ids = [whole(text, "--only-ids") for text in split(only_ids)] if only_ids else None
    return DrawingOptions(
        skeleton=not no_skeleton,
        boxes=boxes,
        ids=not no_ids,
        names=dict(_named(text) for text in split(names)),
        trail_s=trail,
        fade=fade,
        min_keypoint_score=keypoint_conf,
        line_width_px=line_width,
        only_ids=None if ids is None else frozenset(ids),
        background=background,  # type: ignore[arg-type]
        hide=hide,  # type: ignore[arg-type]
        hide_by=hide_by,  # type: ignore[arg-type]
        side_by_side=side_by_side,
    )


def _named(text: str) -> tuple[int, str]:
    track_id, equals, name = text.partition("=")
    if not equals or not name.strip():
        raise VepeError(f"--names takes ids with names, such as 1=Anna; '{text}' is none.")
    return whole(track_id.strip(), "--names"), name.strip()


def with_drawing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the options above in place of its parameter `drawing`.

    Raises:
        VepeError: from the new command, on an option that is out of range.
    """
    group = inspect.signature(_options)
    own = inspect.signature(command)
    added = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in group.parameters.values()]
    kept = [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for p in own.parameters.values()
        if p.name != "drawing"
    ]
    hints = {**get_type_hints(command, include_extras=True)}
    hints |= get_type_hints(_options, include_extras=True)
    del hints["drawing"]
    parameters = [p.replace(annotation=hints[p.name]) for p in (*kept, *added)]

    @functools.wraps(command)
    def wrapped(**values: Any) -> Any:
        drawing = _options(**{name: values.pop(name) for name in group.parameters})
        return command(**values, drawing=drawing)

    wrapped.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = hints
    return wrapped
