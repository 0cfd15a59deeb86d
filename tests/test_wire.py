"""With the addon, not one byte on the wire is another: what client and server receive is compared with and without."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, TrailersReceived

from proxies import Mitmdump, confdir
from servers import Asked, RawServer, hang_up

ORIGIN = "Origin: https://app.example"
ANSWERS = {
    "/simple": b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 4\r\n\r\nhere",
    "/blocked": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere",
    "/preflight": b"HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: https://app.example\r\n"
    b"Access-Control-Allow-Methods: PUT\r\nAccess-Control-Allow-Headers: X-Tag\r\nAccess-Control-Max-Age: 600\r\n\r\n",
    "/redirect": b"HTTP/1.1 307 Over There\r\nLocation: http://user:word@other.example/?token=1\r\n"
    b"Access-Control-Allow-Origin: *\r\nContent-Length: 0\r\n\r\n",
    "/chunked": b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\nhere\r\n6\r\n there\r\n0\r\n\r\n",
    "/events": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nAccess-Control-Allow-Origin: null\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n",
    "/odd": b"HTTP/1.1 299 As It Likes\r\naccess-control-ALLOW-origin:   *\r\nAccess-Control-Allow-Origin: \t\r\n"
    b"ACCESS-CONTROL-ALLOW-CREDENTIALS: true\r\naccess-control-allow-credentials:\r\nVary: Origin\r\nvary: Accept\r\n"
    b"Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nX-Empty:\r\nX-Byte: \xe9\xff\r\nContent-Length: 0\r\n\r\n",
    "/unmodified": b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nAccess-Control-Allow-Origin: *\r\n\r\n',
    "/refused": b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="r"\r\nContent-Length: 2\r\n\r\nno',
}

HOST = "Host: PLACE"
AGENT = "User-Agent: Mozilla/5.0 Chrome/140.0.0.0 Safari/537.36"
ASKS = ("Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-tag")
ODD = (
    "origin: https://app.example",
    "ORIGIN: https://app.example",
    "X-Tag:",
    "x-TAG:  a  ",
    "Cookie: a=1",
    "Cookie: b=2",
)
REQUESTS: tuple[tuple[str, str, tuple[str, ...], bytes], ...] = (
    ("GET", "/simple", (HOST, ORIGIN, AGENT), b""),
    ("GET", "/blocked", (ORIGIN, HOST, "Cookie: sid=1", AGENT), b""),
    ("OPTIONS", "/preflight", (HOST, ORIGIN, *ASKS, AGENT), b""),
    ("PUT", "/simple", (HOST, ORIGIN, "X-Tag: 1", "Content-Length: 4", AGENT), b"body"),
    ("POST", "/simple", (HOST, ORIGIN, "Transfer-Encoding: chunked", AGENT), b"4\r\nbody\r\n0\r\n\r\n"),
    ("patch", "/simple", (HOST, ORIGIN, "Content-Length: 0"), b""),
    ("GET", "/redirect", (HOST, ORIGIN, AGENT), b""),
    ("GET", "/chunked", (HOST, ORIGIN, AGENT), b""),
    ("GET", "/events", (HOST, "Origin: null", "Accept: text/event-stream", AGENT), b""),
    ("GET", "/odd", (HOST, *ODD, AGENT), b""),
    ("GET", "/unmodified", (HOST, ORIGIN, 'If-None-Match: "1"', AGENT), b""),
    ("GET", "/refused", (HOST, ORIGIN, "Authorization: Basic YTpi", AGENT), b""),
    ("GET", "/simple?a=%20&b=%C3%A9;c='", (HOST, AGENT), b""),
    ("HEAD", "/blocked", (HOST, ORIGIN), b""),
)


def answer(asked: Asked, connection: socket.socket) -> None:
    """Answers as the table says, in two pieces so that something is seen of how they are passed on."""
    whole = ANSWERS[asked.path.partition("?")[0]]
    if asked.method == "HEAD":
        whole = whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    middle = len(whole) - len(whole) // 4
    connection.sendall(whole[:middle])
    connection.sendall(whole[middle:])


def complete(method: str, received: bytes) -> bool:
    """Whether a response is all there."""
    head, found, body = received.partition(b"\r\n\r\n")
    if not found or method == "HEAD" or re.match(rb"HTTP/1\.1 (204|304) ", head):
        return bool(found)
    if length := re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE):
        return len(body) >= int(length[1])
    return body.endswith(b"0\r\n\r\n")


@dataclass
class Seen:
    """What went over the wire on one run."""

    client: list[bytes] = field(default_factory=list)
    """What the client received, response by response."""
    server: list[bytes] = field(default_factory=list)
    """What the server received, request by request."""


def over_http_1(proxy: Mitmdump, server: RawServer) -> list[bytes]:
    """Sends every request on one connection."""
    seen = []
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as connection:
        for method, path, lines, body in REQUESTS:
            head = "\r\n".join([f"{method} {server.url(path)} HTTP/1.1", *lines, "", ""])
            connection.sendall(head.replace("PLACE", f"127.0.0.1:{server.port}").encode("latin-1") + body)
            received = b""
            while not complete(method, received):
                piece = connection.recv(65536)
                assert piece, f"{method} {path} was broken off: {received!r}"
                received += piece
            seen.append(received)
    return seen


def over_http_2(proxy: Mitmdump, server: RawServer) -> list[bytes]:
    """Sends every request that HTTP/2 allows, each on a stream of one connection, and lists each stream's events."""
    context = ssl.create_default_context(cafile=confdir() / "mitmproxy-ca-cert.pem")
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as plain:
        plain.sendall(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        assert plain.recv(65536).startswith(b"HTTP/1.1 200")
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            assert connection.selected_alpn_protocol() == "h2"
            return [over_stream(connection, client, *request) for client in [started(connection)] for request in HTTP_2]


HTTP_2 = tuple(
    (method, path, [line.partition(": ")[::2] for line in lines if line != HOST and not line.startswith("Transfer")])
    for method, path, lines, body in REQUESTS
    if not body and path != "/odd"
)


def started(connection: ssl.SSLSocket) -> H2Connection:
    """Opens HTTP/2 on a connection."""
    client = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    client.initiate_connection()
    connection.sendall(client.data_to_send())
    return client


def over_stream(
    connection: ssl.SSLSocket, client: H2Connection, method: str, path: str, lines: list[tuple[str, str]]
) -> bytes:
    """Sends one request and returns what came back, as one value to compare."""
    stream = client.get_next_available_stream_id()
    pseudo = [(":method", method), (":scheme", "https"), (":authority", "127.0.0.1"), (":path", path)]
    headers = [*pseudo, *((name.lower(), value) for name, value in lines)]
    client.send_headers(stream, headers, end_stream=True)
    connection.sendall(client.data_to_send())
    seen: list[object] = []
    while True:
        for event in client.receive_data(connection.recv(65536)):
            if isinstance(event, ResponseReceived | TrailersReceived):
                seen.append(event.headers)
            elif isinstance(event, DataReceived):
                seen.append(event.data)
            elif isinstance(event, StreamEnded):
                return repr(seen).encode()
        connection.sendall(client.data_to_send())


def run(
    send: Callable[[Mitmdump, RawServer], list[bytes]], server: RawServer, *arguments: str, addon: bool, **options: str
) -> Seen:
    """One run through a mitmdump."""
    server.asked.clear()
    with Mitmdump(*arguments, addon=addon, **options) as proxy:
        client = send(proxy, server)
        said = proxy.stop()
    assert "Traceback" not in said
    assert ("CORS blocked" in said) is addon
    return Seen(client, [one.head + one.body for one in server.asked])


ELSEWHERE = {
    "cors_rewrite": "all",
    "cors_allow_origins": "https://*.other.example",
    "cors_preflight": "local",
    "cors_upstream_origin": "https://www.other.example",
    "cors_rewrite_cookies": "partitioned",
    "cors_expose_headers": "*",
}
"""Rewriting of everything, but for an origin that none of the requests has."""


@pytest.mark.parametrize("rewriting", [{}, ELSEWHERE], ids=["off", "elsewhere"])
@pytest.mark.parametrize("options", [{}, {"stream_large_bodies": "1"}], ids=["whole", "streamed"])
def test_http_1_is_the_same_to_the_byte(options: dict[str, str], rewriting: dict[str, str]) -> None:
    with RawServer(answer) as server:
        without = run(over_http_1, server, addon=False, **options)
        with_it = run(over_http_1, server, addon=True, **options, **rewriting)
    assert len(without.client) == len(without.server) == len(REQUESTS)
    assert with_it == without
    # The comparison is of what was meant to be sent: mitmproxy itself passes on odd headers as they are.
    assert b"access-control-ALLOW-origin:" in without.client[9]
    assert without.server[9].count(b"Cookie: ") == 2


def test_http_2_is_the_same_header_by_header(tmp_path: Path) -> None:
    """The client speaks HTTP/2 to mitmproxy, which speaks HTTP/1.1 to the server."""
    script = tmp_path / "plain.py"
    script.write_text("def request(flow):\n    flow.request.scheme = 'http'\n")
    with RawServer(answer) as server:
        without = run(over_http_2, server, "-s", str(script), addon=False)
        with_it = run(over_http_2, server, "-s", str(script), addon=True)
    assert len(without.client) == len(without.server) == len(HTTP_2)
    assert with_it == without
    assert b"(b':status', b'204'), (b'access-control-allow-origin'" in without.client[2]


def test_a_broken_off_response_is_the_same() -> None:
    def cut(asked: Asked, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbeginning")
        hang_up(connection)

    def send(proxy: Mitmdump, server: RawServer) -> list[bytes]:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as connection:
            connection.sendall(f"GET {server.url('/cut')} HTTP/1.1\r\nHost: x\r\n{ORIGIN}\r\n\r\n".encode())
            received = b""
            while piece := connection.recv(65536):
                received += piece
            return [received]

    with RawServer(cut) as server:
        without = run(send, server, addon=False)
        with_it = run(send, server, addon=True)
    assert without.client[0]
    assert with_it == without
