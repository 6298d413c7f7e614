"""`FrameResult`: the poses of one frame or image, with the image."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from vepe.errors import VepeError
from vepe.results.table import frame_record, to_pandas
from vepe.skeleton import Skeleton
from vepe.types import FramePoses
from vepe.viz.drawing import draw_poses
from vepe.viz.options import DrawingOptions

if TYPE_CHECKING:
    import pandas

Image = UInt8[np.ndarray, "H W 3"]

_NOTEBOOK_PX = 640
"""Longer side of images in notebooks, which are saved with them."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class FrameResult(FramePoses):
    """The people of one frame, with the frame's image; everything of `FramePoses`, and:

    Attributes:
        skeleton: names and edges of the K keypoints.
        name: of the image file or of the frame; "" where it has none.
        load_image: returns the image; None for poses whose image is not known.
    """

    skeleton: Skeleton
    name: str = ""
    load_image: Callable[[], Image] | None = None

    @staticmethod
    def of(
        poses: FramePoses,
        skeleton: Skeleton,
        load_image: Callable[[], Image] | None = None,
        name: str = "",
    ) -> FrameResult:
        """The poses with what belongs to them."""
        values = {f.name: getattr(poses, f.name) for f in fields(FramePoses)}
        return FrameResult(**values, skeleton=skeleton, name=name, load_image=load_image)

    @property
    def poses(self) -> FramePoses:
        """The poses alone, without what holds the image."""
        return FramePoses(**{f.name: getattr(self, f.name) for f in fields(FramePoses)})

    @property
    def image(self) -> Image:
        """The image, RGB.

        Of a video file or a folder, it is at hand for the last frames and decoded again for
        others, so that results do not fill the memory. Images of cameras, streams and arrays are
        kept as long as their result.

        Raises:
            VepeError: where the image is not known, or can no longer be read.
        """
        if self.load_image is None:
            raise VepeError(
                "These poses have no image; read them with their video, "
                "vepe.read(poses, video=...), or draw on an image: draw(image=...)."
            )
        return self.load_image()

    def draw(
        self, options: DrawingOptions | None = None, *, image: Image | None = None, **changes: Any
    ) -> Image:
        """The image with the people drawn on it; the result's own image stays as it is.

        Trails and what is hidden over several frames need a whole video: `save` of
        `model.track(...)`, or `VideoResult.draw`.

        Args:
            options: how to draw; keywords change single ones: `draw(boxes=True, ids=False)`.
            image: RGB, another image of the same size.

        Raises:
            VepeError: where the image is not known, or an option is wrong.
        """
        options = replace(options or DrawingOptions(), **changes)
        return draw_poses(self.image if image is None else image, self, self.skeleton, options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; see `vepe.results.table.frame_record`."""
        return frame_record(self, self.skeleton, self.name)

    def to_pandas(self) -> pandas.DataFrame:
        """A long table, one row per person and keypoint: see `vepe.results.table.to_pandas`.

        Raises:
            VepeError: where pandas is not installed.
        """
        return to_pandas([self], self.skeleton)

    def _repr_html_(self) -> str:
        """For notebooks: one line and the drawn image."""
        line = f"<code>{html.escape(repr(self))}</code>"
        drawn = self._notebook_image("JPEG")
        if drawn is None:
            return line
        data = base64.b64encode(drawn).decode("ascii")
        return f'{line}<br><img alt="frame {self.frame_index}" src="data:image/jpeg;base64,{data}">'

    def _repr_png_(self) -> bytes | None:
        """For notebooks that show no HTML."""
        return self._notebook_image("PNG")

    def _notebook_image(self, kind: str) -> bytes | None:
        """The drawn image in small; None where it is not known."""
        from PIL import Image as PilImage

        try:
            drawn = PilImage.fromarray(self.draw())
        except VepeError:
            return None
        drawn.thumbnail((_NOTEBOOK_PX, _NOTEBOOK_PX))
        encoded = io.BytesIO()
        if kind == "PNG":  # notebooks keep it beside the JPEG: a palette makes it a third as large
            drawn.quantize().save(encoded, kind)
        else:
            drawn.save(encoded, kind, quality=85)
        return encoded.getvalue()
