"""Dockerfile and compose.yaml by hadolint's rules and our own; no Docker is needed."""

from __future__ import annotations

import json
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    pairs = (line.split(None, 1) for line in joined.splitlines() if line.strip())
    return [(name.upper(), value) for name, value in pairs]


DOCKERFILE = instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))


def values(name: str) -> list[str]:
    return [value for known, value in DOCKERFILE if known == name]


def last_stage() -> list[tuple[str, str]]:
    start = max(i for i, (name, _) in enumerate(DOCKERFILE) if name == "FROM")
    return DOCKERFILE[start:]


def test_base_images_have_versions() -> None:  # DL3006, DL3007
    (python,) = [value for value in values("ARG") if value.startswith("PYTHON=")]
    assert re.fullmatch(r"PYTHON=3\.\d+-slim-\w+", python)
    assert values("FROM") == ["python:${PYTHON} AS build", "python:${PYTHON}"]


def test_the_last_user_is_not_root() -> None:  # DL3002
    users = [value for name, value in last_stage() if name == "USER"]
    assert users == ["10001"]  # a number, so that Kubernetes can see that it is not root
    after = [name for name, _ in last_stage()]
    assert "RUN" not in after[after.index("USER") :]


@pytest.mark.parametrize("name", ["ADD", "MAINTAINER", "ONBUILD", "SHELL", "STOPSIGNAL"])
def test_instructions_that_are_not_used(name: str) -> None:  # DL3020, DL4000
    assert not values(name)


def test_folders_are_absolute_and_commands_lists() -> None:  # DL3000, DL3025
    assert all(value.startswith("/") for value in values("WORKDIR"))
    (entry,) = values("ENTRYPOINT")
    assert json.loads(entry)[:2] == ["vepe", "serve"]
    (health,) = values("HEALTHCHECK")
    assert json.loads(health.split("CMD ", 1)[1])[0] == "python"
    assert "/healthz" in health


def test_packages_are_pinned_and_leave_no_cache() -> None:  # DL3013, DL3042, DL3008
    installs = re.findall(r"pip install ([^&]*)", " ".join(values("RUN")))
    assert len(installs) == 2
    for install in installs:
        assert "--no-cache-dir" in install
        assert "--constraint constraints.txt" in install
    for word in ("apt", "curl", "wget", "sudo", "chmod 777"):
        assert word not in shlex.split(" ".join(values("RUN")))


def test_no_secret_is_in_the_image() -> None:
    for value in (*values("ENV"), *values("ARG")):
        assert not re.search(r"(?i)token|secret|password|key", value)


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = [rule[1:] for rule in rules if rule.startswith("!")]
    copied = []
    for value in values("COPY"):
        if not value.startswith("--from="):
            copied += value.split()[:-1]
    assert sorted(kept) == sorted(copied)
    for path in copied:
        assert (ROOT / path).exists(), path
        assert any(fnmatch(path, rule) for rule in kept)


def test_extras_and_options_exist() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in ("serve", "torch"):
        assert re.search(rf"(?m)^{extra} = \[", project)
    source = (ROOT / "src" / "vepe" / "cli" / "serve.py").read_text(encoding="utf-8")
    assert "VEPE_TOKEN" in source
    (entry,) = values("ENTRYPOINT")
    options = [word for word in json.loads(entry) if word.startswith("--")]
    assert options == ["--host", "--data"]


def test_compose_is_closed_by_default() -> None:
    document: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    services = document["services"]
    assert set(services) == {"vepe", "vepe-cuda"}
    for service in services.values():
        assert service["environment"]["VEPE_TOKEN"].startswith("${VEPE_TOKEN:?")
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["volumes"] == ["jobs:/data"]
        assert "privileged" not in service
    assert services["vepe-cuda"]["build"]["args"] == {"EXTRAS": "serve,torch"}
    assert services["vepe-cuda"]["profiles"] == ["cuda"]
    assert "jobs" in document["volumes"]
