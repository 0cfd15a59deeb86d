"""Whether a request was credentialed, told from that request alone, with the evidence in words.

The mode is not a field on the wire. What other exchanges prove (a connection's class, a step that was followed) is the
session's to join. Evidence names cookies and headers, never their values.
"""

from collections.abc import Container
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from corscope.headers import Headers, text
from corscope.model import Browser, BrowserFamily, Credentials
from corscope.origins import origin_of, site


class Strength(IntEnum):
    """How far a piece of evidence carries. WEAK evidence is told, but decides nothing.

    LIKELY evidence decides where nothing stronger does, and proves nothing of other requests: the user may have removed
    a cookie unseen.
    """

    WEAK = 1
    LIKELY = 2
    STRONG = 3
    CERTAIN = 4


class Evidence(NamedTuple):
    """One piece of evidence for a credentials mode."""

    credentials: Credentials
    strength: Strength
    text: str


STORAGE_ACCESS_SINCE = {BrowserFamily.CHROMIUM: 133, BrowserFamily.FIREFOX: 147}
"""The first major version that sends Sec-Fetch-Storage-Access with every credentialed cross-site request."""

_NEVER_FROM_WORKERS = frozenset((b"audio", b"font", b"image", b"manifest", b"script", b"style", b"track", b"video"))
"""Destinations of elements: workers, for which Firefox sends no Sec-Fetch-Storage-Access, fetch with `empty`."""

BROWSER_SCHEMES = frozenset(("basic", "digest", "negotiate", "ntlm"))
"""Authentication schemes that a browser answers by itself, from its authentication cache."""

_SCHEMES = BROWSER_SCHEMES | {"apikey", "aws4-hmac-sha256", "bearer", "dpop", "hawk", "hoba", "jwt", "token"}


def authentication_scheme(authorization: bytes) -> str | None:
    """Return the scheme that an Authorization names, as it spells it; None where none is known that may be named.

    Whatever else comes first may be the secret itself.
    """
    first = text(authorization.partition(b" ")[0])
    return first if first.lower() in _SCHEMES else None


def request_evidence(
    request: Headers, *, cookies: tuple[str, ...], preflight: bool, client_certificate: bool, browser: Browser
) -> Evidence | None:
    """Tell credentials from what the request carries; `cookies` are the names of those.

    Cookie: a forbidden header that no uncredentialed cross-origin request has. Sec-Fetch-Storage-Access: set only in
    mode "include", https://privacycg.github.io/storage-access-headers/#sec-fetch-storage-access-request-header;
    Firefox puts it on the preflight of such a request too (netwerk/protocol/http/nsHttpChannel.cpp
    AddStorageAccessHeadersToRequest).
    """
    if b"cookie" in request and not preflight:
        return _cookie_evidence(cookies)
    if b"sec-fetch-storage-access" in request:
        value = text(request[b"sec-fetch-storage-access"])
        return Evidence(Credentials.INCLUDE, Strength.CERTAIN, f"Sec-Fetch-Storage-Access: {value}")
    # Firefox's anonymous connections present no certificate; Chromium's may (features.cc kOmitCorsClientCert, off).
    if client_certificate and not preflight and browser.family is BrowserFamily.FIREFOX:
        return Evidence(Credentials.INCLUDE, Strength.STRONG, "TLS client certificate on the connection")
    return None


@lru_cache(maxsize=64)
def _cookie_evidence(names: tuple[str, ...]) -> Evidence:
    return Evidence(Credentials.INCLUDE, Strength.CERTAIN, f"cookie header: {', '.join(names[:8])}")


def absence_evidence(
    request: Headers, *, origin: bytes, target: bytes, browser: Browser, tells: bool, top_level_sites: Container[str]
) -> Evidence | None:
    """Tell credentials from Sec-Fetch-Storage-Access missing where mode "include" would have sent it.

    `target` is the serialized origin of the URL; `tells` whether this client was seen to send that header;
    `top_level_sites` are the sites of the pages that it navigated to: a request to the top-level page's own site has
    first-party cookies and carries no such header.
    """
    since = STORAGE_ACCESS_SINCE.get(browser.family)
    if since is None or browser.version < since or request.get(b"sec-fetch-site") != b"cross-site":
        return None
    # It goes to potentially trustworthy URLs only; that Sec-Fetch-Site is there proves that this is one.
    here = site(target)
    if here in top_level_sites or here == site(origin) or here == _referrer_site(request, origin):
        return None
    # Firefox never sends it where it is set to accept or to block all cookies, or those of all other sites (measured).
    if browser.family is BrowserFamily.FIREFOX and (
        not tells or origin == b"null" or request.get(b"sec-fetch-dest") not in _NEVER_FROM_WORKERS
    ):
        return None
    return _NO_STORAGE_ACCESS


_NO_STORAGE_ACCESS = Evidence(
    Credentials.OMIT,
    Strength.STRONG,
    "no Sec-Fetch-Storage-Access on a cross-site request, which this browser sends with credentials",
)


def _referrer_site(request: Headers, origin: bytes) -> str | None:
    """Return the site of the Referer, the best hint at the page where Origin is `null`."""
    referrer = request.get(b"referer")
    if referrer is None:
        return None
    # Mostly it is the origin's own.
    return site(origin if referrer.startswith(origin + b"/") else origin_of(referrer))


def font_evidence(request: Headers) -> Evidence | None:
    """Fonts are fetched in mode "same-origin" always, https://drafts.csswg.org/css-fonts/#font-fetching-requirements"""
    if request.get(b"sec-fetch-dest") != b"font":
        return None
    return Evidence(Credentials.OMIT, Strength.STRONG, "a font: CSS never asks for one with credentials")


def authorization_evidence(request: Headers, asked: frozenset[bytes] | None) -> Evidence | None:
    """Tell credentials from Authorization on an actual request.

    `asked` are the header names that this request's own preflight asked for, None where none was seen. A script's
    Authorization is an ordinary header that a preflight must have listed, and says nothing of the mode; one that no
    preflight listed was added by the browser, which it does in mode "include" only
    (https://fetch.spec.whatwg.org/#http-network-or-cache-fetch, step 8.21).
    """
    value = request.get(b"authorization")
    if value is None or (asked is not None and b"authorization" in asked):
        return None
    scheme = authentication_scheme(value)
    if scheme is None or scheme.lower() not in BROWSER_SCHEMES:
        return None
    if asked is None:
        # A preflight from before the capture may still have listed it.
        return Evidence(
            Credentials.INCLUDE, Strength.WEAK, f"Authorization ({scheme}) that no preflight in sight listed"
        )
    return Evidence(
        Credentials.INCLUDE,
        Strength.STRONG,
        f"Authorization ({scheme}) that its preflight did not list: the browser added it",
    )


def recognise(user_agent: bytes) -> Browser:
    """Recognise a browser by its User-Agent; Safari and its like were not measured."""
    for marker, family in ((b"Firefox/", BrowserFamily.FIREFOX), (b"Chrome/", BrowserFamily.CHROMIUM)):
        _, found, rest = user_agent.partition(marker)
        if found:
            digits = rest.split(b".", 1)[0]
            return Browser(family=family, version=int(digits) if digits.isdigit() and len(digits) < 6 else 0)
    # What is no browser at all is held to the standard.
    return Browser(family=BrowserFamily.OTHER if b"AppleWebKit/" in user_agent else BrowserFamily.SPEC)
