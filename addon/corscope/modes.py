"""Whether a request is subject to the CORS protocol at all, told from the request alone. Knows no response."""

from functools import lru_cache
from typing import NamedTuple

from corscope.cookies import cookie_names
from corscope.engine import (
    cors_unsafe_request_header_names,
    is_cors_safelisted_method,
    is_report,
    is_set_by_browsers,
)
from corscope.headers import Fields, Headers, Names, get, pick
from corscope.model import Browser, BrowserFamily, Exchange, RequestMode
from corscope.origins import EXTENSION_SCHEMES, OPAQUE, serialize_origin


class _RequestNames(Names):
    """Besides the names that a judgement reads, all those that only a script can have set."""

    def is_wanted(self, lower: bytes) -> bool:
        return lower in self.wanted or not is_set_by_browsers(lower)


REQUEST_HEADERS = _RequestNames(
    (
        b"accept",
        b"access-control-request-headers",
        b"access-control-request-method",
        b"authorization",
        b"cache-control",
        b"content-type",
        b"cookie",
        b"host",
        b"if-modified-since",
        b"if-none-match",
        b"origin",
        b"pragma",
        b"priority",
        b"referer",
        b"sec-fetch-dest",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"sec-fetch-storage-access",
        b"upgrade",
        b"upgrade-insecure-requests",
        b"user-agent",
    )
)
"""The request headers that a judgement reads by name, in lower case: `headers.pick` is asked for them, and for those
that scripts set."""


_MODES = {
    b"cors": RequestMode.CORS,
    b"no-cors": RequestMode.NO_CORS,
    b"navigate": RequestMode.NAVIGATE,
    b"nested-navigate": RequestMode.NAVIGATE,
    b"same-origin": RequestMode.SAME_ORIGIN,
    b"websocket": RequestMode.WEBSOCKET,
    b"webtransport": RequestMode.WEBSOCKET,
}


class Head(dict[bytes, bytes]):
    """What `REQUEST_HEADERS` picks of a request's headers, by lower-case name, and what follows from it alone.

    Never changed: requests share it, and its attributes are read once.
    """

    __slots__ = ("_cookie_names", "_unsafe_names", "accept", "dest", "from_elsewhere", "mode", "origin", "site")

    def __init__(self, fields: Fields, *, said: bytes | None = None) -> None:
        """`said` stands in for Sec-Fetch-Mode, where something else tells it."""
        super().__init__(pick(fields, REQUEST_HEADERS))
        if said is not None:
            self[b"sec-fetch-mode"] = said
        self._unsafe_names: tuple[bytes, ...] | None = None
        self._cookie_names: tuple[str, ...] | None = None
        get = self.get
        self.origin = origin = get(b"origin")
        self.site = get(b"sec-fetch-site")
        self.dest = get(b"sec-fetch-dest", b"")
        self.accept = get(b"accept", b"")
        self.mode = _MODES.get(get(b"sec-fetch-mode", b""))
        self.from_elsewhere = (
            self.mode is RequestMode.CORS
            and origin is not None
            and self.site != b"same-origin"
            and b"upgrade" not in self
            and origin.partition(b":")[0] not in EXTENSION_SCHEMES
        )
        """Whether nothing but the URL could tell that it is no request of another origin's page in mode "cors"."""

    @property
    def cookie_names(self) -> tuple[str, ...]:
        """The names of the cookies that it carries."""
        if self._cookie_names is None:
            self._cookie_names = cookie_names(self.get(b"cookie", b""))
        return self._cookie_names

    @property
    def unsafe_names(self) -> tuple[bytes, ...]:
        """The CORS-unsafe request-header names, in lower case and sorted, among those that only a script can have set.

        What a browser may add by itself, such as Authorization, is not among them, whoever set it; Content-Type is
        there by its value.
        """
        if self._unsafe_names is None:
            wanted = REQUEST_HEADERS.wanted
            scripts = [
                (name, value)
                for name, value in self.items()
                if name not in wanted or (name == b"content-type" and not is_report(value))
            ]
            self._unsafe_names = cors_unsafe_request_header_names(tuple(scripts))
        return self._unsafe_names


@lru_cache(maxsize=256)
def read_head(fields: Fields) -> Head:
    """Read a request's headers; a page sends the same ones again and again."""
    return Head(fields)


def url_of(exchange: Exchange) -> str:
    """Return the URL of a request: absolute, in ASCII but for what its path holds, without fragment."""
    return _target(exchange.scheme, exchange.host, exchange.port)[1] + exchange.path


@lru_cache(maxsize=4096)
def _target(scheme: str, host: str, port: int) -> tuple[bytes, str]:
    """Return the serialized origin of a URL, and how the URL begins."""
    origin = serialize_origin(scheme, host, port)
    return origin, origin.decode("utf-8", "replace")


class Request:
    """The request of an exchange as the rules read it: each thing worked out once."""

    __slots__ = ("exchange", "headers", "is_preflight", "target", "url")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        picked = exchange.request_picked
        self.headers = picked if type(picked) is Head else read_head(exchange.request_headers)
        self.target, shown = _target(exchange.scheme, exchange.host, exchange.port)
        """The serialized origin of the URL."""
        self.url = shown + exchange.path
        self.is_preflight = exchange.method == b"OPTIONS" and is_cors_preflight(exchange.method, self.headers)

    @property
    def needs_preflight(self) -> bool:
        """Whether a browser asks first, as far as the request shows it: that somebody listens to an upload does not."""
        return not is_cors_safelisted_method(self.exchange.method) or bool(self.headers.unsafe_names)


_ORDERED = (b"origin", b"referer")

FIREFOX_PRIORITY_SINCE = 153
"""The Firefox in which requests were seen to tell their initiator by Priority; earlier ones were not looked at."""


class Subject(NamedTuple):
    """Whether the CORS protocol applies to a request."""

    mode: RequestMode
    exempt: str | None
    """Why the protocol does not apply; None where it does, or may (mode UNKNOWN)."""


_CORS = Subject(RequestMode.CORS, None)
UNDECIDED = Subject(RequestMode.UNKNOWN, None)
"""A request that may or may not be a CORS request: `post_mode` tells more once the response is there."""
_EXEMPT = {
    mode: Subject(mode, f"the request's mode is {mode.value}")
    for mode in (RequestMode.NO_CORS, RequestMode.NAVIGATE, RequestMode.SAME_ORIGIN, RequestMode.WEBSOCKET)
}
_SAME_ORIGIN = Subject(RequestMode.CORS, "the request goes to the page's own origin")
_TO_ITSELF = Subject(RequestMode.UNKNOWN, "the request goes to the page's own origin")
_EXTENSION = Subject(RequestMode.UNKNOWN, "an extension asks: its permissions, not the response, decide")
_WITHOUT_ORIGIN = Subject(RequestMode.UNKNOWN, "there is no Origin header: not a cross-origin CORS request")
_FROM_CACHE = "there is no Origin header: the browser answered from its cache, by its own record, and sent nothing"
_CACHED = {mode: Subject(mode, _FROM_CACHE) for mode in (RequestMode.CORS, RequestMode.UNKNOWN)}
_PROVISIONAL = Subject(
    RequestMode.CORS, "there is no Origin header, as there was on the wire: the record has other headers than were sent"
)
"""By the browser's own record it went to another origin."""
_PING = Subject(RequestMode.NO_CORS, "it is a hyperlink's ping, whose answer nobody reads")
_KEEPALIVE = Subject(RequestMode.NO_CORS, "it is a beacon, whose answer nobody reads")
BEACON = Subject(
    RequestMode.UNKNOWN,
    "it looks like a beacon or a no-cors fetch: plain text to a server that answers without any CORS header",
)
_BROWSERS_OWN = "it is a report of the browser's own, whose answer no page reads"
_REPORT = Subject(RequestMode.NO_CORS, _BROWSERS_OWN)
_REPORT_UPLOAD = Subject(RequestMode.UNKNOWN, _BROWSERS_OWN)
_FORM = Subject(RequestMode.NAVIGATE, "it is a form's navigation (it asks for HTML and upgrades insecure requests)")


def is_cors_preflight(method: bytes, request: Headers) -> bool:
    """Tell a CORS-preflight request, https://fetch.spec.whatwg.org/#cors-preflight-request

    A script can't make one look like it: Access-Control-Request-Method is a forbidden request header.
    """
    return method == b"OPTIONS" and b"origin" in request and b"access-control-request-method" in request


REPORTS = b"application/reports+json"
"""The Content-Type of what the Reporting API delivers, https://w3c.github.io/reporting/#media-type"""


def is_report_upload(asked: Request, browser: Browser) -> bool:
    """Tell what Chromium delivers for the Reporting API and Network Error Logging.

    In the standard that is a request in mode "cors", https://w3c.github.io/reporting/#try-delivery. Chromium asks a
    server of another origin first, past its preflight cache and without credentials, but does not check the answer to
    the report itself, says nothing of modes, and in some versions has no Origin there
    (net/reporting/reporting_uploader.cc). A page's request to https would have Sec-Fetch-Mode.
    """
    return (
        asked.headers.get(b"content-type") == REPORTS
        and browser.family is BrowserFamily.CHROMIUM
        and asked.exchange.scheme == "https"
        and b"sec-fetch-mode" not in asked.headers
    )


def request_mode(asked: Request, browser: Browser) -> Subject:
    """Tell a request's mode, and whether the CORS protocol applies.

    Sec-Fetch-Mode says it, https://w3c.github.io/webappsec-fetch-metadata/, but browsers send that to potentially
    trustworthy URLs only. On plain http the rest must tell: cross-origin only a CORS request puts Origin on GET and
    HEAD, and only a CORS request has another method or headers that scripts set. What stays is a POST that a form
    could have sent.
    """
    if asked.is_preflight:
        return _CORS
    request = asked.headers
    origin, said = request.origin, request.mode
    if request.from_elsewhere and origin != asked.target:
        # Most of them, so that they are told first.
        return _CORS
    if said is not None and said is not RequestMode.CORS:
        return _EXEMPT[said]
    if b"upgrade" in request and request[b"upgrade"].lower() == b"websocket":
        return _EXEMPT[RequestMode.WEBSOCKET]
    if origin is None:
        asker = asked.exchange.asker
        if asker is not None and asker.page.encode() != asked.target:
            if asker.cached:
                return _CACHED[said or RequestMode.UNKNOWN]
            if said and asker.page:
                return _PROVISIONAL
        return _SAME_ORIGIN if said else _WITHOUT_ORIGIN
    if origin.partition(b":")[0] in EXTENSION_SCHEMES:
        return _EXTENSION
    # In reverse mode the URL is the upstream server's, and only the browser knows that the request stays at home.
    if origin == asked.target or (request.site == b"same-origin" and origin != OPAQUE):
        return _SAME_ORIGIN if said or asked.exchange.method != b"POST" else _TO_ITSELF
    if said is RequestMode.CORS or asked.exchange.method != b"POST":
        return _CORS
    content_type = request.get(b"content-type", b"").lower()
    if content_type == b"text/ping":
        return _PING
    if is_report(content_type):
        return _REPORT
    if is_report_upload(asked, browser):
        return _REPORT_UPLOAD
    if _looks_like_navigation(request):
        return _FORM
    if request.unsafe_names:
        return _CORS
    if browser.family is BrowserFamily.FIREFOX and browser.version >= FIREFOX_PRIORITY_SINCE:
        # Measured on plain http: fetch sends Priority `u=4`, a beacon `u=6`; XMLHttpRequest, always in mode "cors", and
        # a fetch of high priority send none, but only the former puts Origin before Referer.
        priority = request.get(b"priority")
        if priority == b"u=6":
            return _KEEPALIVE
        order = [name for name in map(bytes.lower, dict(asked.exchange.request_headers)) if name in _ORDERED]
        if priority is None and order == [b"origin", b"referer"]:
            return _CORS
    return UNDECIDED


def _looks_like_navigation(request: Headers) -> bool:
    # Only a navigation asks for HTML so; script-made requests that merely look alike are ambiguous, not exempt.
    return b"upgrade-insecure-requests" in request and b"text/html" in request.get(b"accept", b"")


def is_unseen(subject: Subject) -> bool:
    """Tell whether a request may be subject to CORS and its record does not show what was on the wire."""
    return subject in (*_CACHED.values(), _PROVISIONAL)


def may_be_cors(subject: Subject, request: Headers) -> bool:
    """Tell whether a request to the page's own origin, as far as that is known, could be one of mode "cors".

    Without Sec-Fetch-Mode it could be a script's, an element's without `crossorigin` (mode "no-cors"), or a navigation,
    which is told by what it accepts.
    """
    return subject in (_WITHOUT_ORIGIN, _TO_ITSELF) and not _looks_like_navigation(request)


def post_mode(asked: Request, response: Headers, browser: Browser, *, follows_cors: bool) -> Subject:
    """Tell the mode of a POST that a form could have sent, over plain http, with the help of its response.

    `follows_cors` says that it follows a step that only CORS requests have.

    A beacon and a no-cors fetch exist to deliver a body, so in Firefox, where a beacon shows by its Priority, a POST
    without one, to a server that answers it with CORS headers, is taken for a script's that wants the answer. Plain
    text to a server that sends no CORS header at all is taken for a beacon, with a warning: on the wire a script's
    request in mode "cors" looks the same.
    """
    if follows_cors:
        return _CORS
    speaks_cors = any(name.startswith(b"access-control-") for name in response)
    content_type = asked.headers.get(b"content-type")
    if content_type is None:
        empty = get(asked.exchange.request_headers, b"content-length") in (None, b"0")
        return _CORS if empty and speaks_cors and browser.family is BrowserFamily.FIREFOX else UNDECIDED
    return BEACON if not speaks_cors and content_type.lower().startswith(b"text/plain") else UNDECIDED
