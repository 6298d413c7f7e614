"""Videos in object stores: listed there, and copied to a local file while they are tracked.

fsspec knows how to reach each store; the driver of a scheme is loaded when an address has it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vepe.errors import DISK_FULL, VepeError, missing_extra
from vepe.limits import advice, limit
from vepe.temporary_folders import temporary_folder
from vepe.video.images import VIDEO_SUFFIXES

if TYPE_CHECKING:
    from vepe.video.sources import NamedSource

DRIVERS = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "hf": "huggingface_hub",
}
"""The package that reads the addresses of each scheme."""

_ADDRESS = re.compile(rf"({'|'.join(DRIVERS)})://", re.IGNORECASE)
COPY_PREFIX = "vepe.copy-"
"""Of the temporary folder with the copy of a video, or with results on the way to a store."""
_BLOCK_BYTES = 8 << 20


def is_remote_file(source: str) -> bool:
    """Whether a source is the address of a file (or folder, or pattern) in an object store."""
    return _ADDRESS.match(source) is not None


def list_remote(address: str) -> list[str]:
    """The videos that an address names: one file, a folder of videos, or a pattern.

    Raises:
        VepeError: where the driver is missing, the store cannot be reached, or nothing matches.
    """
    scheme = address.partition("://")[0]
    is_pattern = any(character in address for character in "*?[")
    if not is_pattern and Path(address).suffix.lower() in VIDEO_SUFFIXES:
        return [address]  # nothing is asked: it fails, with its reason, when it is opened
    system = file_system(address)
    try:
        paths = system.glob(address) if is_pattern else system.ls(address, detail=False)
    except Exception as error:  # drivers have exceptions of their own
        raise unreachable(address, error) from None
    videos = [path for path in paths if Path(path).suffix.lower() in VIDEO_SUFFIXES]
    if not videos:
        raise VepeError(f"No video lies at '{address}'; check the address.")
    return [f"{scheme}://{path.lstrip('/')}" for path in sorted(videos)]


class LocalCopies:
    """Local copies of remote videos; the last one is kept, for the next segment of it."""

    def __init__(self) -> None:
        self._folder = ExitStack()
        self._held: tuple[str, Path] | None = None

    @contextmanager
    def of(self, source: NamedSource) -> Iterator[NamedSource]:
        """The source, with a local copy where it is remote.

        Raises:
            VepeError: where it cannot be fetched, is larger than `VEPE_MAX_DOWNLOAD_MB`, or there
                is no space for it. Errors of the context name its address.
        """
        if not is_remote_file(source.source):
            yield source
            return
        if self._held is None or self._held[0] != source.source:
            self._fetch(source.source)
        assert self._held is not None
        copy = self._held[1]
        try:
            yield replace(source, copy=copy)
        except VepeError as error:
            if type(error) is not VepeError or str(copy) not in str(error):
                raise
            # The user knows the video by its address.
            raise VepeError(str(error).replace(str(copy), source.source)) from error

    def close(self) -> None:
        """Removes them."""
        self._folder.close()
        self._held = None

    def _fetch(self, address: str) -> None:
        self.close()
        system = file_system(address)
        most = limit("VEPE_MAX_DOWNLOAD_MB") * 1_000_000
        try:
            size = system.size(address) or 0
            source = system.open(address, "rb", block_size=_BLOCK_BYTES)
        except Exception as error:
            raise unreachable(address, error) from None
        if size > most:
            raise VepeError(
                f"'{address}' has {size / 1e6:.0f} MB, more than the limit; cut it, "
                f"{advice('VEPE_MAX_DOWNLOAD_MB')}."
            )
        folder = self._folder.enter_context(temporary_folder(COPY_PREFIX))
        path = folder / (re.sub(r"[^\w.-]", "_", Path(address).name) or "video")
        free = shutil.disk_usage(path.parent).free
        if size > free:
            source.close()
            raise _no_space(address, size)
        try:
            with source, path.open("wb") as file:
                shutil.copyfileobj(source, file, _BLOCK_BYTES)
                os.fsync(file.fileno())
        except OSError as error:
            if error.errno in DISK_FULL:
                raise _no_space(address, size) from None
            raise unreachable(address, error) from None
        except Exception as error:
            raise unreachable(address, error) from None
        self._held = address, path


def _no_space(address: str, size: int) -> VepeError:
    return VepeError(
        f"There is no space for the {size / 1e6:.0f} MB of '{address}' in "
        f"'{tempfile.gettempdir()}'; free some, or set TMPDIR to another folder."
    )


def unreachable(address: str, error: Exception) -> VepeError:
    """The sentence for what a driver raised while it read an address."""
    if isinstance(error, FileNotFoundError):
        return VepeError(f"There is no '{address}'; check the address.")
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return VepeError(
        f"'{address}' cannot be read ({type(error).__name__}: {reason[:200]}); check the address, "
        "the credentials and the network."
    )


def file_system(address: str) -> Any:
    """fsspec's file system for an address. Raises VepeError where its driver is missing."""
    scheme = address.partition("://")[0].lower()
    try:
        import fsspec
    except ImportError:
        raise missing_extra(f"'{address}'", "fsspec", "cluster") from None
    try:
        return fsspec.filesystem(scheme)
    except ImportError:
        package = DRIVERS[scheme]
        raise VepeError(
            f"'{address}' needs the package {package} on every machine; install it with pip "
            f"install {package.replace('_', '-')}."
        ) from None
    except Exception as error:
        raise unreachable(address, error) from None
