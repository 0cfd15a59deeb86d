"""corscope's own site as a real mitmdump serves it: who may have it, and that nobody else notices."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy import dns
from mitmproxy.addons import dns_resolver
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test.tflow import tdnsflow
from mitmproxy.test.tutils import tdnsreq

from corscope.addon import CorsAddon
from corscope.pages.guards import POLICY
from corscope.pages.hosts import Place, is_loopback, place_of_host
from corscope.pages.site import FILES
from proxies import Mitmdump, confdir, eventually, read_recording
from traffic import ALLOWS, ANSWERING, API, COOKIE, PAGE, USUAL, WILDCARD, Client, Lines, Response, converse

SITE = "http://corscope.test"
PATHS = [
    *FILES,
    "/live/events",
    "/live/report.html",
    "/live/report.jsonl",
    "/live/report.har",
    "/live/story.html?flow=x",
]
LISTING = Path(__file__).with_name("listing.py")


@pytest.fixture(scope="module")
def proxy() -> Iterator[Mitmdump]:
    """A proxy with the addon and its options as they are."""
    with Mitmdump("-s", str(ANSWERING), flow_detail=0) as started:
        yield started


@pytest.fixture
def client(proxy: Mitmdump) -> Iterator[Client]:
    with Client(proxy.port) as opened:
        yield opened


# -- what is served ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PATHS, "/none"])
def test_every_answer_is_private(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status == (404 if path == "/none" or "?" in path else 200)
    headers = answer.headers
    assert not [name for name in headers if name.startswith("access-control-")]
    assert headers["content-security-policy"] == POLICY
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    # Over http browsers would complain of it.
    assert "cross-origin-opener-policy" not in headers
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["content-length"] == str(len(answer.body))


def test_the_policy_lets_in_own_files_and_nothing_else() -> None:
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert (rules["require-trusted-types-for"], rules["trusted-types"]) == ("'script'", "'none'")
    assert "unsafe" not in POLICY


@pytest.mark.parametrize("path", ["/", "/live"])
def test_pages_name_only_files_that_are_there(client: Client, path: str) -> None:
    page = client.get(path)
    assert "<style" not in page.text
    assert not re.search(r"<script(?![^>]* src=)|\son[a-z]+=|style=", page.text)
    own = re.findall(r'(?:href|src)="(/[^"]*)"', page.text)
    assert own
    assert {client.get(one).status for one in own} == {200}
    others = set(re.findall(r'(?:href|src)="(\w+://[^/"]+)', page.text))
    assert others <= {"https://app.corscope.test", "http://app.corscope.test", "http://mitm.it"}


def test_the_first_page_leads_to_all_others(client: Client) -> None:
    links = re.findall(r'href="([^"]*)"', client.get("/").text)
    assert {
        "/live",
        "https://app.corscope.test/playground",
        "http://app.corscope.test/playground",
        "https://app.corscope.test/",
        "http://app.corscope.test/",
        "http://mitm.it",
    } <= set(links)


def test_head_is_answered_at_once_and_without_a_body(client: Client) -> None:
    for path in ("/", "/live/events"):
        answer = client.send("HEAD", f"{SITE}{path}")
        assert (answer.status, answer.body) == (200, b"")


# -- other sites -------------------------------------------------------------------------------------------------------

FOREIGN: dict[str, tuple[str, Lines]] = {
    "a foreign origin": ("GET", [("Origin", "https://evil.example")]),
    "an opaque origin": ("GET", [("Origin", "null")]),
    "the site by another scheme": ("GET", [("Origin", "https://corscope.test")]),
    "another port": ("GET", [("Origin", "http://corscope.test:8080")]),
    "a host of the lab": ("GET", [("Origin", "http://app.corscope.test"), ("Sec-Fetch-Site", "same-site")]),
    "no-cors": ("GET", [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "script")]),
    "same-site": ("GET", [("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")]),
    "a frame": (
        "GET",
        [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")],
    ),
    "an object": (
        "GET",
        [("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "object")],
    ),
    "a form": (
        "POST",
        [
            ("Origin", "https://evil.example"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ],
    ),
    "a POST without an Origin": ("POST", []),
    "a DELETE without an Origin": ("DELETE", []),
    "a preflight": ("OPTIONS", [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "PUT")]),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("path", ["/", "/live/events", "/live/report.jsonl"])
def test_other_sites_get_nothing(client: Client, name: str, path: str) -> None:
    method, lines = FOREIGN[name]
    answer = client.send(method, f"{SITE}{path}", lines)
    assert answer.status == 403
    assert answer.headers["content-type"].startswith("text/plain")
    assert not [header for header in answer.headers if header.startswith("access-control-")]


OWN: dict[str, Lines] = {
    "typed": [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
    "a link elsewhere": [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ],
    "a script of ours": [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors"), ("Origin", SITE)],
    "a client without metadata": [],
}


@pytest.mark.parametrize("name", OWN)
def test_ones_own_requests_are_answered(client: Client, name: str) -> None:
    assert client.get("/", OWN[name]).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "get", "X"])
def test_methods_that_do_nothing_are_refused(client: Client, method: str) -> None:
    assert client.send(method, f"{SITE}/live", [("Origin", SITE), ("Content-Length", "0")]).status == 405


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "app.corscope.test", "corscope.test.evil.example", "x"])
def test_a_host_header_that_names_another_site_is_refused(client: Client, host: str) -> None:
    # A name of somebody else's that leads here would have the Host of its own.
    assert client.send("GET", f"{SITE}/live/events", [("Host", host)]).status == 421


@pytest.mark.parametrize("host", ["corscope.test", "CORSCOPE.test", "corscope.test:80", "corscope.test."])
def test_spellings_of_the_host_are_taken(client: Client, host: str) -> None:
    assert client.send("GET", f"{SITE}/", [("Host", host)]).status == 200


# -- who ---------------------------------------------------------------------------------------------------------------


def own_address() -> str:
    """An address of this machine that others may reach; skips where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            # Nothing is sent: this only asks which address would be used.
            asking.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but its own")
        address: str = asking.getsockname()[0]
    if is_loopback(address):
        pytest.skip("this machine has no address but its own")
    return address


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("0.0.0.0", 0))
        port: int = free.getsockname()[1]
        return port


LAB = "http://app.corscope.test/"


@pytest.mark.parametrize(("who", "here", "there"), [("local", 200, 403), ("all", 200, 200), ("off", 403, 403)])
def test_the_option_says_who_gets_the_pages(who: str, here: int, there: int) -> None:
    address, port = own_address(), free_port()
    modes = ("--mode", "regular", "--mode", f"regular@0.0.0.0:{port}")
    with Mitmdump(*modes, "-s", str(ANSWERING), cors_pages=who, block_private="false", block_global="false") as proxy:
        with Client(proxy.port) as near, Client(port, address) as far:
            eventually(lambda: near.get("/").status)
            for path in ("/", "/live", "/live/events", "/live/report.jsonl"):
                assert (near.get(path).status, far.get(path).status) == (here, there)
            assert (near.send("GET", LAB).status, far.send("GET", LAB).status) == (here, there)
            refused = far.get("/")
        if there == 403:
            assert "cors_pages" in refused.text
            assert refused.headers["content-security-policy"] == POLICY
        proxy.stop()


def test_off_remembers_nothing() -> None:
    with Mitmdump("-s", str(ANSWERING), flow_detail=0, cors_pages="off") as proxy, Client(proxy.port) as client:
        client.ask(f"{API}/x", WILDCARD)
        assert client.get("/live/report.jsonl").status == 403
        proxy.stop()


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False), ("fe80::1%eth0", False), ("0.0.0.0", False), ("", False), ("localhost", False),
    ],
)  # fmt: skip
def test_loopback_addresses(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("corscope.test", Place.SITE), ("CorScope.Test.", Place.SITE), ("app.corscope.test", Place.LAB),
        ("corscope-other.test", Place.LAB), ("api.corscope-third.test", Place.LAB), ("xcorscope.test", None),
        ("corscope.test.example", None), ("test", None), ("", None), ("corscope.test..", None),
    ],
)  # fmt: skip
def test_hosts_have_their_places(host: str, place: Place | None) -> None:
    assert place_of_host(host) is place


def test_who_needs_a_password_for_the_proxy_needs_it_here_too() -> None:
    paths = ("/", "/live/events", "/live/report.jsonl")
    own = ("Proxy-Authorization", "Basic dTpw")
    with Mitmdump("-s", str(ANSWERING), proxyauth="u:p") as proxy:
        with Client(proxy.port) as client:
            assert [client.get(path).status for path in paths] == [407] * len(paths)
            assert client.get("/playground", host="app.corscope.test").status == 407
            assert [client.get(path, [own]).status for path in paths] == [200] * len(paths)
            assert client.get("/playground", [own], host="app.corscope.test").status == 200
        for host in ("corscope.test", "app.corscope.test"):
            with pytest.raises(OSError, match="407"):
                by_tls(proxy.port, host, "/")
        proxy.stop()


def test_rewriting_opens_nothing_that_is_private() -> None:
    mine = ("/playground", "/playground/run?run=a", "/playground/run.har?run=a", "/playground/scenarios", "/agreement")
    lines = [*USUAL, ("Origin", PAGE)]
    asking = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "content-type")]
    for preflights in ("server", "local"):
        options = {"cors_rewrite": "all", "cors_allow_origins": "*", "cors_preflight": preflights}
        with Mitmdump("-s", str(ANSWERING), flow_detail=0, **options) as proxy, Client(proxy.port) as client:
            for url in [*(f"http://app.corscope.test{path}" for path in mine), f"{SITE}/live/events"]:
                for method, more in (("GET", []), ("POST", []), ("OPTIONS", asking)):
                    answer = client.send(method, url, [*lines, *more, ("Content-Length", "0")])
                    assert answer.status == 403, (method, url)
                    assert not [name for name in answer.headers if name.startswith("access-control-")], (method, url)
            # What belongs to nobody is rewritten as anything else.
            table = client.send("GET", f"{LAB}table.json?only=none", lines)
            assert table.headers["access-control-allow-origin"] == PAGE
            proxy.stop()


# -- nobody else notices -----------------------------------------------------------------------------------------------


def by_tls(port: int, host: str, path: str) -> Response:
    """Asks over https, through a tunnel."""
    context = ssl.create_default_context(cafile=str(confdir() / "mitmproxy-ca-cert.pem"))
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    connection.set_tunnel(host, 443)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize("strategy", ["lazy", "eager"])
def test_the_site_is_in_no_list_no_file_no_output_and_not_on_the_network(strategy: str, tmp_path: Path) -> None:
    connects, listed, saved = (tmp_path / name for name in ("connects", "listed.json", "saved.mitm"))
    with Mitmdump(
        "-s", str(ANSWERING), "-s", str(LISTING), "-w", str(saved),
        connection_strategy=strategy, connects_file=connects, listed_file=listed, flow_detail=3,
    ) as proxy:  # fmt: skip
        with Client(proxy.port) as client:
            assert client.get("/").status == 200
            for path in PATHS:
                client.get(path)
            assert client.ask(f"{API}/seen", WILDCARD).status == 200
            assert client.send("GET", f"{SITE}/", [("Host", "evil.example")]).status == 421
        for path in ("/", "/live"):
            secure = by_tls(proxy.port, "corscope.test", path)
            assert (secure.status, secure.headers["cross-origin-opener-policy"]) == (200, "same-origin")
        # Whoever goes away while he waits leaves nothing either.
        waiting = Client(proxy.port)
        latest = re.findall(r"^id: (\S+)$", waiting.get("/live/events").text, re.MULTILINE)[-1]
        waiting._connection.putrequest("GET", f"{SITE}/live/events?after={latest}")
        waiting._connection.endheaders()
        waiting._connection.close()
        said = proxy.stop()
    assert "corscope.test" not in said
    assert not connects.exists() or "corscope" not in connects.read_text()
    assert json.loads(listed.read_text()) == ["api.example"]
    assert [flow.request.host for flow in read_recording(saved)] == ["api.example"]


def test_no_upstream_proxy_is_asked_for_a_tunnel_to_a_host_of_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(0.5)
        with Mitmdump(
            "--mode", f"upstream:http://127.0.0.1:{upstream.getsockname()[1]}", "-s", str(ANSWERING)
        ) as proxy:
            for host in ("corscope.test", "app.corscope.test"):
                assert by_tls(proxy.port, host, "/").status == 200
                with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as client:
                    client.sendall(f"CONNECT {host}:22 HTTP/1.1\r\n\r\n".encode())
                    assert client.recv(1000).startswith(b"HTTP/1.1 200")
                    client.sendall(b"SSH-2.0-x\r\n")
                    assert client.recv(1000) == b""
            with pytest.raises(TimeoutError):
                upstream.accept()
            proxy.stop()


def test_nothing_that_is_streamed_to_a_host_of_ours_reaches_an_upstream_proxy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(0.5)
        mode = f"upstream:http://127.0.0.1:{upstream.getsockname()[1]}"
        with Mitmdump("--mode", mode, stream_large_bodies="1") as proxy:
            for host in ("corscope.test", "app.corscope.test"):
                for framing, body in (
                    ("Content-Length: 5", "hello"),
                    ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
                ):
                    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as client:
                        head = f"POST http://{host}/playground/scenarios HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n\r\n"
                        client.sendall((head + body).encode())
                        assert client.recv(1000).startswith(b"HTTP/1.1 502")
            with pytest.raises(TimeoutError):
                upstream.accept()
            proxy.stop()


@pytest.mark.parametrize("later", [False, True], ids=["from the start", "set while running"])
def test_what_another_addon_maps_onto_a_host_of_ours_reaches_no_upstream_proxy(later: bool, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(0.5)
        mode = f"upstream:http://127.0.0.1:{upstream.getsockname()[1]}"
        script = tmp_path / "later.py"
        script.write_text(f"from mitmproxy import ctx\n\ndef running():\n    ctx.options.update(mode=[{mode!r}])\n")
        modes = ("-s", str(script)) if later else ("--mode", mode)
        with Mitmdump(*modes, map_remote="|//api.example/|//app.corscope.test/") as proxy:
            # Another mode means another port here.
            port = int(proxy.wait_for(r"\(upstream mode\) listening at .*:(\d+)")[1]) if later else proxy.port
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                client.sendall(b"GET http://api.example/x HTTP/1.1\r\nHost: api.example\r\n\r\n")
                assert client.recv(1000).startswith(b"HTTP/1.1 502")
            with pytest.raises(TimeoutError):
                upstream.accept()
            proxy.stop()


@pytest.mark.parametrize(("limit", "status"), [("1", 409), ("100k", 409), ("2m", 200)])
def test_the_labs_pages_say_that_they_need_what_they_send(limit: str, status: int) -> None:
    with Mitmdump(stream_large_bodies=limit) as proxy:
        for path in ("/", "/playground"):
            answer = by_tls(proxy.port, "app.corscope.test", path)
            assert answer.status == status
            assert ("stream_large_bodies" in answer.text) is (status == 409)
        assert by_tls(proxy.port, "corscope.test", "/").status == 200
        proxy.stop()


def test_no_name_server_is_asked_for_a_host_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked(_: object, message: dns.DNSMessage) -> dns.DNSMessage:
        looked_up.append(message.questions[0].name)
        return message.succeed([])

    looked_up: list[str] = []
    monkeypatch.setattr(dns_resolver.DnsResolver, "resolve", asked)
    for name in ("corscope.test", "API.Corscope-Other.test", "corscope.test.", "notcorscope.test"):
        flow = tdnsflow(req=tdnsreq(questions=[dns.Question(name, dns.types.A, dns.classes.IN)]), resp=False)
        flow.client_conn.proxy_mode = ProxyMode.parse("dns")
        CorsAddon().dns_request(flow)
        asyncio.run(dns_resolver.DnsResolver().dns_request(flow))
        assert flow.response is not None
        assert (flow.response.response_code == dns.response_codes.NXDOMAIN) is (name != "notcorscope.test")
    assert looked_up == ["notcorscope.test"]


def test_the_proxy_ends_while_somebody_waits() -> None:
    with Mitmdump("-s", str(ANSWERING)) as proxy, Client(proxy.port) as client:
        latest = re.findall(r"^id: (\S+)$", client.get("/live/events").text, re.MULTILINE)[-1]
        client._connection.putrequest("GET", f"{SITE}/live/events?after={latest}")
        client._connection.endheaders()
        said = proxy.stop()
    assert "could not" not in said


# -- secrets -----------------------------------------------------------------------------------------------------------

SECRET = "s3cr3t-Zq7"


def test_no_secret_reaches_events_or_files() -> None:
    url = f"{API}/v1?access_token={SECRET}&q=1&next=%2Fx%3Ftoken%3D{SECRET}"
    asks = [
        ("Cookie", f"sid={SECRET}; theme={SECRET}; {SECRET}"),
        ("Authorization", f"Bearer {SECRET}"),
        ("Proxy-Authorization", f"Basic {SECRET}"),
        ("X-Api-Key", SECRET),
        ("Referer", f"{PAGE}/?token={SECRET}"),
    ]
    answers: list[tuple[int, Lines]] = [
        (200, WILDCARD),
        (200, [("Set-Cookie", f"sid={SECRET}; Path=/; {SECRET}"), ("Set-Cookie", SECRET)]),
        (302, [*ALLOWS, ("Location", f"http://user:{SECRET}@other.example/?key={SECRET}")]),
        (200, [("Access-Control-Allow-Origin", f"{PAGE}/?token={SECRET}")]),
        (401, [("WWW-Authenticate", f"Bearer {SECRET}"), ("X-Amz-Security-Token", SECRET)]),
        (500, [("X-Debug-Token", SECRET), ("ETag", '"1"')]),
    ]
    with Mitmdump("-s", str(ANSWERING), flow_detail=0, cors_rewrite="blocked", cors_allow_origins=PAGE) as proxy:
        with Client(proxy.port) as client:
            for number, (status, lines) in enumerate(answers):
                client.ask(f"{url}&n={number}", lines, headers=asks, status=status)
            texts = [client.get(path).text for path in PATHS if path.startswith("/live/") and "?" not in path]
            flow = json.loads(client.get("/live/report.jsonl").text.splitlines()[0])["flow_id"]
            texts += [client.get(f"/live/story.{suffix}?flow={flow}").text for suffix in ("html", "jsonl", "har")]
        proxy.stop()
    for text in texts:
        assert SECRET not in text
        assert "/v1?access_token=" in text
    assert any('"applied":true' in text for text in texts)


# -- the report --------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_what_the_report_says(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    with Mitmdump("-s", str(ANSWERING), flow_detail=0, cors_report=report) as proxy:
        with Client(proxy.port) as client:
            converse(client, 2)
            client.ask(f"{API}/again", ALLOWS, headers=COOKIE)
            saved = [json.loads(line) for line in client.get("/live/report.jsonl").text.splitlines()]
        told = {one["flow_id"]: one for one in map(json.loads, report.read_text().splitlines())}
        proxy.stop()
    assert len(saved) == 15
    for one in saved:
        assert {key: one[key] for key in told[one["flow_id"]]} == told[one["flow_id"]]
        assert one["capture"] == "live"


def test_clearing_empties_the_page() -> None:
    clearing = Path(__file__).with_name("clearing.py")
    with Mitmdump("-s", str(ANSWERING), "-s", str(clearing), flow_detail=0) as proxy, Client(proxy.port) as client:
        client.ask(f"{API}/before", WILDCARD)
        first = client.get("/live/events").text
        latest = re.findall(r"^id: (\S+)$", first, re.MULTILINE)[-1]
        client.ask("http://clear.example/", WILDCARD)
        told = client.get("/live/events", [("Last-Event-ID", latest)]).text
        proxy.stop()
    assert "/before" in first
    assert "event: reset" in told
    assert "/before" not in told
