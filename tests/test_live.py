"""Real browsers through a real mitmdump to real servers: each verdict is what became of the request in the page."""

from __future__ import annotations

import base64
import itertools
import json
import ssl
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from typing import Any

import pytest
from mitmproxy.certs import CertStore

from corscope.browsers import Kind, find_browsers, launch
from corscope.lab.answers import FONT, IMAGE
from proxies import Mitmdump, confdir, eventually, final, read_recording, read_report
from servers import Asked, RawServer, respond

PAGE = (Path(__file__).parent / "live_page.html").read_text(encoding="utf-8")

# -- what the servers answer -------------------------------------------------------------------------------------------

type Lines = tuple[str, ...]

ANYONE: Lines = ("Access-Control-Allow-Origin: *",)
ECHO: Lines = ("Access-Control-Allow-Origin: $ORIGIN",)
TRUE: Lines = ("Access-Control-Allow-Credentials: true",)
PUT: Lines = ("Access-Control-Allow-Methods: PUT",)
FAR_COOKIE: Lines = ("Set-Cookie: far=1; Path=/; SameSite=None; Secure",)
ANY_HEADER: Lines = ("Access-Control-Allow-Headers: *",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response; `$ORIGIN` is the Origin received, `$PAGE` the page's own, `$NEXT` the URL of the next hop."""

    lines: Lines = ()
    status: str = "200 OK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """Where one request of a scenario goes, and what is answered."""

    at: str = "api"
    """`page`: the page's own origin; `api`: another one of its site; `far`: of another site."""
    answer: Answer = Answer()
    preflight: Answer | None = None
    user_info: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What the page does, and whether that works."""

    works: bool
    hops: tuple[Hop, ...]
    via: str = "fetch"
    init: Mapping[str, object] = field(default_factory=dict)
    times: int = 1


def one(
    lines: Lines, *, works: bool, at: str = "api", via: str = "fetch", status: str = "200 OK", **init: object
) -> Scenario:
    """A single request without a preflight."""
    return Scenario(works=works, hops=(Hop(at=at, answer=Answer(lines=lines, status=status)),), via=via, init=init)


def asks(
    lines: Lines, *, works: bool, answer: Lines = ANYONE, status: str = "204 No Content", **init: object
) -> Scenario:
    """A request with a preflight."""
    hop = Hop(answer=Answer(lines=answer), preflight=Answer(lines=lines, status=status))
    return Scenario(works=works, hops=(hop,), init={"method": "PUT", **init})


def leads(*hops: tuple[str, Lines], works: bool, user_info: str = "", **init: object) -> Scenario:
    """A chain of redirects: each hop's place and headers."""
    made = tuple(
        Hop(
            at=at,
            answer=Answer(lines=(*lines, "Location: $NEXT"), status="307 Temporary Redirect")
            if number < len(hops)
            else Answer(lines=lines),
            user_info=user_info if number == len(hops) else "",
        )
        for number, (at, lines) in enumerate(hops, 1)
    )
    return Scenario(works=works, hops=made, init=init)


INCLUDE: dict[str, Any] = {"credentials": "include"}

SCENARIOS: dict[str, Scenario] = {
    # The cookies that travel here, to more than one path, are missed on requests without credentials.
    "credentials": one(ECHO + TRUE, works=True, **INCLUDE),
    "credentials-again": one(ECHO + TRUE, works=True, **INCLUDE),
    "far-credentials": one(ECHO + TRUE + FAR_COOKIE, at="far", works=True, **INCLUDE),
    "far-credentials-again": one(ECHO + TRUE, at="far", works=True, **INCLUDE),
    "far-credentials-still": one(ECHO + TRUE, at="far", works=True, **INCLUDE),
    "anyone": one(ANYONE, works=True),
    "echo": one(ECHO, works=True),
    "missing": one((), works=False),
    "mismatch": one(("Access-Control-Allow-Origin: https://wrong.test",), works=False),
    "null": one(("Access-Control-Allow-Origin: null",), works=False),
    "twice": one(ECHO + ECHO, works=False),
    "slash": one(("Access-Control-Allow-Origin: $ORIGIN/",), works=False),
    "spaces": one(("Access-Control-Allow-Origin: \t $ORIGIN \t",), works=True),
    "error-status": one(ANYONE, status="500 Oh", works=True),
    "not-found": one((), status="404 Not Found", works=False),
    "own": one((), at="page", works=True),
    "opaque": one((), works=True, mode="no-cors"),
    "post-text": one(ECHO, works=True, method="POST", body="text"),
    "post-text-missing": one((), works=False, method="POST", body="text"),
    "credentials-wildcard": one(ANYONE + TRUE, works=False, **INCLUDE),
    "credentials-missing": one(ECHO, works=False, **INCLUDE),
    "credentials-upper-case": one((*ECHO, "Access-Control-Allow-Credentials: TRUE"), works=False, **INCLUDE),
    "credentials-unasked": one((*ANYONE, "Access-Control-Allow-Credentials: never"), works=True),
    "far-credentials-wildcard": one(ANYONE, at="far", works=False, **INCLUDE),
    "far-anyone": one(ANYONE, at="far", works=True),
    "preflight": asks(ANYONE + PUT, works=True),
    "preflight-cached": Scenario(
        works=True,
        hops=(
            Hop(
                answer=Answer(lines=ANYONE),
                preflight=Answer(lines=(*ANYONE, *PUT, "Access-Control-Max-Age: 600"), status="204 No Content"),
            ),
        ),
        init={"method": "PUT"},
        times=2,
    ),
    "preflight-method": asks((*ANYONE, "Access-Control-Allow-Methods: put, DELETE"), works=False),
    "preflight-header": asks(ANYONE + PUT, works=False, headers={"x-tag": "1"}),
    "preflight-any-header": asks(ANYONE + PUT + ANY_HEADER, works=True, headers={"x-tag": "1"}),
    "preflight-authorization": asks(ANYONE + PUT + ANY_HEADER, works=True, headers={"authorization": "Bearer a"}),
    "preflight-missing": asks(PUT, works=False),
    "preflight-not-found": asks(ANYONE + PUT, status="404 Not Found", works=False),
    "preflight-redirect": asks((*ANYONE, *PUT, "Location: /s/elsewhere/0"), status="302 Found", works=False),
    "preflight-then-missing": asks(ANYONE + PUT, answer=(), works=False),
    "preflight-credentials": asks(ECHO + TRUE + PUT, answer=ECHO + TRUE, works=True, **INCLUDE),
    "preflight-credentials-wildcard": asks(ANYONE + PUT, works=False, **INCLUDE),
    "redirect": leads(("api", ANYONE), ("api", ANYONE), works=True),
    "redirect-missing": leads(("api", ()), ("api", ANYONE), works=False),
    "redirect-then-missing": leads(("api", ANYONE), ("api", ()), works=False),
    "redirect-tainted": leads(("api", ANYONE), ("far", ANYONE), works=True),
    "redirect-tainted-echo": leads(("api", ANYONE), ("far", ECHO), works=True),
    "redirect-tainted-page": leads(("api", ANYONE), ("far", ("Access-Control-Allow-Origin: $PAGE",)), works=False),
    "redirect-home": leads(("api", ANYONE), ("page", ANYONE), works=True),
    "redirect-home-missing": leads(("api", ANYONE), ("page", ()), works=False),
    "redirect-away": leads(("page", ()), ("api", ECHO), works=True),
    "redirect-away-missing": leads(("page", ()), ("api", ()), works=False),
    "redirect-user-info": leads(("api", ANYONE), ("far", ANYONE), works=False, user_info="user:word@"),
    "redirect-credentials-wildcard": leads(("api", ANYONE), ("api", ECHO + TRUE), works=False, **INCLUDE),
    "xhr": one(ECHO, works=True, via="xhr"),
    "xhr-missing": one((), works=False, via="xhr"),
    "xhr-credentials-wildcard": one(ANYONE, works=False, via="xhr", **INCLUDE),
    "events": one((*ANYONE, "Content-Type: text/event-stream"), works=True, via="events"),
    "events-missing": one(("Content-Type: text/event-stream",), works=False, via="events"),
    "image": one(("Content-Type: image/png",), works=True, via="element", tag="img"),
    "image-anonymous": one((*ANYONE, "Content-Type: image/png"), works=True, via="element", tag="img", crossOrigin=""),
    "image-anonymous-missing": one(("Content-Type: image/png",), works=False, via="element", tag="img", crossOrigin=""),
    "image-credentials-wildcard": one(
        (*ANYONE, "Content-Type: image/png"), works=False, via="element", tag="img", crossOrigin="use-credentials"
    ),
    "script-anonymous-missing": one(
        ("Content-Type: text/javascript",), works=False, via="element", tag="script", crossOrigin="anonymous"
    ),
    "font": one((*ANYONE, "Content-Type: font/ttf"), works=True, via="font"),
    "font-missing": one(("Content-Type: font/ttf",), works=False, via="font"),
}

BODIES = {"image/png": IMAGE, "font/ttf": FONT, "text/event-stream": b"data: live\n\n", "text/javascript": b"void 0;"}

# -- the webs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Web:
    """A page's origin and those it asks."""

    name: str
    page: str
    api: str
    far: str

    def origin(self, at: str) -> str:
        found: str = getattr(self, at)
        return found

    def url(self, id_: str, hop: int) -> str:
        """The URL of a scenario's hop."""
        there = SCENARIOS[id_].hops[hop]
        scheme, _, host = self.origin(there.at).partition("://")
        return f"{scheme}://{there.user_info}{host}/s/{self.name}/{id_}/{hop}"


class Webs:
    """The servers of all webs, and what pages told them."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Any]] = {}
        self.done = threading.Semaphore(0)
        self.webs: tuple[Web, ...] = ()

    def table(self, number: int) -> str:
        """What a page is to do."""
        web = self.webs[number]
        rows = [
            {"id": f"{id_}{'+' * again}", "via": scenario.via, "url": web.url(id_, 0), "init": scenario.init}
            for id_, scenario in SCENARIOS.items()
            for again in range(scenario.times)
        ]
        following = self.first_page(number + 1) if number + 1 < len(self.webs) else None
        whole = {"scenarios": rows, "done": f"/done/{number}", "next": following}
        return base64.b64encode(json.dumps(whole).encode()).decode()

    def first_page(self, number: int) -> str:
        """Where a web begins."""
        return f"{self.webs[number].page}/page/{number}"

    def handle(self, asked: Asked, connection: socket) -> None:
        """Answers for every host."""
        what, _, number = asked.path[1:].partition("/")
        if what == "page":
            domain = (asked.header("host") or "").partition(":")[0].partition(".")[2]
            scope = f"; Domain={domain}" if domain.endswith(".test") else ""
            page = PAGE.replace("TABLE", self.table(int(number))).encode()
            cookie = f"Set-Cookie: sid=1; Path=/{scope}"
            respond(connection, "Content-Type: text/html", "Cache-Control: no-store", cookie, body=page)
        elif what == "done":
            self.seen[self.webs[int(number)].name] = json.loads(asked.body)
            respond(connection)
            self.done.release()
        elif what == "s":
            self.answer(asked, connection)
        else:
            respond(connection, status="404 Not Found")

    def answer(self, asked: Asked, connection: socket) -> None:
        """Answers a scenario's request."""
        name, id_, hop = asked.path.split("/")[2:5]
        web = next(web for web in self.webs if web.name == name)
        there = SCENARIOS[id_].hops[int(hop)]
        preflight = asked.method == "OPTIONS"
        answer = there.preflight if preflight else there.answer
        assert answer, f"an unexpected preflight: {asked.head!r}"
        values = {"$ORIGIN": asked.header("origin") or "none", "$PAGE": web.page}
        if int(hop) + 1 < len(SCENARIOS[id_].hops):
            values["$NEXT"] = web.url(id_, int(hop) + 1)
        text = "\r\n".join(answer.lines)
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        lines = text.split("\r\n") if text else []
        kind = next((line.partition(": ")[2] for line in lines if line.startswith("Content-Type: ")), "")
        body = b"" if preflight else BODIES.get(kind, b"here")
        respond(connection, "Cache-Control: no-store", *lines, status=answer.status, body=body)


CONNECTS = """
import asyncio
connect = asyncio.open_connection
def redirected(host, port, **options):
    return connect("127.0.0.1", {secure} if port == 443 else port, **options) if host.endswith(".test") else connect(
        host, port, **options)
asyncio.open_connection = redirected
"""
"""Leads mitmproxy's connections to the servers. (With another address in its hook `server_connect` it would open a
connection for each request, and wait after five.)"""


@contextmanager
def served(folder: Path) -> Iterator[tuple[Webs, list[RawServer], Path]]:
    """The webs, their servers, and a script that leads mitmproxy to those."""
    webs = Webs()
    CertStore.from_store(confdir(), "mitmproxy", 2048)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(confdir() / "mitmproxy-ca.pem")
    with ExitStack() as stack:
        first, second, secure = servers = [
            stack.enter_context(RawServer(webs.handle, one)) for one in (None, None, context)
        ]
        webs.webs = (
            Web("https", "https://app.live.test", "https://api.live.test", "https://far.test"),
            # With a port of its own, a browser does not try https first.
            Web("http", *(f"http://{host}.test:{first.port}" for host in ("app.plain", "api.plain", "far"))),
            Web(
                "local",
                f"http://127.0.0.1:{first.port}",
                f"http://127.0.0.1:{second.port}",
                f"http://localhost:{second.port}",
            ),
        )
        script = folder / "connects.py"
        script.write_text(CONNECTS.format(secure=secure.port))
        yield webs, servers, script


# -- the comparison ----------------------------------------------------------------------------------------------------


PASSED = {"allowed", "exempt"}
UNTOLD = {
    # On plain http neither a cookie nor Sec-Fetch-Storage-Access goes to another site.
    ("http", "far-credentials-wildcard"): "conditional",
    # A beacon and a no-cors fetch look the same there, and far more of them go to servers that know nothing of CORS.
    ("http", "post-text-missing"): "exempt",
    # After a redirect a cookie's absence tells nothing, and in Firefox on HTTP/2 the connection does not either.
    ("https", "redirect-away"): "conditional",
}
"""What the wire may not tell: then the verdict is this one, with a warning that says so, and never a wrong one."""
UNTOLD_IN_CHROMIUM = {(name, "redirect-away"): "conditional" for name in ("http", "local")}
"""On HTTP/1 its connections tell. But at times it opens one anew, where the other is not free yet or just closed, and
that tells only if something else that tells goes on it, too."""


def faults_of(seen: Visit, kind: Kind, name: str, id_: str, lines: list[dict[str, Any]]) -> Iterator[str]:
    """What the verdicts on one scenario get wrong, against what the page saw."""
    works = SCENARIOS[id_].works
    verdicts = [line["verdict"] for line in lines]
    said = f"{name}/{id_} {'worked' if works else 'failed'} in the page, and its exchanges are {verdicts}"
    if not lines:
        yield f"{said}: none was reported"
        return
    *before, last = verdicts
    right = last in PASSED if works else last == "blocked"
    told = kind == "firefox" or seen.is_told_by_connection(lines[-1])
    untold = UNTOLD if told else UNTOLD | UNTOLD_IN_CHROMIUM
    if not right and last == untold.get((name, id_)):
        right = "warning" in {finding["severity"] for finding in lines[-1]["findings"]}
    if not right or not set(before) <= PASSED:
        yield said


@dataclass(frozen=True, slots=True)
class Visit:
    """What came of one browser's visit to all webs."""

    webs: Webs
    lines: list[dict[str, Any]]
    """The final line on each exchange of a scenario."""
    asked: list[str]
    """The paths of scenarios that servers were asked for."""
    connections: Mapping[str, str]
    """The browser's connection to the proxy, by flow."""

    @property
    def worked(self) -> dict[str, dict[str, bool]]:
        """Whether each scenario worked in the page, by web."""
        return {name: {id_: result["ok"] for id_, result in seen.items()} for name, seen in self.webs.seen.items()}

    def by_scenario(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """The lines by web and scenario."""
        found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for line in self.lines:
            name, id_ = line["url"].split("/s/")[1].split("/")[:2]
            found[name, id_].append(line)
        return found

    def is_told_by_connection(self, line: Mapping[str, Any]) -> bool:
        """Whether an exchange whose credentials mode is known, a preflight too, went on the same connection."""
        connection = self.connections[line["flow_id"]]
        return any(
            other["kind"] == "preflight" or other["credentials"] != "unknown"
            for other in self.lines
            if self.connections[other["flow_id"]] == connection
        )


def visit(kind: Kind, folder: Path, **options: object) -> Visit:
    """Lets a browser go through all webs, with a mitmdump of these options between."""
    report, flows = folder / "report.jsonl", folder / "flows.mitm"
    with served(folder) as (webs, servers, script):
        pages = ",".join([*(web.page for web in webs.webs), "null"])
        given = {name: str(value).replace("PAGES", pages) for name, value in options.items()}
        with (
            Mitmdump(
                *("-s", str(script), "-w", str(flows)),
                ssl_insecure="true",
                flow_detail=0,
                cors_report=report,
                cors_grace=1,
                **given,
            ) as proxy,
            launch(
                kind,
                find_browsers()[kind],
                webs.first_page(0),
                proxy_port=proxy.port,
                ca_file=confdir() / "mitmproxy-ca-cert.pem",
                headless=True,
            ),
        ):
            for web in webs.webs:
                assert webs.done.acquire(timeout=30), f"the page of {web.name} came to no end"
            # What nothing followed is told by that.
            eventually(
                lambda: all(line["settled"] for line in final(read_report(report)) if line["kind"] == "preflight"), 5
            )
            said = proxy.stop()
        asked = [one.path for server in servers for one in server.asked if one.path.startswith("/s/")]
    assert "could not" not in said
    connections = {flow.id: flow.client_conn.id for flow in read_recording(flows)}
    return Visit(webs, [line for line in final(read_report(report)) if "/s/" in line["url"]], asked, connections)


EXPECTED = {f"{id_}{'+' * again}": one.works for id_, one in SCENARIOS.items() for again in range(one.times)}


def test_each_verdict_is_what_the_page_saw(kind: Kind, tmp_path: Path) -> None:
    seen = visit(kind, tmp_path)
    # Otherwise the comparison would be of something else than was meant.
    assert seen.worked == {web.name: EXPECTED for web in seen.webs.webs}

    lines = seen.by_scenario()
    faults = [
        fault
        for web, id_ in itertools.product(seen.webs.webs, SCENARIOS)
        for fault in faults_of(seen, kind, web.name, id_, lines[web.name, id_])
    ]
    assert faults == [], "\n".join(faults)
    # Every request that reached a server has its line, and no line is about anything else.
    assert len(seen.lines) == len(seen.asked)
    assert {line["browser"] for line in seen.lines} == {kind}


BEYOND_HEADERS = {
    "redirect-user-info": "a redirect of a CORS request may name no user",
}
"""What no header of the response mends, with the reason."""


@pytest.mark.parametrize("mode", ["blocked", "all"])
def test_rewriting_lets_the_page_have_everything(kind: Kind, mode: str, tmp_path: Path) -> None:
    seen = visit(kind, tmp_path, cors_rewrite=mode, cors_allow_origins="PAGES")
    failed = {(name, id_) for name, results in seen.worked.items() for id_, works in results.items() if not works}
    assert failed == {(web.name, id_) for web in seen.webs.webs for id_ in BEYOND_HEADERS}
    for (_, id_), lines in seen.by_scenario().items():
        if id_ not in BEYOND_HEADERS:
            assert {line["verdict"] for line in lines} <= PASSED
    rewritten = [line["rewrite"] for line in seen.lines if "rewrite" in line]
    assert any(rewrite["applied"] for rewrite in rewritten)


def test_rewriting_leaves_origins_that_are_not_listed_alone(kind: Kind, tmp_path: Path) -> None:
    seen = visit(kind, tmp_path, cors_rewrite="all", cors_allow_origins="https://*.other.test")
    assert seen.worked == {web.name: EXPECTED for web in seen.webs.webs}
    assert not any("rewrite" in line for line in seen.lines)
