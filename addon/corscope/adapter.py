"""From mitmproxy's flows to exchanges. Reads flows and never changes one."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from corscope.headers import Fields, Headers
from corscope.model import Exchange
from corscope.modes import Head, read_head
from corscope.origins import DEFAULT_PORTS, ascii_host, serialize_origin
from corscope.privacy import shown_text

if TYPE_CHECKING:
    from mitmproxy import http


def path_of(flow: http.HTTPFlow) -> str:
    """Return path and query of a request."""
    return flow.request.data.path.decode("utf-8", "replace")


PAGE_ORIGIN = "corscope_page_origin"
"""Where a flow's metadata keep the Origin that the browser sent, if another one went to the server."""

LOCAL_ANSWER = "corscope_local_answer"
"""Set in the metadata of a flow whose preflight was answered here."""


def request_fields(flow: http.HTTPFlow) -> Fields:
    """Return a request's header fields as the browser sent them."""
    fields = flow.request.data.headers.fields
    origin = flow.metadata.get(PAGE_ORIGIN)
    if origin is None:
        return fields
    sent = origin.encode("latin-1", "replace")
    return tuple((name, sent if name.lower() == b"origin" else value) for name, value in fields)


def head(flow: http.HTTPFlow) -> Head:
    """Return what judging reads of a request's headers."""
    return read_head(request_fields(flow))


def client_key(flow: http.HTTPFlow, headers: Head) -> str:
    """Tell who sent a flow: address and User-Agent, the finest that the wire knows of a browser."""
    peer = flow.client_conn.peername
    return client_of(peer[0] if peer else "", headers.get(b"user-agent", b""))


@lru_cache(maxsize=1024)
def client_of(address: str, agent: bytes) -> str:
    """Return the same by address and User-Agent."""
    return f"{address} {agent!r}"


@lru_cache(maxsize=4096)
def parse_authority(authority: bytes, scheme: str) -> tuple[str, int] | None:
    """Return host (ASCII, lower case, no brackets) and port that a Host header or `:authority` names; None if none."""
    named = authority.decode("utf-8", "replace")
    if named.startswith("["):
        host, _, port = named[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = named.partition(":")
    if not host or not (port == "" or (port.isdecimal() and len(port) < 6)):
        return None
    return ascii_host(host), int(port) if port else DEFAULT_PORTS.get(scheme, 80)


class Destination(NamedTuple):
    """What a request asks, but for path and query."""

    scheme: str
    host: str
    """In ASCII, lower case, IPv6 without brackets."""
    port: int
    http_version: int
    """Major version, where 3 counts as 2: the browser spoke that to the proxy."""
    origin: str
    """The serialized origin of the URL."""


def destination(flow: http.HTTPFlow, headers: Headers) -> Destination:
    """Return what a flow, whose `head` `headers` are, asks, as the browser named it.

    The Host header knows better than the connection, which leads elsewhere in transparent mode, and in reverse mode
    where mitmproxy leaves the header alone (option keep_host_header).
    """
    data = flow.request.data
    return destination_of(
        data.scheme, data.authority, data.http_version, headers.get(b"host", b""), data.host, data.port
    )


# A page asks the same few hosts again and again.
@lru_cache(maxsize=1024)
def destination_of(
    scheme: bytes, authority: bytes, http_version: bytes, named: bytes, host: str, port: int
) -> Destination:
    """Return the same by the parts of a request.

    `named` is its Host header; `host` and `port` are those that mitmproxy connected to.
    """
    written = "https" if scheme == b"https" else scheme.decode("latin-1").lower()
    version = 1 if http_version.startswith((b"HTTP/1", b"http/1")) else 2
    where = parse_authority((authority if version > 1 else b"") or named, written) or (ascii_host(host), port)
    return Destination(written, *where, version, serialize_origin(written, *where).decode("utf-8", "replace"))


def url_of(flow: http.HTTPFlow, headers: Headers) -> str:
    """Return the URL of a flow, whose `head` `headers` are, as `modes.url_of` does that of its exchange."""
    return destination(flow, headers).origin + path_of(flow)


METADATA_KEY = "corscope"
"""Where a flow's verdict is kept in its metadata: `~meta` finds it."""


NOT_OURS = (LookupError, TypeError, ValueError, AttributeError)
"""What may come of reading a flow's verdict that is none of ours: anybody may have written a saved flow's metadata."""


def told(metadata: dict[str, Any]) -> dict[str, Any] | None:
    """Return the verdict in a flow's metadata, as JSON values; None where there is nothing that could be one."""
    data = metadata.get(METADATA_KEY)
    return data if isinstance(data, dict) else None


def was_edited(metadata: dict[str, Any]) -> bool:
    """Tell by the metadata of a recorded flow whether the headers of its response are our own work."""
    if PAGE_ORIGIN in metadata or LOCAL_ANSWER in metadata:
        return True
    return was_rewritten(told(metadata) or {})


def was_rewritten(data: dict[str, Any]) -> bool:
    """Tell by a verdict's JSON values whether the response was rewritten."""
    rewrite = data.get("rewrite")
    return isinstance(rewrite, dict) and bool(rewrite.get("applied"))


_CLIENT_GONE = (
    "Client disconnected",
    "client disconnected",
    "Client closed",
    "stream reset by client",
    "Connection killed.",
)
"""How mitmproxy's words begin for a request that the browser gave up, or the user killed: nothing was answered."""


_PEER_GONE = "peer closed connection"
"""What it says of an HTTP/2 connection's end, the browser's and a server's alike (proxy/layers/http/_http2.py)."""


def failed_exchange(flow: http.HTTPFlow, client: str, headers: Head) -> Exchange | None:
    """Return the exchange of a flow to which mitmproxy answers by itself, with an error page; None where it doesn't.

    mitmproxy keeps that page to itself: it has status 502, and no CORS header (proxy/layers/http/_http1.py).
    """
    if flow.error is None or (flow.error.msg == _PEER_GONE and not flow.client_conn.connected):
        return None
    return without_answer(exchange(flow, client, headers, answered=False), flow.error.msg, flow.error.timestamp)


def without_answer(asked: Exchange, error: str, at: float) -> Exchange | None:
    """Return what mitmproxy answers to a request by itself; None where nobody waits for an answer any more.

    `error` is what it says went wrong, `at` when, in seconds since the epoch.
    """
    if error.startswith(_CLIENT_GONE):
        return None
    return replace(
        asked,
        status=502,
        answered=max(asked.started, possible_time(at)),
        response_headers=((b"server", b"mitmproxy"),),
        proxy_made=True,
        proxy_error=shown_text(error),
    )


LATEST = 253_402_300_799.0
"""The last second of the year 9999, after which there are no dates."""


def possible_time(seconds: float) -> float:
    """Return a time of a flow, seconds since the epoch; 0 where it is none, such as NaN, which JSON can't tell."""
    return seconds if 0.0 <= seconds <= LATEST else 0.0


HAR_PEER = ("127.0.0.1", 0)
"""The client's address in flows that mitmproxy reads from a HAR (mitmproxy/io/har.py)."""


def exchange(flow: http.HTTPFlow, client: str, headers: Head, *, answered: bool = True) -> Exchange:
    """Return the exchange of a flow from `client`; without its response where `answered` is False or there is none.

    `headers` are the flow's `head`.
    """
    data, connection = flow.request.data, flow.client_conn
    response = flow.response.data if answered and flow.response is not None else None
    if response is not None and response.status_code == 0:
        # A browser's HAR has entries for requests that got no response.
        response = None
    from_har = not flow.live and connection.peername == HAR_PEER
    to = destination(flow, headers)
    started = ended = possible_time(data.timestamp_start)
    if response is not None:
        answered_at = response.timestamp_end if from_har else response.timestamp_start
        if answered_at is not None and possible_time(answered_at) > started:
            ended = answered_at
    return Exchange(
        id=flow.id,
        client=client,
        # A request that mitmproxy replays is the browser's, but not the connection it goes on; a HAR tells of none.
        connection=None if from_har or flow.is_replay == "request" else connection.id,
        started=started,
        answered=ended,
        method=data.method,
        scheme=to.scheme,
        host=to.host,
        port=to.port,
        path=path_of(flow),
        http_version=to.http_version,
        request_headers=request_fields(flow),
        request_picked=headers,
        status=response.status_code if response is not None else None,
        response_headers=response.headers.fields if response is not None else (),
        client_certificate=bool(connection.certificate_list),
        # Browsers leave Cookie and Authorization out of a HAR unless told otherwise.
        sanitized=from_har,
        in_order=not from_har,
        proxy_made=response is not None and response.status_code == 502 and is_mitmproxys(response.headers.fields),
    )


def is_mitmproxys(fields: Fields) -> bool:
    """Tell an error page of mitmproxy's own by its Server header."""
    return any(name.lower() == b"server" and value.startswith(b"mitmproxy") for name, value in fields)
