"""What s3:// addresses reach in tests: fsspec's memory, or a server of S3 on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

SERVER = all(find_spec(name) is not None for name in ("moto", "flask", "flask_cors", "s3fs"))
KINDS = (
    "memory",
    pytest.param(
        "server", marks=pytest.mark.skipif(not SERVER, reason="needs moto[server] and s3fs")
    ),
)
"""Parameters of tests that run with each of them."""


@contextmanager
def s3(kind: str) -> Iterator[Any]:
    """A file system of fsspec with an empty bucket, `s3://bucket`."""
    with s3_in_memory() if kind == "memory" else s3_server() as system:
        system.mkdir("bucket")
        yield system


@contextmanager
def s3_in_memory() -> Iterator[Any]:
    """What s3:// addresses reach in this process; empty at the beginning."""
    from fsspec.implementations.memory import MemoryFileSystem

    class Store(MemoryFileSystem):
        protocol = "s3"
        store: dict = {}  # noqa: RUF012 - fsspec's own
        pseudo_dirs = [""]  # noqa: RUF012

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return super()._strip_protocol(str(path).removeprefix("s3://"))

    registry = import_module("fsspec.registry")._registry
    before = registry.get("s3")
    registry["s3"] = Store
    try:
        yield Store(skip_instance_cache=True)
    finally:
        registry.pop("s3")
        if before is not None:
            registry["s3"] = before


@contextmanager
def s3_server() -> Iterator[Any]:
    """The same from moto, over HTTP, also for processes that are started meanwhile."""
    import urllib.request

    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", data=b"").close()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    system.clear_instance_cache()  # they hold the address of an earlier server
    try:
        yield system
    finally:
        system.clear_instance_cache()
        server.stop()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
