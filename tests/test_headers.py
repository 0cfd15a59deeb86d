"""Header lists: combining, trimming, tokens."""

from __future__ import annotations

import pytest

from builders import fields
from corscope.headers import Names, extract_tokens, get, get_all, is_token, names, normalize, pick, text

NAME = b"access-control-allow-origin"


@pytest.mark.parametrize(
    ("lines", "combined"),
    [
        pytest.param([], None, id="an absent header has no value, which is not an empty value"),
        pytest.param([("Access-Control-Allow-Origin", "")], b"", id="an empty header has an empty value"),
        pytest.param([("ACCESS-control-ALLOW-origin", "*")], b"*", id="names are compared without their case"),
        pytest.param(
            [("Access-Control-Allow-Origin", "HTTPS://A.test")], b"HTTPS://A.test", id="values keep their case"
        ),
        pytest.param([("Access-Control-Allow-Origin", " \t*\r\n ")], b"*", id="HTTP whitespace around a value goes"),
        pytest.param([("Access-Control-Allow-Origin", "*\x0c")], b"*\x0c", id="a form feed is no HTTP whitespace"),
        pytest.param([("Access-Control-Allow-Origin", "\x0b*")], b"\x0b*", id="a vertical tab is no HTTP whitespace"),
        pytest.param([("Access-Control-Allow-Origin", "a  b")], b"a  b", id="whitespace inside a value stays"),
        pytest.param(
            [("Access-Control-Allow-Origin", "*"), ("X", "y"), ("access-control-allow-origin", "*")],
            b"*, *",
            id="repeated lines are joined with comma and space",
        ),
        pytest.param(
            [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Origin", "")],
            b"*, ",
            id="an empty line counts, and the joined value is not trimmed again",
        ),
        pytest.param(
            [("Access-Control-Allow-Origin", " a "), ("Access-Control-Allow-Origin", " b ")],
            b"a, b",
            id="each line is trimmed before they are joined, in the order of the wire",
        ),
        pytest.param([("Access-Control-Allow-Origin ", "*")], None, id="a space before the colon makes another name"),
    ],
)
def test_get(lines: list[tuple[str, str]], combined: bytes | None) -> None:
    assert get(fields(lines), NAME) == combined


def test_pick_takes_only_what_was_asked_for() -> None:
    lines = fields([("Vary", "Origin"), ("X-A", "1"), ("vary", "Accept"), ("Content-Type", "text/html")])
    assert pick(lines, Names((b"vary", b"content-type", b"etag"))) == {
        b"vary": b"Origin, Accept",
        b"content-type": b"text/html",
    }


def test_get_all_keeps_lines_apart() -> None:
    lines = fields([("Set-Cookie", " a=1 "), ("set-cookie", ""), ("X", "y")])
    assert get_all(lines, b"set-cookie") == [b"a=1", b""]


def test_names_come_in_lower_case_as_often_as_they_occur() -> None:
    assert list(names(fields([("A", "1"), ("b", "2"), ("a", "3")]))) == [b"a", b"b", b"a"]


@pytest.mark.parametrize(
    ("value", "members"),
    [
        pytest.param(None, (), id="an absent list is empty"),
        pytest.param(b"", (), id="an empty list is empty"),
        pytest.param(b"PUT", (b"PUT",), id="one member"),
        pytest.param(b"PUT,DELETE", (b"PUT", b"DELETE"), id="no space is needed"),
        pytest.param(b",PUT,, ,\tDELETE ,", (b"PUT", b"DELETE"), id="empty members are skipped"),
        pytest.param(b"PUT,\r\n DELETE", (b"PUT", b"DELETE"), id="a folded line is one with a space"),
        pytest.param(b"PUT\r\n DELETE", None, id="which separates nothing"),
        pytest.param(b"put", (b"put",), id="members keep their case"),
        pytest.param(b"*", (b"*",), id="a star is a token"),
        pytest.param(b"x-a, *", (b"x-a", b"*"), id="a star among others"),
        pytest.param(b"!#$%&'*+-.^_`|~09azAZ", (b"!#$%&'*+-.^_`|~09azAZ",), id="every character of a token"),
        pytest.param(b"PUT DELETE", None, id="a space separates nothing"),
        pytest.param(b"PUT;DELETE", None, id="a semicolon separates nothing"),
        pytest.param(b"x-a, b@d", None, id="one bad member fails the whole list"),
        pytest.param(b'"PUT"', None, id="quotes are not part of a token"),
        pytest.param(b"PUT\x00", None, id="a control byte is not part of a token"),
        pytest.param(b"x-\xe4", None, id="a byte above ASCII is not part of a token"),
    ],
)
def test_extract_tokens(value: bytes | None, members: tuple[bytes, ...] | None) -> None:
    assert extract_tokens(value) == members


def test_an_empty_value_is_no_token() -> None:
    assert not is_token(b"")


@pytest.mark.parametrize(
    ("value", "trimmed"),
    [(b"\t\r\n a \n\r\t", b"a"), (b"", b""), (b" \t ", b""), (b"\x00a\x00", b"\x00a\x00"), (b"\xa0a", b"\xa0a")],
)
def test_normalize_strips_http_whitespace_only(value: bytes, trimmed: bytes) -> None:
    assert normalize(value) == trimmed


def test_text_loses_no_byte() -> None:
    every = bytes(range(256))
    assert text(every).encode("latin-1") == every
