"""Real servers with the generated configurations: what the addon says of them, and what browsers let pages read."""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from corscope.browsers import Kind, find_browsers, launch
from corscope.policy import Policy
from corscope.stacks import STACKS
from proxies import CHROME, Mitmdump, confdir, eventually, final, read_report
from servers import Asked, RawServer, respond
from serving import PROXIES, SERVERS, Missing, Served, do_without, put_together, serve

PAGE = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
METHODS = ("GET", "PUT")
REQUEST_HEADERS = ("content-type", "x-tag")
PUT = {"method": "PUT", "headers": {"x-tag": "1", "content-type": "application/json"}, "body": "{}"}

# -- the two pages -----------------------------------------------------------------------------------------------------


class Pages:
    """A listed origin and one that is not, each with a page that asks every server."""

    def __init__(self, listed: RawServer, unlisted: RawServer) -> None:
        self.listed, self.unlisted = listed, unlisted
        self.servers: Mapping[str, str] = {}
        self.seen: dict[str, dict[str, dict[str, Any]]] = {}
        self.done = threading.Semaphore(0)

    def serve(self, name: str, asked: Asked, connection: socket) -> None:
        if asked.path == "/page":
            following = self.unlisted.url("/page") if name == "listed" else None
            table = {"servers": self.servers, "steps": STEPS, "done": "/done", "next": following}
            page = PAGE.replace("TABLE", base64.b64encode(json.dumps(table).encode()).decode()).encode()
            # Cookies know no ports: every server on this host gets it.
            respond(connection, "Content-Type: text/html", "Set-Cookie: sid=1; Path=/", body=page)
        elif asked.path == "/done":
            self.seen[name] = json.loads(asked.body)
            respond(connection)
            self.done.release()
        else:
            respond(connection, status="404 Not Found")


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    made: list[Pages] = []
    with (
        RawServer(lambda asked, connection: made[0].serve("listed", asked, connection)) as listed,
        RawServer(lambda asked, connection: made[0].serve("unlisted", asked, connection)) as unlisted,
    ):
        made.append(Pages(listed, unlisted))
        yield made[0]


@pytest.fixture(scope="module")
def listed(pages: Pages) -> str:
    return pages.listed.url("")


@pytest.fixture(scope="module")
def unlisted(pages: Pages) -> str:
    return pages.unlisted.url("")


# -- the servers -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(listed: str, pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Every server that is installed, with what was generated for a policy of several origins and credentials."""
    policy = Policy(
        origins=("https://app.example", "http://[::1]:3000", listed, "null"),
        credentials=True,
        methods=METHODS,
        request_headers=REQUEST_HEADERS,
        exposed_headers=("X-Total-Count",),
        max_age=123,
    )
    with serve(policy, tmp_path_factory.mktemp("stacks")) as running:
        pages.servers = {id_: f"http://127.0.0.1:{port}" for id_, port in running.ports.items()}
        yield running


@pytest.fixture(params=list(SERVERS))
def stack(request: pytest.FixtureRequest, served: Served) -> str:
    """Each stack in turn, as far as it is installed."""
    id_: str = request.param
    return installed(id_, served)


def installed(id_: str, served: Served) -> str:
    """The stack, if it is served."""
    if why := served.missing.get(id_):
        do_without(why)
    return id_


def test_a_server_that_is_not_installed_skips_its_tests_unless_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    without = Served(ports={}, missing={"nginx": "nginx is not installed"})
    monkeypatch.delenv("CORSCOPE_REQUIRE_SERVERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="nginx is not installed: this test is skipped"):
        installed("nginx", without)
    monkeypatch.setenv("CORSCOPE_REQUIRE_SERVERS", "1")
    with pytest.raises(pytest.fail.Exception, match="nginx is not installed, and"):
        installed("nginx", without)
    assert installed("nginx", Served(ports={"nginx": 1}, missing={})) == "nginx"


# -- stories through mitmdump ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response as it came, and what the addon says of it."""

    status: int
    lines: Sequence[tuple[str, str]]
    verdict: str
    said: str
    """The whole line of the report, for failures."""

    def all(self, name: str) -> list[str]:
        """The value of each line of a header."""
        return [value for key, value in self.lines if key.lower() == name.lower()]

    def members(self, name: str) -> list[str]:
        """The members of a header that is a list, in lower case."""
        return [one.strip().lower() for value in self.all(name) for one in value.split(",") if one.strip()]

    @property
    def cors(self) -> list[str]:
        """The names of all CORS headers, as often as they came."""
        return [key.lower() for key, _ in self.lines if key.lower().startswith("access-control-")]


class Wire:
    """Sends requests as Chrome would through a mitmdump with the addon."""

    def __init__(self, proxy: Mitmdump, report: Path, ports: Mapping[str, int]) -> None:
        self.proxy, self.report, self.ports = proxy, report, ports
        self._numbers = itertools.count()

    def ask(self, stack: str, path: str, *, origin: str | None, method: str = "GET", **headers: str) -> Answer:
        """Sends one request; an underscore in a header's name stands for a hyphen."""
        url = f"http://127.0.0.1:{self.ports[stack]}{path}?{next(self._numbers)}"
        lines = {"User-Agent": CHROME, "Accept": "*/*", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
        lines |= {"Sec-Fetch-Site": "same-site"} | ({"Origin": origin} if origin else {})
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=20)
        try:
            connection.request(method, url, body=b"{}" if method == "PUT" else None, headers=lines)
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
        line = eventually(lambda: next((one for one in final(read_report(self.report)) if one["url"] == url), None))
        return Answer(
            status=response.status, lines=response.getheaders(), verdict=line["verdict"], said=json.dumps(line)
        )

    def preflight(self, stack: str, path: str, origin: str) -> Answer:
        """Asks whether PUT with two headers would be allowed."""
        return self.ask(
            stack, path, origin=origin, method="OPTIONS",
            Access_Control_Request_Method="PUT", Access_Control_Request_Headers="content-type,x-tag",
        )  # fmt: skip


@pytest.fixture(scope="module")
def wire(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with wired(served, tmp_path_factory) as wire:
        yield wire


@contextmanager
def wired(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """A mitmdump of its own: what it learned of a server's cookies is not to matter to others."""
    report = tmp_path_factory.mktemp("wire") / "report.jsonl"
    with Mitmdump(flow_detail=0, cors_report=report, cors_grace=1) as proxy:
        yield Wire(proxy, report, served.ports)


def must_let_in(answer: Answer, origin: str) -> None:
    """What every answer to a listed origin has: the origin once, credentials once, and the word for caches."""
    assert answer.all("Access-Control-Allow-Origin") == [origin], answer
    assert answer.all("Access-Control-Allow-Credentials") == ["true"], answer
    assert answer.verdict == "allowed", answer
    assert "origin" in answer.members("Vary"), answer
    assert max(Counter(answer.cors).values()) == 1, answer


@pytest.mark.parametrize("path", ["/item", "/private", "/old", "/missing"])
def test_a_preflight_is_answered_before_anything_else(stack: str, wire: Wire, listed: str, path: str) -> None:
    answer = wire.preflight(stack, path, listed)
    assert answer.all("Access-Control-Allow-Origin") == [listed], answer
    assert answer.all("Access-Control-Allow-Credentials") == ["true"]
    assert answer.status in (200, 204)
    assert {"put"} <= set(answer.members("Access-Control-Allow-Methods")) <= {"get", "put"}
    safelisted = {"accept", "accept-language", "content-language"}
    assert (
        set(REQUEST_HEADERS) <= set(answer.members("Access-Control-Allow-Headers")) <= {*REQUEST_HEADERS, *safelisted}
    )
    assert answer.all("Access-Control-Max-Age") == ["123"]
    assert max(Counter(answer.cors).values()) == 1
    assert "origin" in answer.members("Vary")


@pytest.mark.parametrize("origin", ["listed", "null", "http://[::1]:3000"])
def test_a_story_with_a_preflight_and_credentials(stack: str, wire: Wire, listed: str, origin: str) -> None:
    origin = listed if origin == "listed" else origin
    preflight = wire.preflight(stack, "/item", origin)
    put = wire.ask(
        stack, "/item", origin=origin, method="PUT", Cookie="sid=1", X_Tag="1", Content_Type="application/json"
    )
    assert preflight.verdict == "allowed", preflight
    must_let_in(put, origin)
    assert put.status == 200
    assert put.members("Access-Control-Expose-Headers") == ["x-total-count"]
    get = wire.ask(stack, "/item", origin=origin, Cookie="sid=1")
    must_let_in(get, origin)
    assert get.status == 200


@pytest.mark.parametrize(
    ("path", "cookie", "statuses"),
    [
        ("/missing", "sid=1", {404}),
        ("/broken", "sid=1", {500}),
        ("/private", "sid=1", {401, 403}),
        ("/item", "sid=0", {401}),
    ],
)
def test_errors_can_be_read(stack: str, wire: Wire, listed: str, path: str, cookie: str, statuses: set[int]) -> None:
    answer = wire.ask(stack, path, origin=listed, Cookie=cookie)
    assert answer.status in statuses
    must_let_in(answer, listed)


@pytest.mark.parametrize(
    "other",
    ["unlisted", "https://app.example.evil.test", "evil-https://app.example", "https://appxexample", "null.test"],
)
def test_another_origin_is_not_let_in(stack: str, wire: Wire, unlisted: str, other: str) -> None:
    origin = unlisted if other == "unlisted" else other
    for path, method in (("/item", "GET"), ("/private", "GET"), ("/broken", "GET"), ("/item", "PUT")):
        answer = wire.ask(stack, path, origin=origin, method=method, Cookie="sid=1")
        assert answer.all("Access-Control-Allow-Origin") == []
        assert answer.verdict == "blocked"
        assert "origin" in answer.members("Vary"), (path, answer)
    preflight = wire.preflight(stack, "/item", origin)
    assert preflight.all("Access-Control-Allow-Origin") == []
    assert preflight.verdict == "blocked"


def test_without_an_origin_only_caches_are_told(stack: str, wire: Wire) -> None:
    for path in ("/item", "/missing", "/private", "/broken"):
        answer = wire.ask(stack, path, origin=None, Cookie="sid=1")
        assert answer.all("Access-Control-Allow-Origin") == []
        assert "origin" in answer.members("Vary"), (path, answer)


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest, served: Served) -> str:
    """Each proxy in turn, as far as it is installed."""
    id_: str = request.param
    return installed(id_, served)


def test_what_the_application_says_to_caches_stays(proxy: str, wire: Wire, listed: str) -> None:
    for origin in (listed, None):
        answer = wire.ask(proxy, "/item", origin=origin, Cookie="sid=1")
        assert set(answer.members("Vary")) == {"accept-encoding", "origin"}


def test_a_page_can_read_that_the_application_is_down(proxy: str, wire: Wire, listed: str, unlisted: str) -> None:
    answer = wire.ask(proxy, "/down", origin=listed, Cookie="sid=1")
    assert answer.status in (502, 503)
    must_let_in(answer, listed)
    assert wire.ask(proxy, "/down", origin=unlisted, Cookie="sid=1").cors == []


# -- a policy that allows as little as possible ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(listed: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Wire]]:
    """Every server that is installed, for one origin without credentials, and no header."""
    with (
        serve(Policy(origins=(listed,), credentials=False), tmp_path_factory.mktemp("plain")) as running,
        wired(running, tmp_path_factory) as wire,
    ):
        yield running, wire


@pytest.mark.parametrize("id_", list(SERVERS))
def test_a_policy_that_allows_little_allows_no_more(
    id_: str, plain: tuple[Served, Wire], listed: str, unlisted: str
) -> None:
    served, wire = plain
    stack = installed(id_, served)
    credentialed = wire.ask(stack, "/item", origin=listed, Cookie="sid=1")
    assert credentialed.verdict == "blocked"
    get = wire.ask(stack, "/item", origin=listed)
    assert get.all("Access-Control-Allow-Origin") == [listed]
    assert get.all("Access-Control-Allow-Credentials") == []
    assert get.members("Access-Control-Expose-Headers") == []
    # Nothing but a missing cookie, which a script may have set and removed, tells that no credentials were sent.
    assert get.verdict == "conditional"
    for headers in ({}, {"Access_Control_Request_Headers": "x-tag"}):
        preflight = wire.ask(
            stack, "/item", origin=listed, method="OPTIONS", Access_Control_Request_Method="PUT", **headers
        )
        assert set(preflight.members("Access-Control-Allow-Methods")) <= {"get"}
        assert not {"x-tag", "*"} & set(preflight.members("Access-Control-Allow-Headers"))
        assert preflight.verdict == "blocked"
    # The only origin goes to nobody else, and caches are told.
    for origin in (unlisted, None):
        other = wire.ask(stack, "/item", origin=origin)
        assert other.all("Access-Control-Allow-Origin") == []
        assert "origin" in other.members("Vary")


# -- real browsers -----------------------------------------------------------------------------------------------------

INCLUDE = {"credentials": "include", "cache": "no-store"}
STEPS: dict[str, dict[str, Any]] = {
    "put": {"path": "/item?put", "init": {**PUT, **INCLUDE}},
    "get": {"path": "/item?get", "init": INCLUDE},
    "missing": {"path": "/missing?", "init": INCLUDE},
    "broken": {"path": "/broken?", "init": INCLUDE},
    "private": {"path": "/private?", "init": INCLUDE},
    "anonymous": {"path": "/item?anonymous", "init": {"credentials": "omit", "cache": "no-store"}},
    "private-put": {"path": "/private?put", "init": {**PUT, **INCLUDE}},
}
STATUSES = {
    "put": {200},
    "get": {200},
    "missing": {404},
    "broken": {500},
    "private": {401, 403},
    "anonymous": {401},
    "private-put": {401, 403},
    "null": {401},
}


def test_browsers_let_the_listed_page_read_everything_and_the_other_nothing(
    kind: Kind, pages: Pages, served: Served, tmp_path: Path
) -> None:
    if not served.ports:
        do_without("no server is installed")
    report = tmp_path / "report.jsonl"
    pages.seen = {}
    with (
        Mitmdump(flow_detail=0, cors_report=report, cors_grace=1) as proxy,
        launch(
            kind,
            find_browsers()[kind],
            pages.listed.url("/page"),
            proxy_port=proxy.port,
            ca_file=confdir() / "mitmproxy-ca-cert.pem",
            headless=True,
        ),
    ):
        for name in ("listed", "unlisted"):
            assert pages.done.acquire(timeout=40), f"the {name} page came to no end"

    listed, unlisted = pages.seen["listed"], pages.seen["unlisted"]
    assert listed.keys() == unlisted.keys() == served.ports.keys()
    unread = {
        f"{id_}: {name}": answer
        for id_, answers in listed.items()
        for name, answer in answers.items()
        if answer["status"] not in STATUSES[name] or (name in ("put", "get") and answer["total"] != "7")
    }
    assert unread == {}
    read = [(id_, name) for id_, answers in unlisted.items() for name, answer in answers.items() if answer["status"]]
    # Its sandboxed frames are as good as anybody's, which is what the configurations' comments warn of.
    assert read == [(id_, "null") for id_ in unlisted]

    # The addon says the same of every exchange.
    origins = {pages.listed.url(""): "allowed", pages.unlisted.url(""): "blocked", "null": "allowed"}
    ours = {f"http://127.0.0.1:{port}/" for port in served.ports.values()}
    lines = [line for line in final(read_report(report)) if line["url"].startswith(tuple(ours))]
    assert len(lines) >= 2 * len(STEPS) * len(served.ports)
    assert [line for line in lines if line["verdict"] != origins[line["origin"]]] == []


def test_nginx_takes_a_long_origin(tmp_path: Path) -> None:
    """Its tables of names have buckets of 64 bytes, unless they are told otherwise."""
    origin = f"https://{'.'.join(['a' * 60] * 4)}:65535"
    try:
        plan = put_together("nginx", Policy(origins=(origin,), credentials=True), tmp_path)
    except Missing as why:
        do_without(str(why))
    done = subprocess.run([*plan.command, "-t"], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr


def test_every_server_is_a_stack() -> None:
    assert set(SERVERS) < set(STACKS)
    assert set(PROXIES) < set(SERVERS)
