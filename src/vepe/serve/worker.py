"""The worker processes: what decodes files of clients and runs networks, apart from the server.

There are three roles. `jobs` tracks one video at a time, `live` answers images and live frames, and
`tools` looks at uploads and converts results. A crash, a hang or too much memory in one of them
costs the request at hand, and neither the server nor the other roles.

Messages are pairs of a name and values. The parent's pipe is read by a thread of its own, so that a
cancellation arrives during work, and so that a worker ends with its parent.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from vepe.errors import VepeError
from vepe.serve.settings import ServeSettings

Message = tuple[str, dict[str, Any]]
Handle = Callable[[str, dict[str, Any], threading.Event], dict[str, Any]]

_LOST_PARENT = 0


def main(connection: Connection, role: str, settings: ServeSettings) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    pixels = min(settings.limits.frame_pixels, int(os.environ.get("VEPE_MAX_PIXELS") or 10**18))
    os.environ["VEPE_MAX_PIXELS"] = str(pixels)
    inbox: queue.Queue[tuple[Message, threading.Event]] = queue.Queue()
    threading.Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    sending = threading.Lock()

    def send(name: str, values: dict[str, Any]) -> None:
        with sending:
            try:
                connection.send((name, values))
            except OSError:
                os._exit(_LOST_PARENT)

    try:
        handle = _handler(role, settings, send)
    except VepeError as error:
        send("unusable", {"error": str(error)})
        return
    except Exception:
        send("unusable", {"error": "it could not start", "trace": traceback.format_exc()})
        return
    send("ready", {})
    while True:
        (name, values), stop = inbox.get()
        try:
            send("answer", handle(name, values, stop))
        except VepeError as error:
            send("failed", {"error": str(error)})
        except MemoryError:
            send("failed", {"error": "It needs more memory than the server has."})
        except Exception as error:
            # The trace is for the server's log; clients get the sentence.
            kind = type(error).__name__
            text = f"The server ran into an unexpected error ({kind})."
            send("failed", {"error": text, "trace": traceback.format_exc()})


def _listen(connection: Connection, inbox: queue.Queue[tuple[Message, threading.Event]]) -> None:
    """Reads the pipe: work is queued, `cancel` stops what runs, and the end ends the process."""
    stop = threading.Event()
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            os._exit(_LOST_PARENT)
        if message[0] == "cancel":
            stop.set()
            continue
        stop = threading.Event()
        inbox.put((message, stop))


def _handler(role: str, settings: ServeSettings, send: Any) -> Handle:
    if role == "tools":
        from vepe.serve.tools import handle_tool

        return handle_tool
    from vepe.serve.networks import Networks

    networks = Networks(settings)
    if role == "live":
        from vepe.serve.live_frames import LiveFrames

        return LiveFrames(networks).handle
    from vepe.serve.track_task import run_task

    def handle(name: str, values: dict[str, Any], stop: threading.Event) -> dict[str, Any]:
        run_task(values["task"], networks.predictor_of, send, stop)
        return {}

    return handle
