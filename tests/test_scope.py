"""Which origins `cors_allow_origins` lets in, and what it says of entries that are none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corscope.public_suffixes import spans_public_suffix
from corscope.scope import AllowedOrigins, OriginPatternError, parse_allowed_origins, parse_origin


def allowed(*entries: str) -> AllowedOrigins:
    return parse_allowed_origins(entries, spans_public_suffix)


@pytest.mark.parametrize(
    ("entry", "origin", "inside"),
    [
        ("https://app.example", b"https://app.example", True),
        ("https://app.example", b"https://app.example:8443", False),
        ("https://app.example", b"http://app.example", False),
        ("https://app.example", b"https://app.example.evil.test", False),
        ("https://app.example", b"https://app.example/", False),
        ("HTTPS://App.Example", b"https://app.example", True),
        ("https://b\xfccher.example", b"https://xn--bcher-kva.example", True),
        ("http://localhost:3000", b"http://localhost:3000", True),
        ("http://[::1]:3000", b"http://[::1]:3000", True),
        ("capacitor://localhost", b"capacitor://localhost", True),
        ("https://*.example.com", b"https://a.example.com", True),
        ("https://*.example.com", b"https://a.b.example.com", True),
        ("https://*.example.com", b"https://example.com", False),
        ("https://*.example.com", b"https://.example.com", False),
        ("https://*.example.com", b"https://evilexample.com", False),
        ("https://*.example.com", b"https://a.example.com:444", False),
        ("https://*.example.com", b"http://a.example.com", False),
        ("https://*.example.com", b"https://a.example.com.evil.test", False),
        ("https://*.example.com", b"https://evil.test/.example.com", False),
        ("https://*.example.com:8443", b"https://a.example.com:8443", True),
        ("http://*.localhost", b"http://app.localhost", True),
        ("http://*.localhost", b"http://localhost", False),
        (r"~https://app\d+\.example", b"https://app12.example", True),
        (r"~https://app\d+\.example", b"https://app12.example.evil.test", False),
        (r"~https://app\d+\.example", b"x https://app12.example", False),
        ("~https://a|https://b", b"https://b.evil.test", False),
        ("null", b"null", True),
        ("https://app.example", b"null", False),
        ("*", b"https://anything.test", True),
        ("*", b"null", True),
    ],
)
def test_what_an_entry_lets_in(entry: str, origin: bytes, inside: bool) -> None:
    assert allowed(entry).allows(origin) is inside


def test_entries_may_be_listed_in_one() -> None:
    found = allowed("https://a.example, https://b.example null", "~https://c, d")
    assert found.exact == {b"https://a.example", b"https://b.example", b"null"}
    assert found.allows(b"https://c, d")
    assert not allowed("", " , ")


@pytest.mark.parametrize(
    ("entry", "write"),
    [
        ("https://app.example/", "https://app.example"),
        ("https://app.example/api", "https://app.example"),
        ("https://app.example?x", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80/", "http://app.example"),
        ("app.example", "https://app.example"),
        ("app.example/", "https://app.example"),
        ("localhost:3000", "http://localhost:3000"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("https://user@app.example", "https://app.example"),
        ("https:/app.example", "https://app.example"),
        ("https:app.example:8443", "https://app.example:8443"),
        ("https://app.example:", "https://app.example"),
        ("http://127.1:3000", "http://127.0.0.1:3000"),
        ("http://0x7f000001", "http://127.0.0.1"),
        ("http://0177.0.0.1", "http://127.0.0.1"),
        ("http://2130706433", "http://127.0.0.1"),
        ("http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000"),
        ("http://[2001:db8::0:1]", "http://[2001:db8::1]"),
        ("*.com", "https://*.example.com"),
        ("*.example.com", "https://*.example.com"),
        ("https://*.example.com/", "https://*.example.com"),
        ("https://*.example.com:443", "https://*.example.com"),
        ("https://*.com", "https://*.example.com"),
        ("https://*.co.uk", "https://*.example.co.uk"),
        ("https://*.github.io", "https://*.example.github.io"),
        ("https://*.ck", "https://*.example.ck"),
        ("https://*.ngrok-free.app", "https://*.example.ngrok-free.app"),
        ("https://*.up.railway.app", "https://*.example.up.railway.app"),
        ("https://*.kawasaki.jp", "https://*.example.kawasaki.jp"),
        ("https://*.compute.amazonaws.com", "https://*.example.compute.amazonaws.com"),
        ("https://*.amazonaws.com", "https://*.example.amazonaws.com"),
        ("https://*.co.uk.", "https://*.example.co.uk."),
        ("https://stra\xdfe.example", "punycode"),
        ("~", r"~https://app[0-9]+\.example\.com"),
        ("https://*.10.0.0.1", "https://10.0.0.1"),
        ("https://*", "https://*.example.com"),
        ("https://app-*.example.com", r"~https://app-[a-z]+\.example\.com"),
        ("https://*.*.example.com", "https://*.example.com"),
        ("~https://(", r"~https://app[0-9]+\.example\.com"),
        ("https://", "https://app.example"),
        ("https://a.example:99999", "https://app.example"),
        ("1a://b", "https://app.example"),
    ],
)
def test_an_entry_that_is_none_is_corrected(entry: str, write: str) -> None:
    with pytest.raises(OriginPatternError) as raised:
        allowed(entry)
    assert write in str(raised.value).replace(repr(entry), "")
    assert entry.partition("user@")[2] or repr(entry) in str(raised.value)


def test_a_password_is_not_repeated() -> None:
    for entry in ("https://user:s3cret@app.example", "https://user:s3cret@", "https://user:s3cret@*.a.example"):
        with pytest.raises(OriginPatternError) as raised:
            allowed(entry)
        assert "s3cret" not in str(raised.value)


@given(st.text(max_size=30) | st.from_regex(re.compile(r"(https?://)?[*a-z.]{0,6}[a-z.:/@\[\]0-9*]{0,10}")))
def test_every_entry_is_parsed_or_refused(entry: str) -> None:
    try:
        found = allowed(entry)
    except OriginPatternError:
        return
    for origin in found.exact:
        assert origin == b"null" or parse_origin(origin.decode()) == origin


@pytest.mark.parametrize(
    ("domain", "public"),
    [
        ("com", True),
        ("co.uk", True),
        ("github.io", True),
        ("example.com", False),
        ("xn--p1ai", True),
        ("foo.ck", True),
        ("www.ck", False),
        ("test", False),
        ("localhost", False),
        ("nosuchtld", True),
        ("my.nosuchtld", False),
        ("co.uk.", True),
        ("amazonaws.com", True),
        ("xn--\xff", True),
    ],
)
def test_public_suffixes(domain: str, public: bool) -> None:
    assert spans_public_suffix(domain) is public
