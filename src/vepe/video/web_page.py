"""Pages of YouTube and other sites, whose videos yt-dlp finds; an optional package."""

from __future__ import annotations

import logging
import re
from urllib.parse import parse_qs, urlsplit

from vepe.errors import VepeError, missing_extra

_HOSTS = re.compile(
    r"(^|\.)(youtube\.com|youtu\.be|youtube-nocookie\.com|vimeo\.com|dailymotion\.com|twitch\.tv)$"
)
_FORMAT = (
    "bestvideo[protocol^=http][height<=1080][vcodec^=avc1]/bestvideo[protocol^=http][height<=1080]"
    "/best[protocol^=http]/best"
)
"""One stream that libav reads from its address; H.264 first, which decodes fastest."""


def is_page(url: str) -> bool:
    """Whether an address is a page of a video site rather than a video."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(_HOSTS.search((parts.hostname or "").lower()))


def page_name(url: str) -> str | None:
    """A name for the results of a page: site and id of the video; None where it is no page."""
    if not is_page(url):
        return None
    parts = urlsplit(url)
    video = parse_qs(parts.query).get("v", [parts.path.rstrip("/").rpartition("/")[2]])[0]
    labels = (parts.hostname or "").lower().split(".")
    site = "youtube" if any("youtu" in label for label in labels) else labels[-2]
    return f"{site}_{video}" if video else site


def media_address(url: str) -> str:
    """The address of the video itself, which sites change every few hours.

    Raises:
        VepeError: if yt-dlp is not installed, or finds no video.
    """
    try:
        import yt_dlp
    except ImportError:
        raise missing_extra(f"'{url}'", "yt-dlp", "youtube") from None
    silent = logging.Logger("yt-dlp")  # its message becomes part of ours
    silent.addHandler(logging.NullHandler())
    options = {"format": _FORMAT, "quiet": True, "noplaylist": True, "logger": silent}
    try:
        with yt_dlp.YoutubeDL(options) as site:
            entry = site.extract_info(url, download=False)
    except yt_dlp.utils.DownloadError as error:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split("\n")[0]
        reason = re.sub(r"^\W*ERROR:\s*(\[[\w:]+\]\s*)?", "", plain).rstrip(". ")
        raise VepeError(
            f"'{url}' gives no video ({reason}); check the address and the network, or update "
            "yt-dlp: sites change often."
        ) from None
    address = (entry or {}).get("url")
    if not address:
        raise VepeError(f"'{url}' is no page of one video; give the address of a single video.")
    return str(address)
