"""The checked readers of JSON and YAML: limits of depth, digits and size."""

from __future__ import annotations

from typing import Any

import pytest

from vepe.config.documents import MAX_DEPTH, MAX_YAML_BYTES, parse_json, parse_yaml
from vepe.errors import VepeError


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a": [1, 2.5]}', {"a": [1, 2.5]}),
        ("[1]".encode("utf-16"), [1]),
        (b"[1e999]", [float("inf")]),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
        (b"[18446744073709551616]", [2**64]),
    ],
)
def test_json_within_the_limits(raw: bytes, value: Any) -> None:
    parsed = parse_json(raw, "'x'")
    assert value is None or parsed == value


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is empty"),
        (b"[1,", "not valid JSON"),
        (b"\xff\xfe\xfd", "not text"),
        (b"[" + b"1" * 400 + b".5, " + b"1" * 400 + b"]", "too many digits"),
        (b"[" + b"1" * 5000 + b"]", "too many digits"),
        (b"[" * 65 + b"]" * 65, "nested too deeply"),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, "nested too deeply"),
        (b"[" * 200_000, "nested too deeply"),
        (b"\x1f\x8b\x08\x00", "compressed with gzip; unpack it first"),
        (b"PK\x03\x04", "compressed with zip"),
    ],
)
def test_json_beyond_the_limits_is_one_sentence(raw: bytes, message: str) -> None:
    with pytest.raises(VepeError, match=f"^'x'.*{message}"):
        parse_json(raw, "'x'")


def alias_bomb(item: str, link: str) -> str:
    """Ten levels that each name the one before ten times."""
    lines = [f"a0: &a0 {item}"]
    lines += [f"a{i}: &a{i} {link % ','.join([f'*a{i - 1}'] * 10)}" for i in range(1, 11)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!int x", "does not fit its tag"),
        ("a: !!int ''", "does not fit its tag"),
        ("a: !!bool x", "does not fit its tag"),
        ("a: !!timestamp x", "does not fit its tag"),
        ("a: !!timestamp 2020-13-45", "does not fit its tag"),
        ("a: !!python/object:os.system x", "not valid YAML"),
        ("a: 1\nb: {c: 1, c: 2}", "the key 'c' twice"),
        ("a: " + "1:" * 300 + "1.5", "does not fit its tag"),
        ("a: 0x" + "f" * 200, "too many digits"),
        ("a: " + "1" * 5000, "too many digits"),
        ("[" * 3000, "nested too deeply"),
        ("- " * 3000, "nested too deeply"),
        ("&a [*a]", "nested too deeply"),
        ("a: &a {b: *a}", "nested too deeply"),
        (alias_bomb("[x]", "[%s]"), "more than 100000 values"),
        (alias_bomb("{x: 1}", "{<<: [%s]}"), "more than 100000 values"),
        ("1: a", "the key 1 is not text; quote it"),
        ("on: a", "the key on is not text"),
        ("[a]: b", "is not text"),
        ("x" * (MAX_YAML_BYTES + 1), "more than 1 MiB"),
    ],
)
def test_yaml_beyond_the_limits_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(VepeError, match=f"^'x'.*{message}"):
        parse_yaml(text, "'x'")


def test_yaml_dates_stay_text_and_anchors_work() -> None:
    assert parse_yaml("a: 2020-13-45\nb: 2020-01-02", "'x'") == {
        "a": "2020-13-45",
        "b": "2020-01-02",
    }
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}", "'x'")["b"] == {"x": 1, "y": 2}
