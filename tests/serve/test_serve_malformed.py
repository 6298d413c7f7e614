"""Some hundred wrong requests: no error of the server, no leak, and it still works."""

from __future__ import annotations

import contextlib
from pathlib import Path

from malformed_requests import Judgement, Malformed, exchange, secrets_of
from running_server import Running

from vepe.client import ServerError


def test_malformed_requests(server: Running, clip: Path, photo: Path) -> None:
    client, data = server.client, server.settings.data
    before = set(data.parent.iterdir())
    kept = client.wait(client.submit(clip, imgsz=64).id, timeout_s=60)
    source = Malformed(17, server.port, kept.id, clip.read_bytes(), photo.read_bytes())
    judgement = Judgement()
    for kind, request in source.requests(320):
        answer = exchange(server.port, request)
        judgement.add(kind, request, answer, secrets_of(data))
        while judgement.jobs:
            with contextlib.suppress(ServerError):  # ended by a DELETE among the requests
                client.cancel(judgement.jobs.pop())
    assert judgement.wrong == []
    assert judgement.statuses.total() == 320
    assert {400, 404, 415, 422} <= set(judgement.statuses)
    assert client.healthy()
    assert client.job(kept.id).status == "done"
    assert client.wait(client.submit(clip, imgsz=64).id, timeout_s=60).frames == 6
    assert list((data / "incoming").iterdir()) == []
    assert set(data.parent.iterdir()) == before
