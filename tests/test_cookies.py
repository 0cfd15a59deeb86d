"""Which cookies were seen to travel, and when their absence tells something."""

from __future__ import annotations

import pytest

from builders import fields
from corscope.cookies import (
    CAPACITY,
    COOKIES_PER_ROUTE,
    REMEMBERED_SECONDS,
    Route,
    TravelLog,
    common_directory,
    is_below,
)

ROUTE = Route(b"https://a.test", "https", "b.test", b"cross-site")


def log(path: str = "/api/x", *names: str) -> TravelLog:
    travels = TravelLog()
    travels.travelled(ROUTE, list(names or ("sid",)), path, 1000.0, "flow-1")
    return travels


@pytest.mark.parametrize(
    ("sent", "asked", "expected"),
    [
        pytest.param("/api/x", "/api/x", True, id="the same path"),
        pytest.param("/api/x?a=1", "/api/x?b=2", True, id="queries do not count"),
        pytest.param("/api/x", "/api/x/y", True, id="below it"),
        pytest.param("/api/", "/api/y", True, id="in the same directory"),
        pytest.param("/api/x", "/api/y", False, id="beside it: the cookie may be for that path alone"),
        pytest.param("/api/x", "/", False, id="above it"),
        pytest.param("/api/x", "/api/xy", False, id="a longer name"),
        pytest.param("/", "/anything", True, id="everywhere below the root"),
    ],
)
def test_where_a_cookie_is_expected(sent: str, asked: str, expected: bool) -> None:
    assert log(sent).expected(ROUTE, asked, 1001.0) == (("sid", "flow-1", False) if expected else None)


def test_two_paths_widen_to_their_directory() -> None:
    travels = log("/api/a/x")
    travels.travelled(ROUTE, ["sid"], "/api/b/y", 1001.0, "flow-2")
    assert travels.expected(ROUTE, "/api/c", 1002.0) == ("sid", "flow-2", False)
    assert travels.expected(ROUTE, "/other", 1002.0) is None


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(ROUTE._replace(origin=b"https://c.test"), id="another page"),
        pytest.param(ROUTE._replace(scheme="http"), id="another scheme"),
        pytest.param(ROUTE._replace(host="c.test"), id="another host"),
        pytest.param(ROUTE._replace(site=b"same-site"), id="another relation"),
    ],
)
def test_each_route_stands_alone(other: Route) -> None:
    assert log().expected(other, "/api/x", 1001.0) is None


@pytest.mark.parametrize(
    ("after", "expected"), [(0.0, True), (REMEMBERED_SECONDS, True), (REMEMBERED_SECONDS + 1, False), (-1.0, False)]
)
def test_cookies_are_expected_for_a_while(after: float, expected: bool) -> None:
    assert (log().expected(ROUTE, "/api/x", 1000.0 + after) is not None) is expected


@pytest.mark.parametrize(
    ("line", "forgotten"),
    [
        pytest.param("sid=; Max-Age=0", True, id="removed"),
        pytest.param("sid=", True, id="emptied"),
        pytest.param("sid", True, id="no value at all"),
        pytest.param("sid=x; Max-Age=0", True, id="expired by age"),
        pytest.param("sid=x; max-age=-1", True, id="expired by a negative age"),
        pytest.param("sid=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT", True, id="given a date"),
        pytest.param("sid=x; Max-Age=10", True, id="about to expire"),
        pytest.param("sid=x; Max-Age=3600", False, id="kept for an hour"),
        pytest.param(
            "sid=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=3600", False, id="the age wins over the date"
        ),
        pytest.param("sid=x", False, id="renewed"),
        pytest.param("sid=x; Path=/; Secure; SameSite=None", False, id="renewed with attributes"),
        pytest.param("other=; Max-Age=0", False, id="another cookie removed"),
        pytest.param("SID=; Max-Age=0", False, id="names have their case"),
    ],
)
def test_what_a_server_takes_away_is_not_expected(line: str, forgotten: bool) -> None:
    travels = log()
    travels.set_cookie("b.test", fields([("Content-Type", "text/html"), ("set-cookie", line)]))
    assert (travels.expected(ROUTE, "/api/x", 1001.0) is None) is forgotten


@pytest.mark.parametrize(
    ("host", "forgotten"),
    [
        pytest.param("b.test", True, id="the host itself"),
        pytest.param("www.b.test", True, id="a host that may share its cookies"),
        pytest.param("c.test", False, id="another site"),
    ],
)
def test_who_may_take_a_cookie_away(host: str, forgotten: bool) -> None:
    travels = log()
    travels.set_cookie(host, fields([("Set-Cookie", "sid=")]))
    assert (travels.expected(ROUTE, "/api/x", 1001.0) is None) is forgotten


def test_a_cookie_that_soon_expires_is_not_expected_although_it_travels() -> None:
    travels = TravelLog()
    travels.set_cookie("www.b.test", fields([("Set-Cookie", "sid=x; Max-Age=10")]), {"sid"})
    travels.travelled(ROUTE, ["sid"], "/api/x", 1000.0, "flow-1")
    assert travels.expected(ROUTE, "/api/x", 1001.0) is None
    travels.travelled(ROUTE, ["sid", "lasting"], "/api/x", 1001.0, "flow-2")
    assert travels.expected(ROUTE, "/api/x", 1002.0) == ("lasting", "flow-2", False)
    # Until it is set to last.
    travels.set_cookie("b.test", fields([("Set-Cookie", "sid=x")]))
    travels.travelled(ROUTE, ["sid"], "/", 1003.0, "flow-3")
    assert travels.expected(ROUTE, "/", 1004.0) == ("sid", "flow-3", True)


def test_every_set_cookie_line_counts() -> None:
    travels = log("/", "a", "b")
    travels.set_cookie("b.test", fields([("Set-Cookie", "a="), ("Set-Cookie", "b=")]))
    assert travels.expected(ROUTE, "/", 1001.0) is None


def test_an_empty_log_is_false() -> None:
    assert not TravelLog()
    assert log()


def test_the_oldest_route_is_forgotten_first() -> None:
    travels = TravelLog()
    for number in range(CAPACITY + 1):
        travels.travelled(ROUTE._replace(host=f"h{number}.test"), ["sid"], "/", 1000.0, f"flow-{number}")
    assert travels.expected(ROUTE._replace(host="h0.test"), "/", 1001.0) is None
    assert travels.expected(ROUTE._replace(host="h1.test"), "/", 1001.0) == ("sid", "flow-1", False)


def test_the_cookie_seen_longest_ago_is_forgotten_first() -> None:
    travels = log("/", "first", "second")
    travels.travelled(ROUTE, ["first"], "/", 1001.0, "flow-2")
    travels.travelled(ROUTE, [f"c{number}" for number in range(COOKIES_PER_ROUTE - 1)], "/", 1002.0, "flow-3")
    assert travels.expected(ROUTE, "/", 1003.0) == ("first", "flow-2", False)


@pytest.mark.parametrize(
    ("one", "other", "directory"),
    [
        ("/a/b", "/a/b", "/a/b"),
        ("/a/b", "/a/c", "/a/"),
        ("/a/b", "/a/bc", "/a/"),
        ("/a/b/", "/a/b/c", "/a/b/"),
        ("/a", "/b", "/"),
        ("/", "/b", "/"),
        ("", "/b", "/"),
        pytest.param("/api", "/api/x", "/api", id="a cookie for /api is all that both prove"),
        pytest.param("/api/", "/api", "/api", id="a slash may be all that differs"),
    ],
)
def test_common_directory(one: str, other: str, directory: str) -> None:
    assert common_directory(one, other) == directory
    assert common_directory(other, one) == directory


@pytest.mark.parametrize(
    ("path", "below", "inside"),
    [
        ("/a/b", "/a/b", True),
        ("/a/b/c", "/a/b", True),
        ("/a/bc", "/a/b", False),
        ("/a/b", "/a/", True),
        ("/a", "/a/", False),
        ("/x", "/", True),
    ],
)
def test_is_below(path: str, below: str, inside: bool) -> None:
    assert is_below(path, below) is inside


def test_a_cookie_that_a_server_set_is_expected_first() -> None:
    travels = log("/api/x", "theme", "sid")
    assert travels.expected(ROUTE, "/api/x", 1001.0) == ("theme", "flow-1", False)
    travels.set_cookie("www.b.test", fields([("Set-Cookie", "sid=x; Max-Age=600")]))
    assert travels.expected(ROUTE, "/api/x", 1001.0) == ("sid", "flow-1", True)
