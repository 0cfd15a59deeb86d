"""Origins, sites and Location values as browsers read them."""

from __future__ import annotations

import pytest

from corscope import origins
from corscope.origins import (
    Target,
    ascii_host,
    host_of,
    is_potentially_trustworthy,
    is_valid_url,
    parse_location,
    serialize_origin,
    site,
)


@pytest.mark.parametrize(
    ("scheme", "host", "port", "origin"),
    [
        pytest.param("https", "a.test", 443, b"https://a.test", id="https without its default port"),
        pytest.param("http", "a.test", 80, b"http://a.test", id="http without its default port"),
        pytest.param("https", "a.test", None, b"https://a.test", id="no port"),
        pytest.param("https", "a.test", 80, b"https://a.test:80", id="the other scheme's default port stays"),
        pytest.param("http", "a.test", 443, b"http://a.test:443", id="and the other way round"),
        pytest.param("http", "localhost", 8080, b"http://localhost:8080", id="any other port stays"),
        pytest.param("https", "A.Test", 443, b"https://a.test", id="hosts are lower case"),
        pytest.param("https", "bücher.test", 443, b"https://xn--bcher-kva.test", id="international names in ASCII"),
        pytest.param("https", "xn--bcher-kva.test", 443, b"https://xn--bcher-kva.test", id="ASCII names stay"),
        pytest.param("http", "::1", 8000, b"http://[::1]:8000", id="IPv6 in brackets"),
        pytest.param("http", "[::1]", 80, b"http://[::1]", id="brackets are not doubled"),
    ],
)
def test_serialize_origin(scheme: str, host: str, port: int | None, origin: bytes) -> None:
    assert serialize_origin(scheme, host, port) == origin


@pytest.mark.parametrize(
    ("host", "ascii_name"),
    [
        ("a.test", "a.test"),
        ("BÜCHER.test", "xn--bcher-kva.test"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("ü" * 70 + ".test", "ü" * 70 + ".test"),
        ("", ""),
    ],
)
def test_ascii_host(host: str, ascii_name: str) -> None:
    assert ascii_host(host) == ascii_name


BASE = "https://b.test/dir/page?old=1"


@pytest.mark.parametrize(
    ("location", "url", "origin"),
    [
        pytest.param("https://c.test/x", "https://c.test/x", b"https://c.test", id="an absolute URL"),
        pytest.param("https://c.test", "https://c.test/", b"https://c.test", id="an empty path is a slash"),
        pytest.param(
            "https://C.Test:443/X", "https://c.test/X", b"https://c.test", id="host lower case, default port gone"
        ),
        pytest.param("https://c.test:8443/", "https://c.test:8443/", b"https://c.test:8443", id="another port stays"),
        pytest.param("http://c.test:443/", "http://c.test:443/", b"http://c.test:443", id="443 is not http's port"),
        pytest.param("/x", "https://b.test/x", b"https://b.test", id="an absolute path"),
        pytest.param("x", "https://b.test/dir/x", b"https://b.test", id="a relative path"),
        pytest.param("../x", "https://b.test/x", b"https://b.test", id="a parent"),
        pytest.param("?new=2", "https://b.test/dir/page?new=2", b"https://b.test", id="a query alone"),
        pytest.param("", BASE, b"https://b.test", id="nothing leads to the page itself"),
        pytest.param("//c.test/x", "https://c.test/x", b"https://c.test", id="another host in the same scheme"),
        pytest.param(
            "https:x", "https://b.test/dir/x", b"https://b.test", id="the same scheme without slashes is relative"
        ),
        pytest.param("http:c.test/x", "http://c.test/x", b"http://c.test", id="another one without slashes is not"),
        pytest.param("https:///c.test/x", "https://c.test/x", b"https://c.test", id="slashes too many"),
        pytest.param("/a/%2e%2E/b/.", "https://b.test/b/", b"https://b.test", id="escaped dots are dots"),
        pytest.param("./x:y", "https://b.test/dir/x:y", b"https://b.test", id="unless a path begins before it"),
        pytest.param("https://c.test/x#part", "https://c.test/x", b"https://c.test", id="fragments never travel"),
        pytest.param(" https://c.test/x\t", "https://c.test/x", b"https://c.test", id="whitespace around is dropped"),
        pytest.param("https://c.te\nst/x", "https://c.test/x", b"https://c.test", id="line breaks inside are dropped"),
        pytest.param("\\\\c.test\\x", "https://c.test/x", b"https://c.test", id="backslashes are slashes"),
        pytest.param("/x?a\\b", "https://b.test/x?a\\b", b"https://b.test", id="except in a query"),
        pytest.param(
            "https://c.test/a b?c d", "https://c.test/a%20b?c%20d", b"https://c.test", id="spaces are escaped"
        ),
        pytest.param("https://c.test/%41", "https://c.test/%41", b"https://c.test", id="what is escaped stays escaped"),
        pytest.param(
            "https://c.test/{a}?{b}", "https://c.test/%7Ba%7D?{b}", b"https://c.test", id="braces only in a path"
        ),
        pytest.param("https://c.test/?a='", "https://c.test/?a=%27", b"https://c.test", id="a quote in a query"),
        pytest.param("https://c.test/a/./b/../c", "https://c.test/a/c", b"https://c.test", id="dots are resolved"),
        pytest.param(
            "https://b.test//c.test/x", "https://b.test//c.test/x", b"https://b.test", id="an empty first segment"
        ),
        pytest.param(
            "https://b.test//[", "https://b.test//[", b"https://b.test", id="a bracket after an empty segment"
        ),
        pytest.param(
            "https://b\xc3\xbccher.test/",
            "https://xn--bcher-kva.test/",
            b"https://xn--bcher-kva.test",
            id="a name in UTF-8",
        ),
        pytest.param(
            "https://c.test/\xc3\xbc",
            "https://c.test/%C3%BC",
            b"https://c.test",
            id="UTF-8 bytes are escaped as they are",
        ),
        pytest.param(
            "https://c.test/\xfc", "https://c.test/%FC", b"https://c.test", id="and so are bytes that are none"
        ),
        pytest.param("http://[::1]:80/", "http://[::1]/", b"http://[::1]", id="an IPv6 address"),
        pytest.param("https://c.test/x?", "https://c.test/x?", b"https://c.test", id="an empty query stays"),
        pytest.param("https://c.test?#x", "https://c.test/?", b"https://c.test", id="an empty query before a fragment"),
    ],
)
def test_parse_location(location: str, url: str, origin: bytes) -> None:
    target = parse_location(BASE, location)
    assert target is not None
    assert (target.url, target.origin, target.has_credentials) == (url, origin, False)


@pytest.mark.parametrize("base", [BASE, "https://b.test:8443/dir/page?q", "http://127.0.0.1/", "https://b.test"])
@pytest.mark.parametrize("begins", ["", "https://c.test", "http://a.b-c.test:8080", "http://c.test:80", "//c.test"])
@pytest.mark.parametrize(
    "ends",
    [
        "/",
        "/x/y.z;v=1,2/~u/(a)'b'",
        "/x?next=%2Fhome&a=b:c@d/",
        "/x?",
        "/./x/../y",
        "/x/.",
        "/.well-known/x",
        "/x#part",
        "/%2e%2e/x",
        "//x",
        "/x y",
    ],
)
def test_most_locations_need_no_parser_and_are_read_as_it_reads_them(base: str, begins: str, ends: str) -> None:
    assert parse_location(base, begins + ends) == origins._parse_location(base, begins + ends)


def test_a_plain_location_needs_no_parser() -> None:
    for location in ("/x/y.z?next=%2F", "https://c.test:8080/x"):
        origins._parse_location.cache_clear()
        assert parse_location(BASE, location) is not None
        assert origins._parse_location.cache_info().misses == 0


@pytest.mark.parametrize(
    "location",
    ["https://u:p@c.test/x", "https://u@c.test/x", "https://:p@c.test/x", "//u:p@c.test/x", "https://u:p@x@c.test/x"],
)
def test_a_location_with_user_info_says_so_and_drops_it(location: str) -> None:
    assert parse_location(BASE, location) == Target("https://c.test/x", "https", b"https://c.test", True)


@pytest.mark.parametrize(
    ("location", "scheme"),
    [
        pytest.param("data:text/plain,hi", "data", id="data"),
        pytest.param("JavaScript:alert(1)", "javascript", id="javascript, in any case"),
        pytest.param("ftp://c.test/", "ftp", id="ftp"),
        pytest.param("myapp://callback?x", "myapp", id="an application's own"),
        pytest.param("about:blank", "about", id="about"),
    ],
)
def test_other_schemes_have_no_origin(location: str, scheme: str) -> None:
    target = parse_location(BASE, location)
    assert target is not None
    assert (target.scheme, target.origin, target.has_credentials) == (scheme, b"null", False)


@pytest.mark.parametrize(
    "location",
    [
        "https://",
        "http://[::1",
        "https://c.test:port/",
        "https://c.test:99999/",
        "https://:443/",
        "https://u:p@/x",
        "https://\xff/",
    ],
)
def test_what_is_no_url_leads_nowhere(location: str) -> None:
    assert parse_location(BASE, location) is None


def test_a_path_that_is_not_utf8_does_no_harm() -> None:
    for path, shown in (("\udcff", "%FF"), ("\ud800", "%EF%BF%BD"), ("\udc7f-\udd00", "%EF%BF%BD-%EF%BF%BD")):
        target = parse_location(f"https://b.test/{path}", "?x")
        assert target is not None
        assert target.url == f"https://b.test/{shown}?x"


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        pytest.param(b"https://a.test", True, id="an origin"),
        pytest.param(b"https://a.test/", True, id="a URL is valid, though no origin"),
        pytest.param(b"https://*.a.test", True, id="a pattern"),
        pytest.param(b"localhost:3000", True, id="a host and a port read as a scheme"),
        pytest.param(b"file://", True, id="a file"),
        pytest.param(b"a.test", False, id="a name"),
        pytest.param(b"", False, id="nothing"),
        pytest.param(b'"*"', False, id="a quoted star"),
        pytest.param(b"//a.test", False, id="no scheme"),
        pytest.param(b"https://", False, id="no host"),
        pytest.param(b"https://a.test:port", False, id="a port that is no number"),
        pytest.param(b"https://a.test:99999", False, id="a port that is too large"),
        pytest.param(b"*\x0c", False, id="a star and a form feed"),
        pytest.param(b"https://a<b", False, id="a character that no host has"),
        pytest.param(b"https://\xff", False, id="bytes that are no UTF-8"),
        pytest.param(b"http://127.0.0.1:8080", True, id="an address"),
        pytest.param(b"http://127.1", True, id="an address in two parts"),
        pytest.param(b"http://192.168.257.", True, id="one in three, with a dot behind"),
        pytest.param(b"http://0x7f.0.0.01", True, id="one in hexadecimal and octal"),
        pytest.param(b"http://4294967295", True, id="the largest one"),
        pytest.param(b"http://4294967296", False, id="a larger one"),
        pytest.param(b"http://*.0.0.1:8080", False, id="a pattern of addresses"),
        pytest.param(b"http://256.0.0.1", False, id="a part that is too large"),
        pytest.param(b"http://1.2.3.4.5", False, id="a part too many"),
        pytest.param(b"http://1.2.3.09", False, id="no octal number"),
        pytest.param(b"http://a.test.1", False, id="a name that ends in a number"),
        pytest.param(b"http://a.0x1", False, id="one in hexadecimal"),
        pytest.param(b"http://1.a.test", True, id="a name that begins with one"),
        pytest.param(b"http://[::1]:8080", True, id="an address of the other kind"),
        pytest.param(b"https://a.test\\x", True, id="a backslash, which is a slash"),
        pytest.param(b"https:\\\\a.test", True, id="two of them"),
        pytest.param(b"htt\tps://a.test", True, id="a tab within, which is passed over"),
        pytest.param(b"https://a.test\x01", True, id="a control character behind, likewise"),
    ],
)
def test_is_valid_url(value: bytes, valid: bool) -> None:
    assert is_valid_url(value) is valid


@pytest.mark.parametrize(
    ("origin", "host", "where"),
    [
        (b"https://www.a.test", "www.a.test", "https://a.test"),
        (b"https://x.y.a.test:8443", "x.y.a.test", "https://a.test"),
        (b"http://a.test", "a.test", "http://a.test"),
        (b"http://localhost:3000", "localhost", "http://localhost"),
        (b"http://127.0.0.1:3000", "127.0.0.1", "http://127.0.0.1"),
        (b"http://[::1]:3000", "::1", "http://::1"),
    ],
)
def test_host_and_site(origin: bytes, host: str, where: str) -> None:
    assert host_of(origin) == host
    assert site(origin) == where


def test_sites_differ_by_scheme() -> None:
    assert site(b"http://a.test") != site(b"https://a.test")


@pytest.mark.parametrize(
    ("scheme", "host", "trustworthy"),
    [
        ("https", "b.test", True),
        ("wss", "b.test", True),
        ("http", "b.test", False),
        ("http", "localhost", True),
        ("http", "api.localhost", True),
        ("http", "127.0.0.1", True),
        ("http", "127.1.2.3", True),
        ("http", "::1", True),
        ("http", "127.0.0.1.b.test", False),
        ("http", "notlocalhost", False),
        ("http", "128.0.0.1", False),
    ],
)
def test_is_potentially_trustworthy(scheme: str, host: str, trustworthy: bool) -> None:
    assert is_potentially_trustworthy(scheme, host) is trustworthy
