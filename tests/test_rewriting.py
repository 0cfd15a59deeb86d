"""Rewriting in a real mitmdump, in front of servers that get CORS wrong, and the options and commands for it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import ctx, exceptions
from mitmproxy import http as mitmproxy_http
from mitmproxy.addons import view
from mitmproxy.certs import CertStore
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.options import Options

from corscope import report
from corscope.addon import CorsAddon
from proxies import (
    API,
    PAGE,
    Mitmdump,
    allowed_flow,
    blocked_flow,
    confdir,
    cors_flow,
    eventually,
    exempt_flow,
    final,
    read_report,
    replay,
)
from servers import Asked, RawServer, respond
from test_addon import in_mitmproxy, inside_mitmproxy, judged, proof, unproven_flow
from test_properties import LINES

ORIGIN = "https://app.example"
ASKS = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-tag"}


def handle(asked: Asked, connection: socket.socket) -> None:
    """Answers each path with a fault of its own."""
    if asked.path == "/picky" and asked.header("origin") not in (None, "https://known.example"):
        respond(connection, status="403 Forbidden", body=b"unknown origin")
    elif asked.path == "/picky":
        respond(connection, f"Access-Control-Allow-Origin: {asked.header('origin')}", body=b"welcome")
    elif asked.path == "/hangs" and asked.method == "OPTIONS":
        connection.recv(1)  # until the proxy goes
    elif asked.path == "/chunked" and asked.method == "OPTIONS":
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nno ro\r\n")
        connection.sendall(b"3\r\nute\r\n0\r\n\r\n")
    elif asked.path == "/late" and asked.method == "OPTIONS":
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\n")
        time.sleep(0.1)
        connection.sendall(b"no route")
    elif asked.method == "OPTIONS":
        respond(connection, "Content-Type: text/html", status="404 Not Found", body=b"<h1>no route</h1>")
    elif asked.path == "/events":
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b"9\r\ndata: 1\n\n\r\n")
        # The rest comes only when the first event has arrived.
        connection.recv(1)
    elif asked.path == "/cut":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhere")
        connection.shutdown(socket.SHUT_RDWR)
    elif asked.path == "/invalid":
        respond(connection, "No Name: 1", body=b"here")
    elif asked.path == "/fine":
        allows = (f"Access-Control-Allow-Origin: {ORIGIN}", "Access-Control-Allow-Credentials: true")
        respond(connection, *allows, "Set-Cookie: a=1", body=b"fine")
    elif asked.path == "/odd":
        respond(
            connection, "X-Byte: \xe9\xff", "Set-Cookie: a=1", "Set-Cookie: b=2; SameSite=Lax", "Vary: Accept",
            "Access-Control-Allow-Origin: *", "access-control-allow-origin: *", body=b"odd",
        )  # fmt: skip
    else:
        respond(connection, body=b"here")


class Client:
    """Sends requests of a page through a proxy."""

    def __init__(self, proxy: Mitmdump, server_port: int) -> None:
        self.proxy, self.port = proxy, server_port

    def send(
        self, method: str, path: str, *, origin: str | None = ORIGIN, headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=20)
        said = {"Host": f"127.0.0.1:{self.port}", "Sec-Fetch-Mode": "cors", **(headers or {})}
        if origin is not None:
            said["Origin"] = origin
        connection.request(method, f"http://127.0.0.1:{self.port}{path}", headers=said)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, body


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(handle) as running:
        yield running


def rewriting(**options: object) -> Mitmdump:
    return Mitmdump(**{"cors_rewrite": "blocked", "cors_allow_origins": ORIGIN, **options})


def cors_headers(response: http.client.HTTPResponse) -> dict[str, list[str]]:
    """The CORS headers of a response, each with its lines."""
    found: dict[str, list[str]] = {}
    for name, value in response.getheaders():
        if name.lower().startswith("access-control-"):
            found.setdefault(name.lower().removeprefix("access-control-"), []).append(value)
    return found


LET_IN = {"allow-origin": [ORIGIN], "allow-credentials": ["true"]}


# -- on the wire -------------------------------------------------------------------------------------------------------


def test_an_actual_response_is_let_in_and_says_what_changed(server: RawServer, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    with rewriting(cors_report=report) as proxy:
        response, body = Client(proxy, server.port).send("GET", "/bare", headers={"Cookie": "sid=s3cret"})
        (line,) = eventually(lambda: read_report(report))
    assert (cors_headers(response), response.headers["Vary"], body) == (LET_IN, "Origin", b"here")
    assert (line["verdict"], line["credentials"]) == ("allowed", "include")
    rewrite = line["rewrite"]
    assert (rewrite["applied"], rewrite["verdict_before"]) == (True, "blocked")
    assert rewrite["devtools_error_before"] == "MissingAllowOriginHeader"
    assert rewrite["edits"][0] == {
        "operation": "set",
        "header": "Access-Control-Allow-Origin",
        "before": [],
        "after": [ORIGIN],
        "cures": "allow-origin-missing",
    }
    assert "s3cret" not in report.read_text()


def test_an_origin_that_is_not_listed_gets_what_the_server_sent(server: RawServer) -> None:
    with rewriting(cors_rewrite="all") as proxy:
        client = Client(proxy, server.port)
        for origin in ("https://app.example.evil.test", "null", None):
            response, _ = client.send("GET", "/bare", origin=origin)
            assert cors_headers(response) == {}


def test_a_filter_narrows_it(server: RawServer) -> None:
    with rewriting(cors_filter="~u /bare") as proxy:
        client = Client(proxy, server.port)
        assert cors_headers(client.send("GET", "/bare")[0]) == LET_IN
        assert cors_headers(client.send("GET", "/other")[0]) == {}


def test_a_failing_preflight_becomes_a_good_one_without_its_body(server: RawServer) -> None:
    with rewriting(cors_max_age=5) as proxy:
        response, body = Client(proxy, server.port).send("OPTIONS", "/bare", headers=ASKS)
    assert (response.status, body) == (204, b"")
    assert cors_headers(response) == {
        **LET_IN, "allow-methods": ["PUT"], "allow-headers": ["x-tag"], "max-age": ["5"]
    }  # fmt: skip
    assert response.headers["Content-Type"] is None


@pytest.mark.parametrize("path", ["/late", "/chunked"])
def test_an_error_body_goes_from_a_streamed_response_too(path: str, server: RawServer) -> None:
    """Otherwise it would be taken for the beginning of the next response on the connection."""
    with (
        rewriting(stream_large_bodies="1") as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as connection,
    ):
        asks = "\r\n".join(f"{name}: {value}" for name, value in ASKS.items())
        for method, more in (("OPTIONS", f"\r\n{asks}"), ("GET", "\r\nConnection: close")):
            head = f"{method} {server.url(path)} HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}{more}\r\n\r\n"
            connection.sendall(head.encode())
            if method == "OPTIONS":
                first = b""
                while not first.endswith(b"\r\n\r\n"):
                    first += connection.recv(1)
        rest = b""
        while piece := connection.recv(65536):
            rest += piece
    assert first.startswith(b"HTTP/1.1 204")
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


def test_what_another_addon_changes_afterwards_leaves_with_what_was_said(server: RawServer, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    with rewriting(cors_report=report, modify_headers="/~s/X-Foo/1") as proxy:
        response, _ = Client(proxy, server.port).send("GET", "/bare")
        lines = eventually(lambda: (found := read_report(report)) and len(found) > 1 and found)
    assert (cors_headers(response), response.headers["X-Foo"]) == (LET_IN, "1")
    assert lines[-1]["rewrite"] == lines[0]["rewrite"]
    assert (
        lines[-1]["rewrite"]["verdict_before"] == "conditional" or lines[-1]["rewrite"]["verdict_before"] == "blocked"
    )


def test_what_has_left_is_not_said_to_be_rewritten(server: RawServer, tmp_path: Path) -> None:
    """Another addon takes a header from a streamed response that had passed."""
    report = tmp_path / "report.jsonl"
    stripped = "/~s/Access-Control-Allow-Origin/"
    with rewriting(cors_report=report, modify_headers=stripped, stream_large_bodies="1") as proxy:
        response, _ = Client(proxy, server.port).send("GET", "/fine")
        lines = eventually(lambda: (found := read_report(report)) and len(found) > 1 and found)
    assert "allow-origin" not in cors_headers(response)
    assert [line["verdict"] for line in lines] == ["allowed", "blocked"]
    assert not lines[-1]["rewrite"]["applied"]
    assert "another addon" in lines[-1]["rewrite"]["why_not"]


def test_what_is_mapped_is_not_looked_for(server: RawServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    fixture = tmp_path / "fixture.txt"
    fixture.write_text("mocked")
    with rewriting(map_local=f"|/fixture|{fixture}") as proxy:
        client = Client(proxy, port)
        client.send("GET", "/gone")
        response, body = client.send("GET", "/fixture")
    assert (response.status, body) == (200, b"mocked")


def test_an_upload_that_is_streamed_goes_in_the_known_origins_name(server: RawServer) -> None:
    with (
        rewriting(stream_large_bodies="1", cors_upstream_origin="https://known.example") as proxy,
    ):
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
        said = {"Origin": ORIGIN, "Sec-Fetch-Mode": "cors", "Host": f"127.0.0.1:{server.port}"}
        connection.request("PUT", server.url("/picky"), body=b"x" * 1000, headers=said)
        response = connection.getresponse()
        response.read()
        connection.close()
    assert server.asked[0].header("origin") == "https://known.example"
    assert cors_headers(response) == LET_IN


@pytest.mark.parametrize("mode", ["blocked", "all"])
def test_a_preflight_may_be_answered_without_the_server(mode: str, server: RawServer, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    with rewriting(cors_rewrite=mode, cors_preflight="local", cors_report=report) as proxy:
        client = Client(proxy, server.port)
        response, _ = client.send("OPTIONS", "/hangs", headers=ASKS)
        assert response.status == 204
        actual, body = client.send("PUT", "/hangs", headers={"X-Tag": "1"})
        lines = eventually(lambda: [line for line in final(read_report(report)) if line["method"] == "PUT"])
    assert (cors_headers(actual), body) == (LET_IN, b"here")
    assert [asked.method for asked in server.asked] == ["PUT"]
    assert lines[0]["preflight"]
    (asked,) = [line for line in final(read_report(report)) if line["method"] == "OPTIONS"]
    assert "answered by the proxy" in " ".join(asked["rewrite"]["notes"])


def test_a_preflight_that_nothing_can_permit_goes_to_the_server(server: RawServer) -> None:
    with rewriting(cors_preflight="local") as proxy:
        for name, value in (("Method", "GE T"), ("Headers", "x a")):
            asks = {**ASKS, f"Access-Control-Request-{name}": value}
            response, _ = Client(proxy, server.port).send("OPTIONS", "/x", headers=asks)
            assert (response.status, cors_headers(response)) == (404, {})


def test_a_server_that_knows_another_origin_only(server: RawServer, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    with rewriting(cors_upstream_origin="https://known.example", cors_report=report) as proxy:
        response, body = Client(proxy, server.port).send("GET", "/picky")
        (line,) = eventually(lambda: read_report(report))
    assert (response.status, body, cors_headers(response)) == (200, b"welcome", LET_IN)
    assert server.asked[0].header("origin") == "https://known.example"
    assert (line["origin"], line["verdict"]) == (ORIGIN, "allowed")
    assert "was asked with Origin: https://known.example" in " ".join(line["rewrite"]["notes"])
    named, credentials = line["rewrite"]["edits"][:2]
    assert (named["header"], named["before"]) == ("Access-Control-Allow-Origin", ["https://known.example"])
    assert (named["after"], credentials["after"]) == ([ORIGIN], ["true"])


def test_a_filter_sees_the_origin_that_the_browser_sent(server: RawServer) -> None:
    upstream = "https://known.example"
    with rewriting(cors_upstream_origin=upstream, cors_filter=f"~hq 'origin: {ORIGIN}'") as proxy:
        response, _ = Client(proxy, server.port).send("GET", "/bare")
    assert server.asked[0].header("origin") == upstream
    assert cors_headers(response) == LET_IN


def test_an_origin_of_odd_bytes_comes_back_and_can_be_saved(server: RawServer, tmp_path: Path) -> None:
    saved = tmp_path / "saved.mitm"
    odd = "https://m\xfc\xff.example"
    options = {"cors_upstream_origin": "https://known.example", "cors_allow_origins": "*", "save_stream_file": saved}
    with rewriting(**options) as proxy:
        response, _ = Client(proxy, server.port).send("GET", "/picky", origin=odd)
    assert cors_headers(response)["allow-origin"] == [odd]
    with saved.open("rb") as file:
        assert len(list(FlowReader(file).stream())) == 1


def test_what_is_no_cors_request_goes_as_it_came(server: RawServer) -> None:
    with rewriting(cors_upstream_origin="https://known.example", cors_allow_origins="*") as proxy:
        client = Client(proxy, server.port)
        own = f"http://127.0.0.1:{server.port}"
        client.send("POST", "/own", origin=own, headers={"Sec-Fetch-Site": "same-origin"})
        client.send("POST", "/form", headers={"Sec-Fetch-Mode": "navigate"})
    assert [asked.header("origin") for asked in server.asked] == [own, ORIGIN]


def test_cookies_and_exposed_headers_are_looked_after_where_nothing_else_is_wrong(server: RawServer) -> None:
    with rewriting(cors_rewrite_cookies="cross-site", cors_expose_headers="X-Total") as proxy:
        response, _ = Client(proxy, server.port).send("GET", "/fine")
    assert response.headers["Set-Cookie"] == "a=1; SameSite=None; Secure"
    assert cors_headers(response) == {**LET_IN, "expose-headers": ["X-Total"]}
    # It is allowed as it is, without Vary too.
    assert response.headers["Vary"] is None


@pytest.mark.parametrize("options", [{}, {"stream_large_bodies": "1"}])
def test_events_arrive_while_the_stream_is_open(options: dict[str, str], server: RawServer) -> None:
    with (
        rewriting(**options) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as connection,
    ):
        head = (
            f"GET {server.url('/events')} HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\nAccept: text/event-stream\r\n\r\n"
        )
        connection.sendall(head.encode())
        received = b""
        while b"data: 1" not in received:
            piece = connection.recv(65536)
            assert piece
            received += piece
    assert f"Access-Control-Allow-Origin: {ORIGIN}\r\n".encode() in received


def test_odd_headers_survive(server: RawServer) -> None:
    with rewriting(cors_rewrite_cookies="cross-site", cors_expose_headers="*") as proxy:
        response, _ = Client(proxy, server.port).send("GET", "/odd")
    assert cors_headers(response) == {**LET_IN, "expose-headers": ["X-Byte"]}
    assert response.headers.get_all("Vary") == ["Accept, Origin"]
    assert response.getheader("X-Byte") == "\xe9\xff"
    # The server is on 127.0.0.1, which is trustworthy as localhost is.
    assert response.headers.get_all("Set-Cookie") == [
        "a=1; SameSite=None; Secure",
        "b=2; SameSite=None; Secure",
    ]


def test_a_server_that_is_not_there_is_named_and_can_be_read_about(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with rewriting(cors_report=report) as proxy:
        client = Client(proxy, port)
        first, _ = client.send("GET", "/gone")
        (line,) = eventually(lambda: read_report(report))
        second, body = client.send("GET", "/gone")
        lines = eventually(lambda: (found := read_report(report)) and len(found) > 1 and found)
    # mitmproxy's own error page is nobody's to change.
    assert (first.status, cors_headers(first)) == (502, {})
    assert (line["verdict"], line["status"]) == ("blocked", 502)
    assert "proxy-error" in [finding["id"] for finding in line["findings"]]
    assert (second.status, cors_headers(second)) == (502, LET_IN)
    assert f"No server answers at 127.0.0.1:{port}".encode() in body
    assert lines[-1]["verdict"] == "allowed"


@pytest.mark.parametrize("path", ["/cut", "/invalid", "/large"])
def test_a_response_that_mitmproxy_gives_up_is_no_success(path: str, server: RawServer, tmp_path: Path) -> None:
    """What the browser gets is mitmproxy's own error page, whatever headers the server has sent."""
    report = tmp_path / "report.jsonl"
    with rewriting(cors_report=report, body_size_limit="2" if path == "/large" else "1m") as proxy:
        response, _ = Client(proxy, server.port).send("GET", path)
        line = eventually(lambda: [one for one in final(read_report(report)) if one["status"] == 502])[0]
    assert (response.status, cors_headers(response)) == (502, {})
    assert (line["verdict"], line.get("rewrite")) == ("blocked", None)
    assert "proxy-error" in [finding["id"] for finding in line["findings"]]


def test_a_server_whose_certificate_is_not_trusted_can_be_read_about(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    CertStore.from_store(confdir(), "mitmproxy", 2048)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(confdir() / "mitmproxy-ca.pem")
    trusting = ssl.create_default_context(cafile=confdir() / "mitmproxy-ca-cert.pem")
    with RawServer(handle, context) as server, rewriting(cors_report=report) as proxy:
        seen = []
        for _ in range(2):
            connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, timeout=20, context=trusting)
            connection.set_tunnel("localhost", server.port)
            connection.request("GET", "/bare", headers={"Origin": ORIGIN, "Sec-Fetch-Mode": "cors"})
            response = connection.getresponse()
            seen.append((response.status, cors_headers(response), response.read()))
            connection.close()
        lines = eventually(lambda: (found := read_report(report)) and len(found) > 1 and found)
    (first, second) = seen
    assert first[:2] == (502, {})
    assert "ertificate verify failed" in str(lines[0]["findings"])
    assert second[:2] == (502, LET_IN)
    assert f"No secure connection to localhost:{server.port}" in second[2].decode()


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cors_rewrite": "all"}, "cors_rewrite=all needs cors_allow_origins"),
        ({"cors_rewrite": "some"}, "cors_rewrite takes off, blocked, all, not 'some'"),
        ({"cors_allow_origins": "https://app.example/"}, "write https://app.example"),
        ({"cors_allow_origins": "https://app.example:443"}, "write https://app.example"),
        ({"cors_allow_origins": "app.example"}, "write https://app.example"),
        ({"cors_allow_origins": "~("}, "is no regular expression"),
        ({"cors_allow_origins": "https://*.co.uk"}, "everybody who has a name below co.uk"),
        ({"cors_filter": "~nonsense"}, "is no flow filter"),
        ({"cors_preflight": "maybe"}, "cors_preflight takes server, local, not 'maybe'"),
        ({"cors_upstream_origin": "app.example"}, "cors_upstream_origin: 'app.example' has no scheme"),
        ({"cors_max_age": "-1"}, "cors_max_age takes seconds from 0 on"),
        ({"cors_max_age": "x"}, "cors_max_age takes seconds from 0 on, such as 600, not 'x'"),
        ({"cors_expose_headers": "a b@"}, "'b@' is no header name"),
        ({"cors_rewrite_cookies": "yes"}, "cors_rewrite_cookies takes off, cross-site, partitioned, not 'yes'"),
    ],
)
def test_a_wrong_option_is_refused_with_the_right_one(options: dict[str, str], said: str) -> None:
    with inside_mitmproxy() as (_, all_options), pytest.raises(exceptions.OptionsError) as raised:
        # As the command line does.
        all_options.set(*(f"{name}={value}" for name, value in options.items()))
    assert said in str(raised.value)


def test_a_wrong_option_ends_mitmdump(tmp_path: Path) -> None:
    recording = tmp_path / "empty.mitm"
    recording.write_bytes(b"")
    done = replay(recording, cors_rewrite="all")
    assert done.returncode != 0
    assert "cors_rewrite=all needs cors_allow_origins" in done.stdout
    assert "Traceback" not in done.stdout


@in_mitmproxy
async def test_a_wrong_change_keeps_the_old_value(caplog: pytest.LogCaptureFixture) -> None:
    with inside_mitmproxy() as (addon, options):
        options.update(cors_rewrite="all", cors_allow_origins=[PAGE])
        for wrong in ({"cors_allow_origins": []}, {"cors_allow_origins": ["x y"]}, {"cors_filter": "~nonsense"}):
            with pytest.raises(exceptions.OptionsError):
                options.update(**wrong)
        assert (options.cors_allow_origins, options.cors_filter) == ([PAGE], "")
        assert judged(blocked_flow(live=True), addon).response.headers["access-control-allow-origin"] == PAGE
        assert not caplog.records
        options.update(cors_allow_origins=["*"])
        assert ["any site open in this browser" in record.getMessage() for record in caplog.records] == [True]


# -- on the flow -------------------------------------------------------------------------------------------------------


@pytest.fixture
def rewriter() -> Iterator[tuple[CorsAddon, Options]]:
    with inside_mitmproxy() as (addon, options):
        options.update(cors_rewrite="blocked", cors_allow_origins=[PAGE])
        yield addon, options


@in_mitmproxy
async def test_the_comment_shows_each_header_before_and_after(rewriter: tuple[CorsAddon, Options]) -> None:
    flow = judged(blocked_flow(live=True), rewriter[0])
    headline, *rest = flow.comment.split("\n")
    assert headline == "* with credentials — rewritten, CORS allowed"
    assert f"  access-control-allow-origin: {PAGE}   (was: *)   mends allow-origin-wildcard-with-credentials" in rest
    assert any("What the server should send" in line for line in rest)
    assert any("has been blocked by CORS policy" in line for line in rest)
    assert flow.marked == ":wrench:"
    assert flow.metadata["corscope"]["verdict"] == "allowed"
    explained = report.explanation(flow.metadata["corscope"])
    assert (
        f"  access-control-allow-origin: {PAGE}   (was: *)   mends allow-origin-wildcard-with-credentials" in explained
    )
    assert json.loads(json.dumps(flow.metadata["corscope"])) == flow.metadata["corscope"]


@in_mitmproxy
async def test_blocked_leaves_alone_what_is_fine_and_all_does_not(rewriter: tuple[CorsAddon, Options]) -> None:
    addon, options = rewriter
    before = allowed_flow(live=True)
    fields = before.response.headers.fields if before.response else ()
    assert judged(before, addon).response.headers.fields == fields
    options.update(cors_rewrite="all")
    assert judged(allowed_flow(live=True), addon).response.headers["vary"] == "Origin"
    exempt = exempt_flow(live=True)
    state = exempt.get_state()
    assert judged(exempt, addon).get_state() == state


@in_mitmproxy
async def test_our_own_headers_are_no_evidence_against_the_server(rewriter: tuple[CorsAddon, Options]) -> None:
    addon, options = rewriter
    pages = ("https://app.example", "https://shop.test")
    options.update(cors_rewrite="all", cors_allow_origins=list(pages))
    cookie = [("cookie", "sid=1")]
    said: list[str] = []
    for page in pages:
        for request, method in ((cookie, "GET"), ([("access-control-request-method", "PUT")], "OPTIONS")):
            for _ in range(4):
                flow = judged(cors_flow(origin=page, method=method, request=request, live=True), addon)
                assert flow.metadata["corscope"]["verdict"] == "allowed"
                said += [one["id"] for one in flow.metadata["corscope"]["findings"]]
    # Two origins are let in by name and with credentials, and no preflight is to be kept: by us.
    assert not {"origin-reflected-with-credentials", "preflights-repeated", "vary-origin-missing"} & set(said)


@in_mitmproxy
async def test_what_no_header_mends_passes_untouched_and_says_why(rewriter: tuple[CorsAddon, Options]) -> None:
    there = [("access-control-allow-origin", "*"), ("location", "https://user:s3cret@other.example/")]
    flow = cors_flow(status=302, response=there, live=True)
    fields = flow.response.headers.fields if flow.response else ()
    assert judged(flow, rewriter[0]).response.headers.fields == fields
    assert "Not rewritten: no header mends redirect-with-user-info." in flow.comment
    assert flow.metadata["corscope"]["rewrite"]["applied"] is False
    assert "s3cret" not in flow.comment + json.dumps(flow.metadata["corscope"])


def test_recorded_flows_are_never_changed(tmp_path: Path) -> None:
    recording, again, report = tmp_path / "flows.mitm", tmp_path / "again.mitm", tmp_path / "report.jsonl"
    with recording.open("wb") as file:
        FlowWriter(file).add(blocked_flow())
    done = replay(
        recording,
        "-w",
        str(again),
        cors_rewrite="all",
        cors_allow_origins=PAGE,
        cors_report=report,
        cors_preflight="local",
    )
    assert done.returncode == 0, done.stdout
    with again.open("rb") as file:
        (flow,) = FlowReader(file).stream()
    assert isinstance(flow, mitmproxy_http.HTTPFlow)
    assert flow.response
    assert flow.response.headers.fields == ((b"access-control-allow-origin", b"*"),)
    assert "Would be allowed after this change" in flow.comment
    (line,) = read_report(report)
    assert (line["verdict"], line["rewrite"]["applied"]) == ("blocked", False)
    assert line["rewrite"]["edits"][0]["after"] == [PAGE]


@in_mitmproxy
async def test_what_mitmproxy_sends_again_is_not_rewritten(rewriter: tuple[CorsAddon, Options]) -> None:
    """No browser waits for it, and who asks again wants to see what the server says."""
    addon, options = rewriter
    options.update(cors_preflight="local", cors_upstream_origin="https://known.example")
    flow = blocked_flow(live=True)
    flow.is_replay = "request"
    assert flow.response
    fields = flow.response.headers.fields
    assert addon.requestheaders is not None
    addon.requestheaders(flow)
    assert judged(flow, addon).response.headers.fields == fields
    assert flow.request.headers["origin"] == PAGE
    assert "Would be allowed after this change" in flow.comment


@in_mitmproxy
async def test_a_request_sent_again_keeps_the_pages_origin(rewriter: tuple[CorsAddon, Options]) -> None:
    addon, options = rewriter
    options.update(cors_upstream_origin="https://known.example")
    flow = cors_flow(response=[("access-control-allow-origin", "https://known.example")], live=True)
    response, flow.response = flow.response, None
    assert addon.requestheaders is not None
    for _ in range(2):
        addon.requestheaders(flow)
    flow.response = response
    assert flow.request.headers["origin"] == "https://known.example"
    addon.responseheaders(flow)
    assert flow.metadata["corscope"]["origin"] == PAGE
    assert flow.response
    assert flow.response.headers["access-control-allow-origin"] == PAGE


def test_a_plan_stays_when_the_verdict_settles(tmp_path: Path) -> None:
    """A recorded preflight that nothing followed: blocked, once that is sure."""
    recording, report = tmp_path / "flows.mitm", tmp_path / "report.jsonl"
    asks = [("access-control-request-method", "PUT")]
    permits = [("access-control-allow-origin", "*"), ("access-control-allow-methods", "PUT")]
    with recording.open("wb") as file:
        FlowWriter(file).add(
            cors_flow(f"{API}/x", method="OPTIONS", request=asks, status=204, response=permits, started=1_795_278_746.0)
        )
        FlowWriter(file).add(exempt_flow())
        later = exempt_flow()
        later.request.timestamp_start += 100
        FlowWriter(file).add(later)
    done = replay(recording, cors_rewrite="blocked", cors_allow_origins=PAGE, cors_report=report)
    assert done.returncode == 0, done.stdout
    first, *_, last = [line for line in read_report(report) if line["method"] == "OPTIONS"]
    assert [one["verdict"] for one in (first, last)] == ["conditional", "blocked"]
    assert last["rewrite"]["edits"] == first["rewrite"]["edits"] != []


def test_a_saved_flow_that_was_rewritten_still_says_so(tmp_path: Path) -> None:
    saved, again, report = tmp_path / "saved.mitm", tmp_path / "again.mitm", tmp_path / "report.jsonl"
    with inside_mitmproxy() as (addon, options):
        options.update(cors_rewrite="blocked", cors_allow_origins=[PAGE])
        flow = judged(blocked_flow(live=True), addon)
        with saved.open("wb") as file:
            FlowWriter(file).add(flow)
    done = replay(saved, "-w", str(again), cors_report=report)
    assert done.returncode == 0, done.stdout
    with again.open("rb") as file:
        (read,) = FlowReader(file).stream()
    assert read.comment == flow.comment
    assert read.marked == flow.marked
    (line,) = read_report(report)
    assert line["rewrite"]["applied"]


# -- commands ----------------------------------------------------------------------------------------------------------


@in_mitmproxy
async def test_a_plan_changes_nothing(rewriter: tuple[CorsAddon, Options]) -> None:
    addon, options = rewriter
    options.update(cors_rewrite="off")
    flow = judged(blocked_flow(), addon)
    state = flow.get_state()
    lines = [line[0] for line in addon.plan([flow])]
    assert any(f"access-control-allow-origin: {PAGE}" in line for line in lines)
    assert flow.get_state() == state
    assert "is not in cors_allow_origins" in str(addon.plan([cors_flow(origin="https://other.example")]))
    assert "SECRET" not in str(addon.plan([cors_flow(origin="https://user:SECRET@other.example")]))
    assert "not subject to CORS" in str(addon.plan([exempt_flow()]))


@in_mitmproxy
async def test_a_selected_flow_is_rewritten_and_reverted(rewriter: tuple[CorsAddon, Options]) -> None:
    addon, options = rewriter
    options.update(cors_rewrite="off")
    flow = judged(blocked_flow(), addon)
    assert flow.response
    addon.rewrite([flow])
    assert flow.response.headers["access-control-allow-origin"] == PAGE
    assert "rewritten" in flow.comment
    assert flow.modified()
    addon.rewrite([flow])
    flow.revert()
    assert flow.response.headers["access-control-allow-origin"] == "*"


@in_mitmproxy
async def test_a_rewritten_flow_stays_one_when_more_is_said_of_it(rewriter: tuple[CorsAddon, Options]) -> None:
    flow = judged(unproven_flow(), rewriter[0])
    assert flow.metadata["corscope"]["credentials"] == "unknown"
    judged(proof(flow), rewriter[0])
    assert flow.metadata["corscope"]["credentials"] == "include"
    assert flow.metadata["corscope"]["rewrite"]["applied"]
    assert flow.marked == ":wrench:"
    assert "rewritten, CORS allowed" in flow.comment.split("\n")[0]


@in_mitmproxy
async def test_of_a_rewritten_preflight_all_is_said_at_once(rewriter: tuple[CorsAddon, Options]) -> None:
    asks = [("access-control-request-method", "PUT")]
    asked = judged(cors_flow(f"{API}/x", method="OPTIONS", request=asks, status=404, live=True), rewriter[0])
    said = asked.comment, asked.metadata["corscope"]
    assert "rewritten" in asked.comment
    allows = [("access-control-allow-origin", PAGE), ("access-control-allow-credentials", "true")]
    cookie = [("cookie", "sid=1")]
    put = cors_flow(f"{API}/x", method="PUT", request=cookie, response=allows, live=True, started=1_795_278_746.5)
    judged(put, rewriter[0])
    assert put.metadata["corscope"]["preflight"] == asked.id
    assert (asked.comment, asked.metadata["corscope"]) == said


@in_mitmproxy
async def test_what_the_user_rewrote_or_reverted_is_not_overwritten(rewriter: tuple[CorsAddon, Options]) -> None:
    addon, options = rewriter
    ctx.master.addons.add(view.View())
    reverted = judged(unproven_flow(), addon)
    reverted.revert()
    options.update(cors_rewrite="off")
    rewritten = judged(unproven_flow(), addon)
    addon.rewrite([rewritten])
    for flow, word in ((reverted, "blocked"), (rewritten, "rewritten")):
        said = flow.comment
        assert word in said.split("\n")[0]
        judged(proof(flow), addon)
        assert flow.comment == said


@in_mitmproxy
async def test_a_live_flow_can_be_reverted_to_all_that_the_server_sent(rewriter: tuple[CorsAddon, Options]) -> None:
    addon, _ = rewriter
    ctx.master.addons.add(view.View())
    asks = [("access-control-request-method", "PUT")]
    flow = cors_flow(f"{API}/x", method="OPTIONS", request=asks, status=404, response=[("x-a", "1")], live=True)
    assert flow.response
    flow.response.data.content = b"no route"
    judged(flow, addon)
    assert (flow.response.status_code, flow.response.content) == (204, b"")
    assert "rewritten" in flow.comment
    flow.revert()
    assert (flow.response.status_code, flow.response.content) == (404, b"no route")
    assert flow.comment.startswith("server knows no OPTIONS (preflight) — CORS blocked")
    assert flow.marked == ":no_entry:"


def test_a_fault_while_rewriting_leaves_the_response_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("broken")

    with inside_mitmproxy() as (addon, options):
        options.update(cors_rewrite="all", cors_allow_origins=[PAGE])
        monkeypatch.setattr("corscope.rewriter.plan", break_down)
        flow = blocked_flow(live=True)
        fields = flow.response.headers.fields if flow.response else ()
        assert judged(flow, addon).response.headers.fields == fields


@given(LINES, LINES, st.sampled_from([200, 204, 302, 304, 404]), st.sampled_from([b"GET", b"OPTIONS", b"POST"]))
def test_a_flow_out_of_scope_stays_the_same_to_the_byte(
    request: tuple[tuple[bytes, bytes], ...], response: tuple[tuple[bytes, bytes], ...], status: int, method: bytes
) -> None:
    with inside_mitmproxy() as (addon, options):
        options.update(
            cors_rewrite="all", cors_allow_origins=["https://listed.example"], cors_preflight="local",
            cors_upstream_origin="https://known.example", cors_rewrite_cookies="partitioned", cors_expose_headers="*",
        )  # fmt: skip
        flow = cors_flow(status=status, live=True)
        assert flow.response
        flow.request.data.method = method
        flow.request.headers.fields, flow.response.headers.fields = request, response
        assert addon.requestheaders is not None
        addon.requestheaders(flow)
        judged(flow, addon)
        assert (flow.request.data.method, flow.request.headers.fields) == (method, request)
        assert (flow.response.status_code, flow.response.headers.fields) == (status, response)
