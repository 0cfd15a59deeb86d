"""The Fetch standard's CORS protocol as pure functions under its algorithms' names, and where browsers depart from it.

Nothing here remembers, reads a clock or knows how a request was recorded. Each check returns every fault it finds, in
the browser's own order: the first one decides, none means that the check passes.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from corscope.headers import HTTP_WHITESPACE, Fields, Headers, Names, extract_tokens, get_all, is_token, normalize, text
from corscope.model import BrowserFamily
from corscope.origins import OPAQUE, Target, is_valid_url

CORS_SAFELISTED_RESPONSE_HEADERS = frozenset(
    (
        b"cache-control",
        b"content-language",
        b"content-length",
        b"content-type",
        b"expires",
        b"last-modified",
        b"pragma",
    )
)
"""https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name"""


class _ResponseNames(Names):
    """Besides the names that a judgement reads, all those that a page may want to read and can't."""

    def is_wanted(self, lower: bytes) -> bool:
        return lower in self.wanted or is_of_interest(lower)


_OF_NO_INTEREST = (
    CORS_SAFELISTED_RESPONSE_HEADERS
    | frozenset((b"set-cookie", b"set-cookie2"))
    | frozenset(
        b"""accept-ch accept-ranges age allow alt-svc clear-site-data connection content-encoding
        content-security-policy content-security-policy-report-only critical-ch date etag expect-ct feature-policy
        keep-alive last-modified link-template location nel no-vary-search origin-agent-cluster origin-trial p3p
        permissions-policy priority proxy-authenticate proxy-connection public-key-pins referrer-policy refresh
        report-to reporting-endpoints server server-timing sourcemap speculation-rules strict-transport-security
        supports-loading-mode te timing-allow-origin trailer transfer-encoding upgrade vary via warning
        www-authenticate x-accel-buffering x-aspnet-version x-aspnetmvc-version x-cache x-cache-hits x-cache-status
        x-cloud-trace-context x-content-security-policy x-content-type-options x-dns-prefetch-control
        x-download-options x-drupal-cache x-envoy-upstream-service-time x-frame-options x-generator
        x-permitted-cross-domain-policies x-powered-by x-robots-tag x-runtime x-served-by x-sourcemap x-timer
        x-ua-compatible x-varnish x-webkit-csp x-xss-protection""".split()
    )
)
_OF_NO_INTEREST_BEGINNINGS = (b":", b"access-control-", b"cf-", b"cross-origin-", b"sec-", b"x-amz-cf-", b"x-fastly-")


def is_of_interest(name: bytes) -> bool:
    """Tell a response header (in lower case) that an application's script may want to read, from the web's plumbing."""
    return name not in _OF_NO_INTEREST and not name.startswith(_OF_NO_INTEREST_BEGINNINGS)


RESPONSE_HEADERS = _ResponseNames(
    (
        b"access-control-allow-origin",
        b"access-control-allow-credentials",
        b"access-control-allow-methods",
        b"access-control-allow-headers",
        b"access-control-expose-headers",
        b"access-control-max-age",
        b"location",
        b"set-cookie",
        b"etag",
        b"last-modified",
        b"vary",
    )
)
"""The response headers that a judgement reads, in lower case, and those of interest, for `headers.pick`."""

OK_STATUS = range(200, 300)
"""https://fetch.spec.whatwg.org/#ok-status"""

REDIRECT_STATUS = frozenset((301, 302, 303, 307, 308))
"""https://fetch.spec.whatwg.org/#redirect-status"""

REDIRECT_LIMIT = 20
"""Redirects that a fetch follows before it fails, HTTP-redirect fetch step 6; the browsers' limit too."""

CORS_SAFELISTED_METHODS = frozenset((b"GET", b"HEAD", b"POST"))
"""https://fetch.spec.whatwg.org/#cors-safelisted-method"""

_NORMALIZED_METHODS = frozenset((b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"POST", b"PUT"))

DEFAULT_MAX_AGE = 5
"""Seconds that a preflight is kept without Access-Control-Max-Age, CORS-preflight fetch step 7.10."""

MAX_AGE_CAP = {
    BrowserFamily.CHROMIUM: 7200,
    BrowserFamily.FIREFOX: 86400,
    BrowserFamily.SPEC: 7200,
    BrowserFamily.OTHER: 600,
}
"""Seconds, at most. Chromium: preflight_result.cc kMaxTimeout; Firefox: nsCORSListenerProxy.cpp; the standard leaves
the limit open, so the lower one serves for it. WebKit: CrossOriginPreflightResultCache.cpp."""


REMEMBERED_CHECKS = 256
"""How many checks are remembered with their outcome: a server sends the same few headers with every response."""


class Fault(NamedTuple):
    """One reason to block. Shared by all exchanges that fail in the same way, so never changed."""

    id: str
    """The catalogue's entry."""
    parameter: str
    """What Chromium reports beside its error, CDP Network.CorsErrorStatus.failedParameter."""
    values: Mapping[str, str]
    """What the catalogue's sentences name."""


type Faults = tuple[Fault, ...]


def cors_check(origin: bytes, headers: Headers, *, include: bool) -> Faults:
    """CORS check, https://fetch.spec.whatwg.org/#concept-cors-check

    `origin` is the byte-serialized request origin as the Origin header carried it; `include` whether the request's
    credentials mode is "include". For Firefox, give it the headers as `as_firefox_reads` them.
    """
    # 1. Let origin be the result of getting `Access-Control-Allow-Origin` from response's header list.
    allowed = headers.get(b"access-control-allow-origin")
    return _cors_check(origin, allowed, headers.get(b"access-control-allow-credentials"), include=include)


@lru_cache(maxsize=REMEMBERED_CHECKS)
def _cors_check(origin: bytes, allowed: bytes | None, credentials: bytes | None, *, include: bool) -> Faults:
    """Steps 2 to 8 of the CORS check, `allowed` being what the standard calls origin there."""
    # 2. If request's credentials mode is not "include" and origin is `*`, then return success.
    if not include:
        if allowed == b"*" or allowed == origin:
            return ()
        return (_allow_origin_fault(origin, allowed),)
    faults: Faults = ()
    # 3. If the result of byte-serializing a request origin with request is not origin, then return failure.
    if allowed != origin:
        faults = (
            Fault("allow-origin-wildcard-with-credentials", "", {"value": "*", "origin": text(origin)})
            if allowed == b"*"
            else _allow_origin_fault(origin, allowed),
        )
    # 5. to 7. Let credentials be the result of getting `Access-Control-Allow-Credentials` …; if it is `true`, success.
    if credentials != b"true":
        values = {"value": text(credentials or b""), "said": _said(credentials), "origin": text(origin)}
        faults += (Fault("allow-credentials-not-true", values["value"], values),)
    return faults


def _allow_origin_fault(origin: bytes, allowed: bytes | None) -> Fault:
    """Name what is wrong with an Allow-Origin that isn't `origin`, as Chromium's CheckAccess tells them apart."""
    if allowed is None:
        return Fault("allow-origin-missing", "", {"value": "", "origin": text(origin)})
    # A folded line is one with spaces to browsers.
    value = text(_FOLD.sub(b" ", allowed))
    if b" " in allowed or b"," in allowed:
        finding = "allow-origin-multiple"
    elif allowed != OPAQUE and not is_valid_url(allowed):
        finding = "allow-origin-invalid"
    else:
        finding = "allow-origin-mismatch"
    # Chromium names no value that is not ASCII.
    return Fault(finding, value if allowed.isascii() else "", {"value": value, "origin": text(origin)})


_FOLD = re.compile(rb"\r?\n[ \t]+")
"""RFC 9112, 5.2: obs-fold."""


def _said(value: bytes | None) -> str:
    """Put a header's value into words; an absent header is not an empty one."""
    return "missing" if value is None else f"“{text(value)}”"


def _to_send(allowed: tuple[bytes, ...], asked: tuple[bytes, ...]) -> str:
    """Return the list to send: what was allowed by name, and what was asked for. `*` goes: it may say nothing."""
    return ", ".join(map(text, dict.fromkeys((*(name for name in allowed if name != b"*"), *asked))))


def as_firefox_reads(headers: Headers, fields: Fields, http_version: int) -> Headers:
    """Return the CORS headers as Firefox sees them: it drops an empty line that repeats a header.

    A departure from the standard (netwerk/protocol/http/nsHttpHeaderArray.cpp), measured: `true` beside an empty
    Access-Control-Allow-Credentials passes; beside an empty Access-Control-Allow-Origin an origin passes over HTTP/2
    but not over HTTP/1. `headers` and `fields` are the response's combined values and its lines.
    """
    merged: dict[bytes, bytes] = {}
    for name in (b"access-control-allow-credentials", b"access-control-allow-origin"):
        value = headers.get(name, b"")
        if (value.startswith(b", ") or value.endswith(b", ")) and (name.endswith(b"credentials") or http_version > 1):
            lines = get_all(fields, name)
            if len(lines) > 1:
                merged[name] = b", ".join([line for line in lines if line])
    return {**headers, **merged} if merged else headers


def cors_preflight_fetch(
    origin: bytes,
    method: bytes,
    unsafe_names: tuple[bytes, ...],
    status: int,
    headers: Headers,
    *,
    include: bool,
    family: BrowserFamily,
    same_origin: bool = False,
) -> Faults:
    """CORS-preflight fetch from step 7 on: what its response allows. https://fetch.spec.whatwg.org/#cors-preflight-fetch

    `method` and `unsafe_names` are what the preflight asked for (Access-Control-Request-Method and -Headers, the
    latter in lower case); `include` is the credentials mode of the request that it asks for. The order is Chromium's
    (preflight_controller.cc, cors.cc CheckPreflightAccess, preflight_result.cc): a redirect first, then the CORS
    check, the status, both lists, the method, the headers. Only the order, never the outcome, differs from the
    standard's.

    `same_origin`: the origin is that of the URL. Only Firefox sends such a preflight, on a redirect back to the page's
    own origin, and skips the CORS check on it (nsCORSListenerProxy.cpp CheckRequestApproved).
    """
    read = tuple(map(headers.get, _PREFLIGHT_HEADERS))
    return _cors_preflight_fetch(origin, method, unsafe_names, status, read, include, family, same_origin)


REFUSED_HEADERS = 16
"""How many of the headers that a preflight refuses are told one by one; what to send names all of them."""

_PREFLIGHT_HEADERS = (
    b"access-control-allow-origin",
    b"access-control-allow-credentials",
    b"access-control-allow-methods",
    b"access-control-allow-headers",
    b"location",
)


@lru_cache(maxsize=REMEMBERED_CHECKS)
def _cors_preflight_fetch(
    origin: bytes,
    method: bytes,
    unsafe_names: tuple[bytes, ...],
    status: int,
    read: tuple[bytes | None, ...],
    include: bool,
    family: BrowserFamily,
    same_origin: bool,
) -> Faults:
    """`cors_preflight_fetch` of the headers that it reads."""
    headers = {name: value for name, value in zip(_PREFLIGHT_HEADERS, read, strict=True) if value is not None}
    faults: list[Fault] = []
    status_text = {"status": str(status), "origin": text(origin)}
    # One that is empty is none (net/http/http_response_headers.cc IsRedirect).
    redirected = status in REDIRECT_STATUS and bool(headers.get(b"location"))
    if redirected:
        faults.append(Fault("preflight-redirected", "", status_text))
    # 7. If a CORS check for request and response returns success and response's status is an ok status, then:
    if not same_origin:
        faults += cors_check(origin, headers, include=include)
    if status not in OK_STATUS and not redirected:
        faults.append(Fault("preflight-status", "", status_text))
    # 7.1. to 7.3. Let methods and headerNames be the result of extracting header list values …; failure: network error.
    allow_methods = headers.get(b"access-control-allow-methods")
    allow_headers = headers.get(b"access-control-allow-headers")
    methods = extract_tokens(allow_methods)
    names = extract_tokens(allow_headers)
    if methods is None:
        values = {"origin": text(origin), "method": text(method), **_unparsable(allow_methods or b"")}
        faults.append(Fault("allow-methods-unparsable", "", values))
    if names is None:
        values = {"origin": text(origin), "headers": _to_send((), unsafe_names), **_unparsable(allow_headers or b"")}
        faults.append(Fault("allow-headers-unparsable", "", values))
    # Deliberately absent, 7.4: "if methods is null and request's use-CORS-preflight flag is set, then set methods to
    # request's method". The flag is not on the wire, and neither Chromium nor Firefox does it.
    # 7.5. If request's method is not in methods, not a CORS-safelisted method, and credentials "include" or no `*` …
    if methods is not None and not is_method_allowed(method, methods, include=include):
        values = {"origin": text(origin), "method": text(method), "methods": _to_send(methods, (method,))}
        values |= {"value": text(allow_methods or b""), "said": _said(allow_methods)}
        faults.append(Fault("method-not-allowed", text(method), values))
    # 7.6. and 7.7. Authorization, and every other CORS-unsafe request-header name
    if names is not None:
        allowed = tuple(name.lower() for name in names)
        known = frozenset(allowed)
        refused = [name for name in unsafe_names if not is_header_allowed(name, known, include=include, family=family)]
        listed = _to_send(allowed, unsafe_names) if refused else ""
        for name in refused[:REFUSED_HEADERS]:
            values = {"origin": text(origin), "header": text(name), "headers": listed}
            values |= {"value": text(allow_headers or b""), "said": _said(allow_headers)}
            faults.append(Fault("header-not-allowed", text(name), values))
    return tuple(faults)


def _unparsable(value: bytes) -> dict[str, str]:
    """Return a list that is none, and the first of its members that is no token."""
    members = (member.strip(HTTP_WHITESPACE) for member in value.split(b","))
    return {"value": text(value), "token": text(next(member for member in members if member and not is_token(member)))}


def is_method_allowed(method: bytes, methods: tuple[bytes, ...], *, include: bool) -> bool:
    """CORS-preflight fetch step 7.5; methods are compared with their case."""
    return method in CORS_SAFELISTED_METHODS or method in methods or (not include and b"*" in methods)


def is_header_allowed(name: bytes, allowed: Collection[bytes], *, include: bool, family: BrowserFamily) -> bool:
    """CORS-preflight fetch steps 7.6 and 7.7, for one name in lower case against Allow-Headers in lower case.

    The standard wants Authorization (its only CORS non-wildcard request-header name) listed by name. Chromium
    (feature kCorsNonWildcardRequestHeadersSupport, off) and Firefox
    (network.cors_preflight.authorization_covered_by_wildcard, true) let `*` cover it, and so does WebKit.
    """
    if name in allowed:
        return True
    if include or b"*" not in allowed:
        return False
    return name != b"authorization" or family is not BrowserFamily.SPEC


def max_age(headers: Headers, family: BrowserFamily) -> int:
    """Seconds for which a preflight's answer may be kept; 0: not at all. CORS-preflight fetch steps 7.9 to 7.12.

    Unparsable values: Chromium keeps the default (preflight_result.cc ParseAccessControlMaxAge, which takes a sign),
    Firefox keeps nothing (nsCORSListenerProxy.cpp AddResultToCache).
    """
    value = headers.get(b"access-control-max-age")
    return _max_age(value, family) if value else DEFAULT_MAX_AGE


@lru_cache(maxsize=32)
def _max_age(value: bytes, family: BrowserFamily) -> int:
    """`max_age` of a value that is there."""
    digits = value[1:] if family is BrowserFamily.CHROMIUM and value[:1] in (b"+", b"-") else value
    if not digits.isdigit():
        return 0 if family is BrowserFamily.FIREFOX else DEFAULT_MAX_AGE
    seconds = min(int(digits[:12]), MAX_AGE_CAP[family])
    return 0 if value[:1] == b"-" else seconds


BAD_PORTS = frozenset(
    (
        0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
        110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530,
        531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190,
        5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
    )
)  # fmt: skip
"""https://fetch.spec.whatwg.org/#bad-port"""


UNSAFE_SCHEMES = frozenset(
    ("about", "blob", "chrome", "chrome-extension", "chrome-untrusted", "data", "file", "filesystem")
)
"""Schemes to which Chromium's network follows no redirect at all (measured); to others it leaves that to CORS."""


def http_redirect_fetch(
    origin: bytes | None, current: bytes, target: Target, *, secure_page: bool, redirects: int, trustworthy: bool
) -> Faults:
    """HTTP-redirect fetch, steps 5 to 10, in mode "cors". https://fetch.spec.whatwg.org/#http-redirect-fetch

    `origin` is the request's Origin (None on a hop to the page's own origin, which sends none), `current` the origin of
    the URL that redirected, `target` where it leads and `trustworthy` whether that is potentially trustworthy;
    `redirects` counts those before this one.
    """
    # 5. If locationURL's scheme is not an HTTP(S) scheme, then return a network error.
    if target.scheme not in ("http", "https"):
        id_ = "redirect-unsafe" if target.scheme in UNSAFE_SCHEMES else "redirect-scheme"
        return (Fault(id_, "", {"scheme": target.scheme, "location": target.url}),)
    # 6. If request's redirect count is 20, then return a network error.
    if redirects >= REDIRECT_LIMIT:
        return (Fault("redirect-limit", "", {"count": str(redirects + 1)}),)
    # 9. mode "cors", locationURL includes credentials, request's origin not same origin with locationURL's …
    # 10. response tainting "cors" and locationURL includes credentials
    tainting_cors = origin is not None and origin != current
    if target.has_credentials and (tainting_cors or target.origin != (origin or current)):
        # Chromium's failedParameter is empty here, although the sentence has a place for the URL.
        return (Fault("redirect-with-user-info", "", {"location": target.url}),)
    # Not steps of this algorithm: the fetch of the new URL begins with the port and the mixed content check.
    if target.port in BAD_PORTS:
        return (Fault("redirect-bad-port", "", {"location": target.url, "port": str(target.port)}),)
    if secure_page and not trustworthy:
        return (Fault("redirect-mixed-content", "", {"location": target.url}),)
    return ()


def origin_after_redirect(origin: bytes | None, current: bytes, target: bytes) -> bytes | None:
    """Return the Origin that the next hop carries, None for none. https://fetch.spec.whatwg.org/#concept-request-origin

    A redirect from a URL that is not of the request's own origin to yet another origin taints it: the origin is
    `null` from then on, even back at the page's own origin.
    """
    if origin is None:
        return None if target == current else current
    return OPAQUE if tainted_origin(origin, current, target) else origin


def varies_with_origin(vary: Iterable[bytes]) -> bool:
    """Tell whether Vary lines say that an answer changes with the Origin, or with anything at all.

    https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches, RFC 9110 section 12.5.5
    """
    members = {member.strip().lower() for line in vary for member in line.split(b",")}
    return not members.isdisjoint((b"origin", b"*"))


def method_after_redirect(method: bytes, status: int) -> bytes:
    """Return the method of the next hop, HTTP-redirect fetch step 12."""
    if (status in (301, 302) and method == b"POST") or (status == 303 and method not in (b"GET", b"HEAD")):
        return b"GET"
    return method


def tainted_origin(origin: bytes, current: bytes, target: bytes) -> bool:
    """Tell whether a redirect from `current` to `target` gives the request a redirect-taint other than "same-origin".

    https://fetch.spec.whatwg.org/#concept-request-tainted-origin
    """
    return target != current and origin != current


def normalize_method(method: bytes) -> bytes:
    """Normalize a method: only six are upper-cased. https://fetch.spec.whatwg.org/#concept-method-normalize"""
    upper = method.upper()
    return upper if upper in _NORMALIZED_METHODS else method


def is_cors_safelisted_method(method: bytes) -> bool:
    """https://fetch.spec.whatwg.org/#cors-safelisted-method"""
    return method in CORS_SAFELISTED_METHODS


_CORS_UNSAFE_BYTES = frozenset([*range(0x09), *range(0x0A, 0x20), 0x7F, *b'"():<>?@[\\]{}'])
_LANGUAGE_BYTES = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz *,-.;=")
_SAFELISTED_TYPES = frozenset((b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"))


def is_cors_safelisted_request_header(name: bytes, value: bytes) -> bool:
    """https://fetch.spec.whatwg.org/#cors-safelisted-request-header (`name` in lower case)"""
    # 1. If value's length is greater than 128, then return false.
    if len(value) > 128:
        return False
    match name:
        case b"accept":
            return _CORS_UNSAFE_BYTES.isdisjoint(value)
        case b"accept-language" | b"content-language":
            return _LANGUAGE_BYTES.issuperset(value)
        case b"content-type":
            if not _CORS_UNSAFE_BYTES.isdisjoint(value):
                return False
            return normalize(value.partition(b";")[0]).lower() in _SAFELISTED_TYPES
        case b"range":
            return _is_single_range(value)
        case _:
            return False


def _is_single_range(value: bytes) -> bool:
    """Parse a single range header value with no whitespace allowed and a start, as the safelist wants it."""
    if not value.startswith(b"bytes="):
        return False
    start, dash, end = value[6:].partition(b"-")
    if not dash or not start.isdigit() or not (end == b"" or end.isdigit()):
        return False
    return end == b"" or int(start) <= int(end)


def cors_unsafe_request_header_names(fields: Fields) -> tuple[bytes, ...]:
    """Return the names that need permission, sorted. https://fetch.spec.whatwg.org/#cors-unsafe-request-header-names

    Give it the headers that a script set: on the wire those look like the ones that the browser adds by itself
    (`BROWSER_HEADERS` names them).
    """
    unsafe: set[bytes] = set()
    potentially_unsafe: set[bytes] = set()
    safelist_value_size = 0
    for name, value in fields:
        name = name.lower()
        if not is_cors_safelisted_request_header(name, normalize(value)):
            unsafe.add(name)
        else:
            potentially_unsafe.add(name)
            safelist_value_size += len(value)
    # 4. If safelistValueSize is greater than 1024, then all of them are unsafe.
    if safelist_value_size > 1024:
        unsafe |= potentially_unsafe
    return tuple(sorted(unsafe))


BROWSER_HEADERS = frozenset(
    b"""accept accept-charset accept-encoding accept-language access-control-request-headers
    access-control-request-method alt-used authorization cache-control connection content-length cookie date
    device-memory dnt downlink dpr ect expect forwarded host if-match if-modified-since if-none-match if-range
    if-unmodified-since keep-alive last-event-id origin ping-from ping-to pragma priority proxy-authorization
    proxy-connection purpose range referer rtt save-data service-worker service-worker-navigation-preload te trailer
    transfer-encoding upgrade upgrade-insecure-requests user-agent via viewport-width width x-client-data
    x-forwarded-for x-forwarded-host x-forwarded-proto""".split()
)
"""Headers that a browser, or a proxy on the way, may add by itself: their presence proves no script.
https://fetch.spec.whatwg.org/#forbidden-request-header and the network layer's own."""


def is_set_by_browsers(name: bytes) -> bool:
    """Tell a request header (in lower case) that a browser, or a proxy on the way, may add by itself.

    Sec- and Proxy- names are forbidden to scripts; the rest is told by `BROWSER_HEADERS`.
    """
    return name in BROWSER_HEADERS or name.startswith((b"sec-", b"proxy-", b":"))


_FORBIDDEN_REQUEST_HEADERS = frozenset(
    b"""accept-charset accept-encoding access-control-request-headers access-control-request-method
    access-control-request-private-network connection content-length cookie cookie2 date dnt expect host keep-alive
    origin referer set-cookie te trailer transfer-encoding upgrade via""".split()
)


def is_forbidden_request_header(name: bytes) -> bool:
    """Tell a request header (in lower case) that no script can set.

    https://fetch.spec.whatwg.org/#forbidden-request-header, without what depends on the value.
    """
    return name in _FORBIDDEN_REQUEST_HEADERS or name.startswith((b"sec-", b"proxy-"))


_REPORT_TYPES = (
    b"application/csp-report",
    b"application/expect-ct-report+json",
    b"application/xss-auditor-report",
    b"application/ocsp-request",
)


def is_report(content_type: bytes) -> bool:
    """Tell a browser's own report, never preflighted: https://fetch.spec.whatwg.org/#cors-unsafe-request-header-names"""
    return normalize(content_type.partition(b";")[0]).lower() in _REPORT_TYPES


@lru_cache(maxsize=REMEMBERED_CHECKS)
def requested_names(value: bytes) -> tuple[bytes, ...]:
    """Return the names that an Access-Control-Request-Headers value lists, in lower case."""
    return tuple([name.strip().lower() for name in value.split(b",") if name.strip()])


@lru_cache(maxsize=REMEMBERED_CHECKS)
def cors_preflight_reason(method: bytes, unsafe_names: tuple[bytes, ...]) -> str:
    """Say why a request with this method and these unsafe names was preflighted.

    HTTP fetch, main fetch step 12: the unsafe-request flag with a method that is not safelisted, or unsafe names.
    """
    if method not in CORS_SAFELISTED_METHODS:
        return f"the method {text(method)} is not GET, HEAD or POST"
    if unsafe_names == (b"content-type",):
        return "its Content-Type is not one that a form could send"
    if unsafe_names:
        return f"request headers that a form could not send: {', '.join(map(text, unsafe_names))}"
    # An upload listener on the XMLHttpRequest, a stream as body; in Firefox also what a redirect took away.
    return "nothing that the wire shows: an upload listener or a streamed body asks for one"
