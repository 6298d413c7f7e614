"""All kinds of faults, and how many of a thousand cases each gets."""

from __future__ import annotations

from campaign import Kind
from claims import claims, memory
from determinism import determinism
from hostile import hostile
from interruptions import disk, signals
from pairs import pairs
from ray_runs import ray
from readers import documents, media, settings
from servers import servers
from serving import serve

KINDS: dict[str, Kind] = {
    "media": media,
    "documents": documents,
    "settings": settings,
    "hostile": hostile,
    "signals": signals,
    "disk": disk,
    "pairs": pairs,
    "servers": servers,
    "claims": claims,
    "memory": memory,
    "serve": serve,
    "ray": ray,
    "determinism": determinism,
}
PACKAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "serve": ("serve", ("fastapi", "uvicorn", "python_multipart", "websockets")),
    "ray": ("cluster", ("ray",)),
}
"""Kinds that need the packages of an extra: its name, and the packages."""
SHARES: dict[str, int] = {
    "media": 180,
    "documents": 300,
    "settings": 80,
    "hostile": 110,
    "signals": 110,
    "disk": 70,
    "pairs": 40,
    "servers": 35,
    "claims": 80,
    "memory": 20,
    "serve": 12,
    "ray": 4,
    "determinism": 15,
}
