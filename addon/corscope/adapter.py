"""From mitmproxy's flows to exchanges. Reads flows and never changes one."""

from mitmproxy import http

from corscope.model import Exchange
from corscope.origins import DEFAULT_PORTS, ascii_host

PROXY_ERROR_STATUS = 502


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


def exchange(flow: http.HTTPFlow) -> Exchange:
    """Return the exchange of a flow; its response may still be on its way (status None)."""
    request, response = flow.request, flow.response
    host, port = authority(flow)
    started = request.timestamp_start
    answered = started
    if response is not None:
        answered = response.timestamp_start or response.timestamp_end or started
    return Exchange(
        id=flow.id,
        client=client_key(flow),
        connection=flow.client_conn.id,
        started=started,
        answered=max(answered, started),
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
