"""Source lists of a Content-Security-Policy against where a redirect leads."""

from __future__ import annotations

import pytest

from corscope.content_security_policy import allows, connect_sources

PAGE = "https://a.test"

SOURCES = [
    # https://w3c.github.io/webappsec-csp/#match-url-to-source-expression
    ("*", "https://b.test", True),
    ("*", "http://b.test:8080", True),
    ("'none'", "https://b.test", False),
    ("", "https://b.test", False),
    ("'self'", PAGE, True),
    ("'SELF'", PAGE, True),
    ("'self'", "https://b.test", False),
    ("'self'", "https://sub.a.test", False),
    ("'self'", "https://a.test:8443", False),
    ("'self'", "http://a.test", False),
    ("'unsafe-inline'", "https://b.test", False),
    # scheme-source
    ("https:", "https://b.test", True),
    ("https:", "http://b.test", False),
    ("http:", "https://b.test", True),
    ("HTTPS:", "https://b.test", True),
    ("wss:", "https://b.test", True),
    ("wss:", "http://b.test", False),
    ("ws:", "http://b.test", True),
    ("data:", "https://b.test", False),
    # host-source
    ("https://b.test", "https://b.test", True),
    ("https://B.Test", "https://b.test", True),
    ("https://b.test", "http://b.test", False),
    ("http://b.test", "https://b.test", True),
    ("https://b.test", "https://sub.b.test", False),
    ("https://b.test", "https://b.test.evil.com", False),
    ("b.test", "https://b.test", True),
    ("b.test", "http://b.test", False),
    ("localhost:*", "https://localhost:3000", True),
    ("b.test:8443", "https://b.test:8443", True),
    ("b.test:8443", "https://b.test", False),
    ("b.test", "https://b.test:8443", False),
    ("https://b.test:443", "https://b.test", True),
    ("http://b.test:80", "https://b.test", True),
    ("http://b.test:80", "http://b.test", True),
    ("https://b.test:*", "https://b.test:8443", True),
    ("https://*.b.test", "https://sub.b.test", True),
    ("https://*.b.test", "https://deep.sub.b.test", True),
    ("https://*.b.test", "https://b.test", False),
    ("https://*.b.test", "https://evil-b.test", False),
    ("https://*.b.test:*", "https://sub.b.test:8443", True),
    ("https://*", "https://b.test", True),
    ("https://*", "http://b.test", False),
    ("https://*:8443", "https://b.test:8443", True),
    ("https://*:8443", "https://b.test", False),
    ("https://[::1]:3000", "https://[::1]:3000", True),
    ("https://[::1]", "https://[::1]:3000", False),
    # Paths do not count after a redirect.
    ("https://b.test/api/", "https://b.test", True),
    ("b.test/api/", "https://b.test", True),
    ("/api", PAGE, False),
]


@pytest.mark.parametrize(("source", "target", "allowed"), SOURCES)
def test_a_source_and_an_origin(source: str, target: str, allowed: bool) -> None:
    assert allows(tuple(source.split()), target, PAGE) is allowed


def test_one_source_of_several_is_enough() -> None:
    assert allows(("'self'", "https://c.test", "https://b.test"), "https://b.test", PAGE)
    assert not allows(("'self'", "https://c.test"), "https://b.test", PAGE)


def test_on_http_pages_https_is_covered() -> None:
    assert allows(("'self'",), "https://a.test", "http://a.test")
    assert allows(("b.test",), "https://b.test", "http://a.test")
    assert allows(("b.test",), "http://b.test", "http://a.test")
    assert not allows(("'self'",), "https://a.test:8443", "http://a.test:8080")


POLICIES: list[tuple[list[bytes], list[tuple[str, ...]]]] = [
    ([], []),
    ([b""], []),
    ([b"script-src 'self'"], []),
    ([b"default-src 'self'"], [("'self'",)]),
    ([b"default-src 'self'; connect-src https://b.test 'self'"], [("https://b.test", "'self'")]),
    ([b"connect-src 'self'; default-src *"], [("'self'",)]),
    ([b"connect-src"], [()]),
    ([b"  Connect-Src   *  ;"], [("*",)]),
    # The first of a name counts, https://w3c.github.io/webappsec-csp/#parse-serialized-policy step 2.6
    ([b"connect-src 'self'; connect-src *"], [("'self'",)]),
    # Every policy has to be met, whether in a line of its own or after a comma.
    ([b"connect-src 'self', connect-src *"], [("'self'",), ("*",)]),
    ([b"connect-src 'self'", b"img-src *", b"default-src *"], [("'self'",), ("*",)]),
    ([b"connect-src https://\xe4.test"], [("https://ä.test",)]),
]


@pytest.mark.parametrize(("lines", "lists"), POLICIES)
def test_the_source_lists_for_connections(lines: list[bytes], lists: list[tuple[str, ...]]) -> None:
    assert connect_sources(tuple(lines)) == tuple(lists)
