"""What an uploaded file is, by its first bytes: the only kinds that a decoder gets to see.

Playlists and lists of files (HLS, DASH, concat, SDP) are not among them: libav would open the files
and addresses that they name, which are the client's choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vepe.errors import VepeError

HEADER_BYTES = 4096


@dataclass(frozen=True)
class MediaKind:
    """A kind of file.

    Attributes:
        suffix: of the stored file.
        media_type: of HTTP responses.
        demuxers: names of libav's demuxers that may read it; none for images.
        playable: whether browsers play the container, given a codec that they know.
    """

    suffix: str
    media_type: str
    demuxers: frozenset[str] = frozenset()
    playable: bool = False

    @property
    def is_image(self) -> bool:
        return not self.demuxers


_MOV = frozenset({"mov,mp4,m4a,3gp,3g2,mj2"})
_MATROSKA = frozenset({"matroska,webm"})

MP4 = MediaKind(".mp4", "video/mp4", _MOV, playable=True)
QUICKTIME = MediaKind(".mov", "video/quicktime", _MOV)
MKV = MediaKind(".mkv", "video/x-matroska", _MATROSKA)
WEBM = MediaKind(".webm", "video/webm", _MATROSKA, playable=True)
AVI = MediaKind(".avi", "video/x-msvideo", frozenset({"avi"}))
FLV = MediaKind(".flv", "video/x-flv", frozenset({"flv"}))
OGG = MediaKind(".ogv", "video/ogg", frozenset({"ogg"}))
MPEG_PS = MediaKind(".mpg", "video/mpeg", frozenset({"mpeg"}))
MPEG_TS = MediaKind(".ts", "video/mp2t", frozenset({"mpegts"}))
ASF = MediaKind(".wmv", "video/x-ms-wmv", frozenset({"asf"}))
JPEG = MediaKind(".jpg", "image/jpeg")
PNG = MediaKind(".png", "image/png")
GIF = MediaKind(".gif", "image/gif")
WEBP = MediaKind(".webp", "image/webp")
BMP = MediaKind(".bmp", "image/bmp")

_ATOMS = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
_STARTS = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"BM", BMP),
    (b"FLV\x01", FLV),
    (b"OggS", OGG),
    (b"\x00\x00\x01\xba", MPEG_PS),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ASF),
)
_TS_PACKET = 188
_KINDS = (
    MP4,
    QUICKTIME,
    MKV,
    WEBM,
    AVI,
    FLV,
    OGG,
    MPEG_PS,
    MPEG_TS,
    ASF,
    JPEG,
    PNG,
    GIF,
    WEBP,
    BMP,
)
BY_SUFFIX = {kind.suffix: kind for kind in _KINDS}


def kind_of_bytes(head: bytes) -> MediaKind | None:
    """The kind of a file that begins with these bytes (`HEADER_BYTES` of them), or None."""
    if head[4:8] in _ATOMS:
        return QUICKTIME if head[4:8] != b"ftyp" or head[8:12] == b"qt  " else MP4
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return WEBM if b"webm" in head[:64] else MKV
    if head.startswith(b"RIFF"):
        return {b"AVI ": AVI, b"WEBP": WEBP}.get(head[8:12])
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    syncs = head[::_TS_PACKET][:4]
    return MPEG_TS if len(syncs) == 4 and set(syncs) == {0x47} else None


def kind_of_file(path: Path, name: str) -> MediaKind:
    """The kind of a stored file. Raises VepeError where it is none that is taken."""
    with path.open("rb") as file:
        kind = kind_of_bytes(file.read(HEADER_BYTES))
    if kind is None:
        raise VepeError(
            f"'{name}' is neither a video nor an image that is known here; send MP4, MOV, MKV, "
            "WebM, AVI, MPEG, JPEG, PNG, WebP or GIF."
        )
    return kind
