"""Results in an object store: uploaded as whole objects, and recognised by what is there.

An object is never half written: a store shows it when all of it has arrived. The JSON file of a
result names all others and comes last; until then, one stands there that says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from vepe.config.documents import check_document_size
from vepe.errors import VepeError
from vepe.video.remote_files import file_system, unreachable

_START_BYTES = 1 << 14
"""Holds the `info` block of a result."""


@dataclass(frozen=True)
class ResultStore:
    """A folder in an object store. Can be pickled: each process connects by itself.

    Attributes:
        address: such as `s3://bucket/results`, without a slash at the end.

    All methods raise VepeError where the driver is missing or the store refuses.
    """

    address: str

    @staticmethod
    def at(address: str) -> ResultStore:
        """The store of an address. Raises VepeError where it names no folder in a bucket."""
        scheme, _, rest = address.partition("://")
        rest = rest.strip("/")
        if not rest or any(character in rest for character in "*?["):
            raise VepeError(
                f"'{address}' is no folder for results; give one such as {scheme}://BUCKET/results."
            )
        return ResultStore(f"{scheme.lower()}://{rest}")

    def where(self, name: str) -> str:
        """The address of a result."""
        return f"{self.address}/{name}"

    def check_writable(self) -> None:
        """Writes a small object and removes it, where it may; so a wrong bucket is noticed before
        the work."""
        name = f".vepe-check-{uuid4().hex}"
        self.write(name, b"check")
        with suppress(VepeError):  # some may write, but not remove
            self.remove(name)

    def listing(self) -> dict[str, int | None]:
        """Names of what lies directly in the folder, with bytes; None for a folder."""
        system = file_system(self.address)
        try:
            system.invalidate_cache()
            entries = system.ls(self.address, detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:  # drivers have exceptions of their own
            raise unreachable(self.address, error) from None
        return {
            Path(entry["name"]).name: entry["size"] if entry["type"] == "file" else None
            for entry in entries
        }

    def starts(self, names: Sequence[str]) -> dict[str, bytes]:
        """The first kilobytes of objects, read side by side; those that fail are left out."""
        if not names:
            return {}
        system = file_system(self.address)
        try:
            read = system.cat_ranges(
                [self.where(name) for name in names],
                [0] * len(names),
                [_START_BYTES] * len(names),
                on_error="return",
            )
        except Exception as error:
            raise unreachable(self.address, error) from None
        pairs = zip(names, read, strict=True)
        return {name: bytes(start) for name, start in pairs if not isinstance(start, Exception)}

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""
        system = file_system(self.address)
        try:
            system.invalidate_cache()
            return bool(system.isfile(self.where(name)))
        except Exception as error:
            raise unreachable(self.where(name), error) from None

    def read(self, name: str) -> bytes:
        """The content of an object. Raises VepeError where it is too large for a document."""
        system, address = file_system(self.address), self.where(name)
        try:
            system.invalidate_cache()
            check_document_size(system.size(address) or 0, address)
            return bytes(system.cat_file(address))
        except VepeError:
            raise
        except Exception as error:
            raise unreachable(address, error) from None

    def write(self, name: str, content: bytes) -> None:
        """Writes an object, in place of one of that name."""
        self._write(name, lambda system, address: system.pipe_file(address, content))

    def put(self, path: Path, name: str) -> None:
        """Uploads a file, or a folder in place of one of that name."""
        if not path.is_dir():
            self._write(name, lambda system, address: system.put_file(str(path), address))
            return
        self.remove(name)
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            self.put(file, f"{name}/{file.relative_to(path).as_posix()}")

    def remove(self, name: str) -> None:
        """Removes an object, or all of a folder; nothing where there is none."""
        system, address = file_system(self.address), self.where(name)
        try:
            system.invalidate_cache()
            if system.exists(address):
                system.rm(address, recursive=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise _unwritable(address, error) from None

    def publish(self, paths: Iterable[Path], last: str, key: str) -> None:
        """Uploads the files of a result from a local folder.

        Where there are several, a JSON file without poses that says so comes first: it takes the
        place of one of another run, which must not stand next to these files, and after a loss
        `vepe track --resume` sees by it whose they are.

        Args:
            paths: files and folders.
            last: name of the JSON file among them.
            key: of the result, see `RunInfo.key`.
        """
        paths = sorted(paths, key=lambda path: path.name == last)
        if len(paths) > 1:
            self.write(last, _unfinished(key))
        for path in paths:
            self.put(path, path.name)

    def _write(self, name: str, write: Any) -> None:
        address = self.where(name)
        try:
            write(file_system(self.address), address)
        except VepeError:
            raise
        except Exception as error:
            raise _unwritable(address, error) from None


def _unfinished(key: str) -> bytes:
    """The JSON file of a result of that key whose other files are not all there yet."""
    info = {"key": key, "complete": False, "files": {}}
    return json.dumps({"info": info, "images": [], "annotations": [], "categories": []}).encode()


def _unwritable(address: str, error: Exception) -> VepeError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return VepeError(
        f"'{address}' cannot be written ({type(error).__name__}: {reason[:200]}); check the "
        "address, the rights and the network."
    )
