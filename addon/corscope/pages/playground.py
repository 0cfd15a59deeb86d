"""The playground, `/playground` on the lab's own page origin: its files, what visitors made, and what became of it.

Nothing is kept but documents that passed the rules of `corscope.lab.playground`, and the flows of the latest runs; all
of it in bounded memory. A document is named by its own hash, so that nobody can put another one in its place.
"""

import asyncio
import io
import json
import re
from collections import OrderedDict, deque
from importlib.resources import files
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from mitmproxy import ctx, http
from mitmproxy.addons.savehar import SaveHar
from mitmproxy.io import FlowWriter

from corscope import adapter
from corscope.advice import configuration_lines
from corscope.formats.document import entry_of
from corscope.formats.html import cause
from corscope.lab.answers import AD_HOC, Asked, Place, Served, choose, place_of, serve, step_json
from corscope.lab.playground import DocumentError, read_document, rules_json, scenario_of_document
from corscope.lab.presets import PRESETS
from corscope.lab.scenarios import HTTP, HTTPS, Initiator, Scenario, Step, Web
from corscope.memory import bound
from corscope.pages import hosts
from corscope.pages.guards import SAFE_METHODS, found, plain, private, refusal
from corscope.pages.history import History, Noted
from corscope.pages.hosts import place_of_host
from corscope.report import unfollowed
from corscope.rewriter import COOKIES_CROSS_SITE, COOKIES_OFF, Settings
from corscope.rewriting import BLOCKED, Rewriting
from corscope.scope import AllowedOrigins

WEBS = (HTTPS, HTTP)
"""The webs that have a playground: those whose hosts the addon answers for."""
_PAGES = frozenset(web.page for web in WEBS)

HELLOS = 16
"""Requests of opened pages that are remembered."""
DOCUMENTS, RUNS, FLOWS = 500, 100, 40
"""Documents, runs, and flows of one run that are remembered."""
RUNS_AT_ONCE = 4
"""Runs that one request of the page may name."""
REQUEST_BYTES = 32_768
"""How long a request may be that is remembered, its URL, headers and body; what a document asks for is half of that at
most, the rest is for what the browser adds."""
SETTLING_SECONDS = 8.0
"""How long an answer waits for verdicts that are not settled yet."""

REWRITTEN, REWRITTEN_WITH_COOKIES = "-rewritten", "-rewritten-cookies"
"""How the name of a run ends whose answers are to be rewritten."""
_RUN = re.compile(r"[a-z0-9]{1,24}(-rewritten(-cookies)?)?")

HTML, CSS = "text/html; charset=utf-8", "text/css; charset=utf-8"
SCRIPT, JSON = "text/javascript; charset=utf-8", "application/json"

HELLO = (f"/{AD_HOC}/hello", f"/{AD_HOC}/again")
"""What the page asks of its own API when it is opened, and after a run.

A cookie that the session saw travel to more than one path is missed on a request without credentials.
"""

_FILES = MappingProxyType(
    {
        "/playground": ("corscope.lab", "playground.html", HTML),
        "/playground/playground.css": ("corscope.lab", "playground.css", CSS),
        "/playground/playground.js": ("corscope.lab", "playground.js", SCRIPT),
        "/playground/report.css": ("corscope.formats", "report.css", CSS),
        "/playground/story.js": ("corscope.formats", "story.js", SCRIPT),
    }
)
"""Path to package, file and type."""

SIGNED_IN = ("Set-Cookie", "playground=1; Domain=corscope.test; Path=/p/; SameSite=Lax")
"""The page signs its visitor in with its own API: by the cookie one sees whether a request was credentialed."""


def _rewriting(cookies: str) -> Rewriting:
    exact = frozenset(origin.encode() for web in WEBS for origin in web.origins.values()) | {b"null"}
    return Rewriting(BLOCKED, Settings(allowed=AllowedOrigins(exact), cookies=cookies))


_REWRITINGS = MappingProxyType(
    {REWRITTEN: _rewriting(COOKIES_OFF), REWRITTEN_WITH_COOKIES: _rewriting(COOKIES_CROSS_SITE)}
)


class _Run(NamedTuple):
    """What is remembered of a run: flows of its browser."""

    flows: list[http.HTTPFlow]
    around: list[http.HTTPFlow]
    """What opened pages asked before it and in the time after it."""


class Playground:
    """Answers for the playground. `history` is where the verdicts come from."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._scenarios: OrderedDict[tuple[str, str], Scenario] = OrderedDict()
        """By web and id."""
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._hellos: deque[http.HTTPFlow] = deque(maxlen=HELLOS)

    def clear(self) -> None:
        """Forget all."""
        for kept in (self._scenarios, self._runs, self._hellos):
            kept.clear()

    # -- requests of a run

    def rewriting_of(self, flow: http.HTTPFlow) -> Rewriting | None:
        """Return the rewriting that a run asks for; None for all other flows, for which the user's options count."""
        # First, for it is asked of all CORS traffic.
        if not self._scenarios:
            return None
        place = self._ad_hoc(flow)
        if place is None or (place.web, place.scenario) not in self._scenarios:
            return None
        # The longer ending first: the other one does not end it.
        return next((one for ending, one in _REWRITINGS.items() if place.run.endswith(ending)), None)

    @staticmethod
    def _ad_hoc(flow: http.HTTPFlow) -> Place | None:
        """Return the place of a request for what a visitor made; None for all other flows."""
        if not flow.live or not flow.request.path.startswith(f"/{AD_HOC}/"):
            return None
        return place_of(flow.request.path) if place_of_host(flow.request.data.host) is hosts.Place.LAB else None

    def serve(self, asked: Asked, flow: http.HTTPFlow) -> Served | None:
        """Answer a request to what a visitor made, and remember its flow; None where there is no such thing."""
        place = place_of(asked.path)
        if asked.path in HELLO:
            if asked.header("origin") in _PAGES and _length(asked) <= REQUEST_BYTES:
                self._hellos.append(flow)
                self._follow(flow)
            return _hello(asked)
        if place is None or place.folder != AD_HOC or _RUN.fullmatch(place.run) is None:
            return None
        scenario = self._scenarios.get((place.web, place.scenario))
        if scenario is None or place.hop >= len(scenario.hops):
            return None
        hop = scenario.hops[place.hop]
        if asked.origin != _web(place.web).origins[hop.role]:
            return None
        if _length(asked) > REQUEST_BYTES:
            return plain(413, "That is more than the playground takes.")
        run = self._runs.get(place.run)
        if run is None:
            client = _client(flow)
            run = self._runs[place.run] = _Run([], [one for one in self._hellos if _client(one) == client])
            bound(self._runs, RUNS)
        if len(run.flows) < FLOWS:
            run.flows.append(flow)
        return serve(choose(asked, hop), asked, place, scenario)

    def _follow(self, hello: http.HTTPFlow) -> None:
        """Remember what an opened page asks with the runs of the same browser that came shortly before it."""
        client = _client(hello)
        for run in self._runs.values():
            if len(run.around) < 2 * HELLOS and _client(run.flows[0]) == client:
                run.around.append(hello)

    # -- the page

    async def answer(self, asked: Asked) -> Served | None:
        """Answer a request to the page and what belongs to it; None for all other paths and hosts."""
        path, _, query = asked.path.partition("?")
        web = next((web for web in WEBS if web.page == asked.origin), None)
        if web is None or not is_of_playground(path):
            return None
        return private(refusal(asked) or await self._answer(asked, web, path, query), policy=policy(web))

    async def _answer(self, asked: Asked, web: Web, path: str, query: str) -> Served:
        if path == "/playground/scenarios":
            if asked.method != "POST":
                return plain(405, f"{path} takes POST.")
            return self._take(asked.content, web)
        if asked.method not in SAFE_METHODS:
            return plain(405, f"{path} takes {' and '.join(SAFE_METHODS)}.")
        if path in _FILES:
            package, name, kind = _FILES[path]
            served = found(kind, files(package).joinpath(name).read_bytes())
            if kind == HTML:
                return Served(status=200, headers=(*served.headers, SIGNED_IN), content=served.content)
            return served
        if path == "/playground/choices.json":
            return _json(choices(web))
        runs = [value for key, value in parse_qsl(query) if key == "run"][:RUNS_AT_ONCE]
        if path == "/playground/run":
            return _json(await self._entries(runs))
        if path in ("/playground/run.mitm", "/playground/run.har"):
            return self._download(runs, path.rpartition(".")[2])
        return plain(404, f"There is no {path}.")

    def _take(self, content: bytes, web: Web) -> Served:
        """Take a document; the answer says where its requests go, or in a line why it is not taken."""
        try:
            document = read_document(content)
            scenario = scenario_of_document(document, web)
        except DocumentError as error:
            return _json({"error": str(error)}, status=422)
        user = document["request"].get("user")
        signs_in = Step(initiator=Initiator.XHR, user_info=user) if user else None
        self._scenarios[web.name, scenario.id] = scenario
        self._scenarios.move_to_end((web.name, scenario.id))
        bound(self._scenarios, DOCUMENTS)
        return _json(
            {
                "id": scenario.id,
                "origin": web.origins[scenario.hops[0].role],
                "context": scenario.context,
                # Made by a frame of the server's own origin: to another one a browser takes no password from a script.
                "signsIn": step_json(signs_in) if signs_in else None,
                "steps": [{**step_json(step), "look": True} for step in scenario.steps],
            }
        )

    # -- what became of a run

    def _noted(self, names: list[str]) -> list[tuple[str, http.HTTPFlow, Noted | None]]:
        known = [(name, self._runs[name]) for name in names if name in self._runs]
        return [(name, flow, self._history.get(flow.id)) for name, run in known for flow in run.flows]

    async def _entries(self, runs: list[str]) -> dict[str, Any]:
        """Return the entries of runs, once no time that passes changes the verdicts, or enough has passed."""
        deadline = asyncio.get_running_loop().time() + SETTLING_SECONDS
        while True:
            sequence = self._history.sequence
            noted = self._noted(runs)
            judged = [one.verdict for _, _, one in noted if one is not None]
            waits = len(judged) < len(noted) or bool(unfollowed(judged))
            left = deadline - asyncio.get_running_loop().time()
            if not waits or left <= 0 or not await self._history.wait(sequence, left):
                break
        noted = self._noted(runs)
        entries = [_entry(one, run, number) for number, (run, _, one) in enumerate(noted) if one is not None]
        return {"entries": entries, "settled": all(entry["settled"] for entry in entries)}

    def _download(self, names: list[str], suffix: str) -> Served:
        runs = [self._runs[name] for name in names if name in self._runs]
        ran = [flow for run in runs for flow in run.flows if flow.response is not None]
        if not ran:
            return plain(404, "That run is not remembered any more: run it again.")
        # What the session saw before and after: without it, a file would leave open what was told.
        around = {one.id: one for run in runs for one in run.around if one.response is not None}
        flows = sorted([*around.values(), *ran], key=lambda flow: flow.request.timestamp_start)
        if suffix == "har":
            kind, content = JSON, json.dumps(SaveHar().make_har(flows)).encode()
        else:
            kind, file = "application/octet-stream", io.BytesIO()
            writer = FlowWriter(file)
            for flow in flows:
                writer.add(flow)
            content = file.getvalue()
        served = found(kind, content)
        disposition = ("Content-Disposition", f'attachment; filename="corscope-playground.{suffix}"')
        return Served(status=200, headers=(*served.headers, disposition), content=content)


def is_of_playground(path: str) -> bool:
    """Tell whether a path, without query, is the page's or belongs to it."""
    return path == "/playground" or path.startswith("/playground/")


def _length(asked: Asked) -> int:
    """Return how long a request is."""
    return len(asked.path) + sum(len(name) + len(value) for name, value in asked.headers) + len(asked.content)


def _client(flow: http.HTTPFlow) -> str:
    return adapter.client_key(flow, adapter.head(flow))


def _web(name: str) -> Web:
    return next(web for web in WEBS if web.name == name)


def choices(web: Web) -> dict[str, Any]:
    """Return what the page offers: the rules, the presets, and the hosts of its web."""
    return {
        **rules_json(),
        "web": web.name,
        "origins": dict(web.origins),
        "presets": [
            {"id": one.id, "group": one.group, "title": one.title, "text": one.text, "document": one.document}
            for one in PRESETS
            if one.insecure or web is HTTPS
        ],
    }


def policy(web: Web) -> str:
    """Return the Content-Security-Policy of the page: its own files, and requests of each kind to the lab's hosts.

    No `require-trusted-types-for`: to ask for a script whose URL is chosen is what the page is for.
    """
    lab = " ".join(origin for role, origin in web.origins.items() if role != "scheme")
    return (
        f"default-src 'none'; script-src 'self' {lab}; style-src 'self' {lab}; img-src 'self' data: {lab}; "
        f"font-src {lab}; media-src {lab}; connect-src 'self' {lab}; worker-src 'self'; frame-src 'self' {lab}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hello(asked: Asked) -> Served:
    headers = [("Access-Control-Allow-Credentials", "true"), ("Vary", "Origin"), ("Cache-Control", "no-store")]
    origin = asked.header("origin")
    if origin in _PAGES:
        # Once more, so that recorded flows tell who set it: what a server did not set may be a script's.
        headers += [("Access-Control-Allow-Origin", str(origin)), SIGNED_IN]
    return Served(status=204, headers=tuple(headers))


def _entry(noted: Noted, run: str, number: int) -> dict[str, Any]:
    """Return an entry as `corscope.formats.story.js` shows it, see `corscope.formats.document`."""
    entry = entry_of(noted.verdict, run, number, ctx.options.cors_stack, rewrite=noted.rewrite)
    entry.setdefault("wire", {"request": [], "response": []})
    if "fix" in entry:
        entry["configuration"] = configuration_lines(entry)[1:]
    return {**entry, "cause": cause(entry)}


def _json(value: object, status: int = 200) -> Served:
    return found(JSON, json.dumps(value, separators=(",", ":")).encode(), status=status)
