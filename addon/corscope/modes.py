"""Whether a request is subject to the CORS protocol at all, told from the request alone. Knows no response."""

from typing import NamedTuple

from corscope.engine import Headers, script_set_names
from corscope.headers import Fields
from corscope.model import RequestMode
from corscope.origins import EXTENSION_SCHEMES

REQUEST_HEADERS = frozenset(
    (
        b"accept",
        b"access-control-request-headers",
        b"access-control-request-method",
        b"authorization",
        b"cache-control",
        b"content-type",
        b"cookie",
        b"if-modified-since",
        b"if-none-match",
        b"origin",
        b"pragma",
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
"""The request headers that a judgement reads, in lower case: what `headers.pick` is asked for."""


class Subject(NamedTuple):
    """Whether the CORS protocol applies to a request."""

    mode: RequestMode
    exempt: str | None
    """Why the protocol does not apply; None where it does, or may (mode UNKNOWN)."""


_MODES = {
    b"cors": RequestMode.CORS,
    b"no-cors": RequestMode.NO_CORS,
    b"navigate": RequestMode.NAVIGATE,
    b"nested-navigate": RequestMode.NAVIGATE,
    b"same-origin": RequestMode.SAME_ORIGIN,
    b"websocket": RequestMode.WEBSOCKET,
    b"webtransport": RequestMode.WEBSOCKET,
}

_CORS = Subject(RequestMode.CORS, None)
_EXEMPT = {
    mode: Subject(mode, f"the request's mode is {mode.value}")
    for mode in (RequestMode.NO_CORS, RequestMode.NAVIGATE, RequestMode.SAME_ORIGIN, RequestMode.WEBSOCKET)
}
_SAME_ORIGIN = Subject(RequestMode.CORS, "the request goes to the page's own origin")
_EXTENSION = Subject(RequestMode.UNKNOWN, "an extension asks: its permissions, not the response, decide")
_WITHOUT_ORIGIN = Subject(RequestMode.UNKNOWN, "there is no Origin header: not a cross-origin CORS request")
_PING = Subject(RequestMode.NO_CORS, "it is a hyperlink's ping, whose answer nobody reads")
_BEACON = Subject(
    RequestMode.UNKNOWN,
    "it looks like a beacon or a no-cors fetch: plain text to a server that answers without any CORS header. A script "
    "that asked in mode cors would be blocked for the missing Access-Control-Allow-Origin",
)
_FORM = Subject(RequestMode.NAVIGATE, "it is a form's navigation (it asks for HTML and upgrades insecure requests)")


def is_cors_preflight(method: bytes, request: Headers) -> bool:
    """Tell a CORS-preflight request, https://fetch.spec.whatwg.org/#cors-preflight-request

    A script can't make one look like it: Access-Control-Request-Method is a forbidden request header.
    """
    return method == b"OPTIONS" and b"origin" in request and b"access-control-request-method" in request


def request_mode(method: bytes, request: Headers, fields: Fields, target: bytes) -> Subject:
    """Tell a request's mode, and whether the CORS protocol applies; `target` is the serialized origin of its URL.

    Sec-Fetch-Mode says it, https://w3c.github.io/webappsec-fetch-metadata/, but browsers send that to potentially
    trustworthy URLs only. On plain http the rest must tell: cross-origin only a CORS request puts Origin on GET and
    HEAD, and only a CORS request has another method or headers that scripts set. What stays is a POST that a form
    could have sent.
    """
    origin = request.get(b"origin")
    said = _MODES.get(request.get(b"sec-fetch-mode", b""))
    if said is not None and said is not RequestMode.CORS:
        return _EXEMPT[said]
    if request.get(b"upgrade", b"").lower() == b"websocket":
        return _EXEMPT[RequestMode.WEBSOCKET]
    if origin is None:
        return _SAME_ORIGIN if said else _WITHOUT_ORIGIN
    if origin.partition(b":")[0].decode("latin-1") in EXTENSION_SCHEMES:
        return _EXTENSION
    if origin == target:
        return _SAME_ORIGIN
    if said is RequestMode.CORS or method != b"POST":
        return _CORS
    content_type = request.get(b"content-type", b"").lower()
    if content_type == b"text/ping":
        return _PING
    # Only a navigation asks for HTML so; script-made POSTs that merely look alike are ambiguous, not exempt.
    if b"upgrade-insecure-requests" in request and b"text/html" in request.get(b"accept", b""):
        return _FORM
    return _CORS if script_set_names(fields) else Subject(RequestMode.UNKNOWN, None)


def post_mode(request: Headers, response: Headers) -> Subject:
    """Tell the mode of a POST that a form could have sent, over plain http, with the help of its response.

    A beacon and a no-cors fetch exist to deliver a body, so a POST without one comes from a script that wants the
    answer. A server that names another origin in Access-Control-Allow-Origin expects CORS requests here. A wildcard
    does not prove as much: servers put it on everything.
    """
    allowed = response.get(b"access-control-allow-origin")
    if b"content-type" not in request or (allowed is not None and allowed not in (b"*", request.get(b"origin"))):
        return _CORS
    if not any(name.startswith(b"access-control-") for name in response) and request[b"content-type"].lower().startswith(
        b"text/plain"
    ):
        return _BEACON
    return Subject(RequestMode.UNKNOWN, None)
