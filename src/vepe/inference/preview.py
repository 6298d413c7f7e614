"""A window that shows frames during tracking, with Python's own Tk (OpenCV is headless)."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vepe.errors import VepeError

_MOST_PX = 1280


class Preview:
    """A window; must be created and used in the main thread.

    Attributes:
        closed: whether the user has closed it (or pressed q or Escape).

    Raises:
        VepeError: where there is no display, or Python was built without Tk.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter
        except ImportError:
            raise VepeError(
                "--show needs Python's tkinter, which is not installed (on Debian and Ubuntu: "
                "apt-get install python3-tk); leave out --show."
            ) from None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError:
            raise VepeError("There is no display to show frames on; leave out --show.") from None
        self.closed = False
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._close)
        for key in ("<Escape>", "q"):
            self._root.bind(key, lambda _: self._close())
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._photo: object = None

    def _close(self) -> None:
        self.closed = True

    def show(self, image_rgb: UInt8[np.ndarray, "H W 3"]) -> None:
        """Shows a frame, scaled down where it is large."""
        from PIL import ImageTk

        if self.closed:
            return
        small = Image.fromarray(image_rgb)
        small.thumbnail((_MOST_PX, _MOST_PX))
        # Tk keeps no reference of its own: without this one the image would vanish.
        self._photo = photo = ImageTk.PhotoImage(small, master=self._root)
        self._label.configure(image=photo)
        self._root.update()

    def destroy(self) -> None:
        """Closes the window."""
        self._root.destroy()
