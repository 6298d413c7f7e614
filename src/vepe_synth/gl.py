"""The OpenGL context that everything is drawn with: EGL, without a window."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from vepe.errors import VepeError

if TYPE_CHECKING:
    import moderngl

_BACKEND: dict[str, Any] = {"backend": "egl"}
PACKAGES = "apt-get install libegl1 libgl1-mesa-dri"


def open_context(*, threads: int | None = None) -> moderngl.Context:
    """A context of OpenGL 3.3 or newer: the GPU where its driver offers EGL, else Mesa's on a CPU.

    Args:
        threads: threads of Mesa's software driver in this process (0: none beside our own); None
            leaves it to the driver. It counts for the first context of a process alone.

    Raises:
        VepeError: where moderngl or a driver is missing, with what to install.
    """
    if threads is not None:
        os.environ["LP_NUM_THREADS"] = str(threads)
    try:
        import moderngl
    except ImportError:
        raise VepeError(
            "Rendering people needs moderngl, which is not installed; pip install 'vepe[synth]'."
        ) from None
    try:
        return moderngl.create_context(standalone=True, require=330, **_BACKEND)
    except Exception as error:  # glcontext raises bare Exception for all that goes wrong
        raise VepeError(
            f"No OpenGL driver can be opened through EGL ({error}); on Debian or Ubuntu: "
            f"{PACKAGES}."
        ) from error
