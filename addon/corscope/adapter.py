"""From mitmproxy's flows to exchanges. Reads flows and never changes one."""

from mitmproxy import http

from corscope.model import Exchange
from corscope.origins import DEFAULT_PORTS, ascii_host


def client_key(flow: http.HTTPFlow) -> str:
    """Tell who sent a flow: address and User-Agent, the finest that the wire knows of a browser."""
    peer = flow.client_conn.peername
    agent = b""
    for name, value in flow.request.data.headers.fields:
        if len(name) == 10 and name.lower() == b"user-agent":
            agent = value
            break
    return f"{peer[0] if peer else ''} {agent.decode('latin-1')}"


def authority(flow: http.HTTPFlow) -> tuple[str, int]:
    """Return host (ASCII, lower case, no brackets) and port as the browser named them.

    The Host header knows better than the connection: in reverse and transparent mode that leads elsewhere.
    """
    request = flow.request
    named = request.host_header or ""
    host, port = named, None
    if named.startswith("["):
        host, _, rest = named[1:].partition("]")
        port_text = rest[1:]
    else:
        host, _, port_text = named.partition(":")
    if port_text.isdigit() and len(port_text) < 6:
        port = int(port_text)
    elif not port_text:
        port = DEFAULT_PORTS.get(request.scheme)
    if not host or port is None:
        return ascii_host(request.host), request.port
    return ascii_host(host), port


def has_origin(flow: http.HTTPFlow) -> bool:
    """Tell whether a request has an Origin header: only then CORS may concern it."""
    return any(len(name) == 6 and name.lower() == b"origin" for name, _ in flow.request.data.headers.fields)


def exchange(flow: http.HTTPFlow, *, answered: bool = True) -> Exchange:
    """Return the exchange of a flow; without its response where `answered` is False or there is none."""
    request = flow.request
    response = flow.response if answered else None
    host, port = authority(flow)
    started = request.timestamp_start
    answered_at = started
    if response is not None:
        answered_at = max(response.timestamp_start or response.timestamp_end or started, started)
    return Exchange(
        id=flow.id,
        client=client_key(flow),
        # A request that mitmproxy replays is the browser's, but not the connection it goes on.
        connection=None if flow.is_replay == "request" else flow.client_conn.id,
        started=started,
        answered=answered_at,
        method=request.data.method,
        scheme=request.scheme,
        host=host,
        port=port,
        path=request.path,
        http_version=1 if request.data.http_version.startswith(b"HTTP/1") else 2,
        request_headers=request.data.headers.fields,
        status=response.status_code if response is not None else None,
        response_headers=response.data.headers.fields if response is not None else (),
        client_certificate=bool(flow.client_conn.certificate_list),
        proxy_made=flow.error is not None,
    )
