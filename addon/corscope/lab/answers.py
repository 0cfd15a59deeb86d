"""What the lab's web answers: to the page, its scripts and its table, and to each request of a scenario.

Pure: a request and how many like it came before go in, the answer comes out. Knows nothing of mitmproxy.
"""

from __future__ import annotations

import base64
import functools
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from corscope.lab.drawn import drawn, is_drawn, scenario_drawn
from corscope.lab.scenarios import (
    NEXT_HOP,
    RECEIVED_HEADERS,
    RECEIVED_METHOD,
    RECEIVED_ORIGIN,
    WEBS,
    Answer,
    Body,
    Context,
    Hop,
    Lines,
    Role,
    Scenario,
    Step,
    Web,
    scenarios,
)

FOLDER = Path(__file__).parent
ASSETS = MappingProxyType(
    {
        "/": ("page.html", "text/html; charset=utf-8"),
        "/agent.html": ("agent.html", "text/html; charset=utf-8"),
        "/agent.js": ("agent.js", "text/javascript; charset=utf-8"),
        "/contexts.js": ("contexts.js", "text/javascript; charset=utf-8"),
        "/page.css": ("page.css", "text/css; charset=utf-8"),
        "/page.js": ("page.js", "text/javascript; charset=utf-8"),
        "/runner.js": ("runner.js", "text/javascript; charset=utf-8"),
    }
)
"""Path to file and type; the same on every host of the lab."""
TABLE, AD_HOC = "x", "p"
"""How the paths begin of the table's scenarios, and of those that the playground's visitors made."""
RESULTS_PATH = "/results"
"""Where the page posts what it saw, on its own origin, if its address names the run."""
AGREEMENT_PATH = "/agreement"
"""Where it asks whether that is what corscope predicted, if a judge is there to be asked."""

FONT = base64.b64decode(
    b"AAEAAAAKAIAAAwAgT1MvMkE4P60AAAEoAAAAYGNtYXAADACUAAABkAAAADRnbHlmLoKi7gAAAcwAAAAoaGVhZF82PVgAAACsAAAA"
    b"NmhoZWEAUgAiAAAA5AAAACRobXR4ACgAAAAAAYgAAAAGbG9jYQAUAAoAAAHEAAAABm1heHAABAAFAAABCAAAACBuYW1lAKhsCAAA"
    b"AfQAAAA8cG9zdAADAAAAAAIwAAAAIAABAAAAAQAABSODgV8PPPUAAwBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIAAgAAAAAwACAAAA"
    b"AAAAAAEAAAAw//AAAAAoAAAACAAgAAEAAAAAAAAAAAAAAAAAAAABAAEAAAACAAMAAQAAAAAAAgAAAAAAAAAAAAAAAAAAAAAAAwAo"
    b"AZAABQAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABAAAAAAAAAAAAAAAAPz8/PwAAAEEAQQAAAAAAAAAAAAAA"
    b"AAAAAAAAAAAAAAAAAAAgAAAAKAAAAAAAAAAAAAIAAAADAAAAFAADAAEAAAAUAAQAIAAAAAQABAABAAAAQf//AAAAQf///8AAAQAA"
    b"AAAAAAAKABQAAAABAAAAAAAgACAAAgAAMTUXICAgAAEAAAAAACAAIAACAAAxNRcgICAAAAAEADYAAQAAAAAAAQABAAAAAQAAAAAA"
    b"AgABAAEAAwABBAkAAQACAAIAAwABBAkAAgACAARjcgBjAHIAAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
)
"""A TrueType font with one triangle for a glyph."""
IMAGE = base64.b64decode(
    b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAHLCMmQAAAABJRU5ErkJggg=="
)
"""A PNG of one white pixel."""
MEDIA = (
    b"RIFF"
    + struct.pack("<I4s4sIHHIIHH4sI", 36 + 80, b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8, b"data", 80)
    + bytes([128] * 80)
)
"""A WAV of ten milliseconds' silence."""

BODIES: Mapping[Body, tuple[str, bytes]] = MappingProxyType(
    {
        Body.EMPTY: ("", b""),
        Body.JSON: ("application/json", b'{"lab": true}'),
        Body.TEXT: ("text/plain", b"lab"),
        Body.HTML: ("text/html; charset=utf-8", b"<!doctype html><title>lab</title>"),
        Body.SCRIPT: ("text/javascript", b"void 0;"),
        Body.STYLE: ("text/css", b".lab { color: green }"),
        Body.IMAGE: ("image/png", IMAGE),
        Body.FONT: ("font/ttf", FONT),
        Body.MEDIA: ("audio/wav", MEDIA),
        Body.TRACK: ("text/vtt", b"WEBVTT\n\n00:00.000 --> 00:01.000\nlab\n"),
        Body.EVENTS: ("text/event-stream", b"data: lab\n\n"),
    }
)
"""Each body's Content-Type and bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that reached the lab's web."""

    method: str
    """As sent, not upper-cased."""
    origin: str
    """Serialized origin of the URL: scheme, punycode host, port unless it is the default."""
    path: str
    """With the query."""
    headers: Lines = ()
    content: bytes = b""
    seen: int = 0
    """How many of the same kind (preflight or not) came for this URL before."""

    def header(self, name: str) -> str | None:
        """The value of a request header, names compared without case; None without one."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None

    @property
    def preflight(self) -> bool:
        """Whether a browser asks for leave rather than a page for the thing."""
        return self.method == "OPTIONS" and self.header("access-control-request-method") is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A complete response."""

    status: int
    headers: Lines
    content: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in a table a URL belongs."""

    web: str
    run: str
    """A name for one visit's run, chosen by the page."""
    scenario: str
    hop: int
    folder: str = TABLE


@functools.cache
def origins() -> frozenset[str]:
    """Every origin that belongs to the lab."""
    return frozenset(origin for web in WEBS.values() for origin in web.origins.values())


def is_local(origin: str) -> bool:
    """Whether an origin is this machine's own rather than one of the reserved names."""
    return not origin.partition("://")[2].partition(":")[0].endswith(".test")


def web_of_page(origin: str) -> Web | None:
    """The web whose page has an origin; None if there is none."""
    return next((web for web in WEBS.values() if web.page == origin), None)


@functools.cache
def _by_id(web: str) -> Mapping[str, Scenario]:
    return MappingProxyType({scenario.id: scenario for scenario in scenarios(web)})


def scenario_of(place: Place) -> Scenario | None:
    """The scenario that a place belongs to; None if there is none."""
    if place.web not in WEBS or place.folder != TABLE:
        return None
    if is_drawn(place.scenario):
        return scenario_drawn(place.web, place.scenario)
    return _by_id(place.web).get(place.scenario)


def place_of(path: str) -> Place | None:
    """Reads a scenario's URL path; None for anything else."""
    parts = path.partition("?")[0].split("/")
    # Only redirects of the playground give the last part, which says nothing, to what they lead to.
    lengths = {TABLE: (6,), AD_HOC: (6, 7)}.get(parts[1] if len(parts) > 1 else "", ())
    if len(parts) not in lengths or parts[0] or not (parts[5].isdecimal() and len(parts[5]) < 4):
        return None
    return Place(web=parts[2], run=parts[3], scenario=parts[4], hop=int(parts[5]), folder=parts[1])


def path_of(place: Place) -> str:
    """The URL path of a place: what place_of reads."""
    return f"/{place.folder}/{place.web}/{place.run}/{place.scenario}/{place.hop}"


def answer(asked: Asked, *, local: bool = False) -> Served | None:
    """Answers a request to the lab's web; None if the web has nothing at that URL.

    `local` says whether what the table asks of this machine's own origins comes here too: the recorder takes them over,
    the addon never does.
    """
    if asked.origin not in origins():
        return None
    place = place_of(asked.path)
    if place is not None:
        return _scenario_answer(asked, place)
    path, _, query = asked.path.partition("?")
    if path == "/jar":
        return _jar(asked)
    if path in ASSETS:
        name, kind = ASSETS[path]
        content = (FOLDER / name).read_bytes()
        return _page(kind, content, policy(name, local=local) if name.endswith(".html") else "")
    web = web_of_page(asked.origin)
    if web is not None and path == "/table.json":
        only = query.removeprefix("only=")
        return _page("application/json", table_json(web, only, local=local).encode())
    if path == RESULTS_PATH and asked.method == "POST":
        return Served(status=204, headers=(("Cache-Control", "no-store"),))
    if path == "/favicon.ico":
        return Served(status=204, headers=(("Cache-Control", "max-age=86400"),))
    return None


def _page(kind: str, content: bytes, policy: str = "") -> Served:
    headers: Lines = (
        ("Content-Type", kind),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    )
    if policy:
        headers = (*headers, ("Content-Security-Policy", policy))
    return Served(status=200, headers=headers, content=content)


@functools.cache
def policy(name: str, *, local: bool) -> str:
    """The Content-Security-Policy of one of the lab's documents: nothing from anywhere but the lab, nothing inline.

    Whatever a scenario may ask for is allowed, on each of the lab's origins; frames without a URL of their own and
    workers from a blob inherit it. Only the agent's document is ever framed, by the page.
    """
    everywhere = sorted(origin for origin in origins() if local or not is_local(origin))
    # A policy has no way to write an IPv6 address.
    lab = " ".join(dict.fromkeys("http:" if "[" in origin else origin for origin in everywhere))
    pages = " ".join(web.page for web in WEBS.values() if web.page in everywhere)
    fetched = ("script-src", "style-src", "img-src", "font-src", "media-src", "connect-src", "form-action")
    return "; ".join(
        (
            "default-src 'none'",
            *(f"{directive} {lab}" for directive in fetched),
            f"frame-src {lab} data:",
            f"worker-src {lab} blob:",
            "base-uri 'none'",
            f"frame-ancestors {pages if name == 'agent.html' else chr(39) + 'none' + chr(39)}",
        )
    )


def _jar(asked: Asked) -> Served:
    """Sets one cookie of each kind, for the page that asks and with its leave; no other site's page can read it."""
    origin = asked.header("origin") or asked.origin
    leave = (("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true"))
    secure = "; Secure" if asked.origin.startswith("https:") else ""
    headers = (
        *(leave if origin in origins() else ()),
        # Without Secure browsers refuse SameSite=None; on plain http there is then none of that kind.
        ("Set-Cookie", f"sid=none; Path=/; SameSite=None{secure}"),
        ("Set-Cookie", "theme=lax; Path=/; SameSite=Lax"),
        ("Set-Cookie", "login=strict; Path=/; HttpOnly; SameSite=Strict"),
        ("Set-Cookie", "plain=unset; Path=/"),
        ("Vary", "Origin"),
        ("Cache-Control", "no-store"),
    )
    return Served(status=204, headers=headers)


def _scenario_answer(asked: Asked, place: Place) -> Served | None:
    scenario = scenario_of(place)
    if scenario is None or place.hop >= len(scenario.hops):
        return None
    chosen = choose(asked, scenario.hops[place.hop])
    return serve(chosen, asked, place, scenario)


def choose(asked: Asked, hop: Hop) -> Answer:
    """Which of a hop's answers a request gets."""
    if asked.preflight:
        return hop.preflights[min(asked.seen, len(hop.preflights) - 1)]
    if hop.not_modified is not None and asked.header("if-none-match") is not None:
        return hop.not_modified
    return hop.answers[min(asked.seen, len(hop.answers) - 1)]


ECHOES = MappingProxyType(
    {
        RECEIVED_ORIGIN: "origin",
        RECEIVED_METHOD: "access-control-request-method",
        RECEIVED_HEADERS: "access-control-request-headers",
    }
)
"""The request header whose value each placeholder stands for."""


def serve(chosen: Answer, asked: Asked, place: Place, scenario: Scenario) -> Served:
    """Fills an answer's placeholders and adds what its body needs."""
    headers: list[tuple[str, str]] = []
    for name, value in chosen.headers:
        if value in ECHOES:
            # A server that echoes has nothing to echo to a request without an Origin.
            received = asked.header(ECHOES[value])
            if received is not None:
                headers.append((name, received))
        elif value == NEXT_HOP:
            headers.append((name, hop_url(scenario, place, place.hop + 1)))
        else:
            headers.append((name, value))
    kind, content = BODIES[chosen.body]
    if kind:
        headers.insert(0, ("Content-Type", kind))
    if chosen.status not in (204, 304):
        headers.append(("Content-Length", str(len(content))))
    if asked.method == "HEAD" or chosen.status in (204, 304):
        content = b""
    return Served(status=chosen.status, headers=tuple(headers), content=content)


def hop_url(scenario: Scenario, place: Place, hop: int) -> str:
    """The URL of a scenario's hop, user information included."""
    there = scenario.hops[hop]
    scheme, _, host = WEBS[place.web].origins[there.role].partition("://")
    user = f"{there.user_info}@" if there.user_info else ""
    path = path_of(replace(place, scenario=scenario.id, hop=hop))
    return f"{scheme}://{user}{host}{path}{f'/{there.name}' if there.name else ''}"


# -- the table as the page reads it ------------------------------------------------------------------------------------


def selected(web: Web, only: str, *, draw: bool) -> list[Scenario]:
    """The scenarios of a web whose tags start with `only`, or with one of several parted by commas.

    With `draw`, those that chance draws as well, if `only` asks for them (`drawn`).
    """
    found = [scenario for scenario in scenarios(web.name) if scenario.tag.startswith(tuple(only.split(",")))]
    return [*found, *drawn(web, only)] if draw else found


def table_json(web: Web, only: str = "", *, local: bool = True) -> str:
    """The part of a web's table that the page needs, as JSON; `only` as in `selected`.

    Without `local`, what asks this machine's own origins is left out, and counted.
    """
    # For the recorder alone: to draw thousands takes seconds, and any page may ask the addon for a table.
    wanted = selected(web, only, draw=local)
    kept = [scenario for scenario in wanted if local or not asks_locally(web, scenario)]
    rows = [
        {
            "id": scenario.id,
            "tag": scenario.tag,
            "context": scenario.context,
            "origin": web.origins[scenario.hops[0].role],
            "steps": [step_json(step) for step in scenario.steps],
        }
        for scenario in kept
    ]
    contexts = {
        Context.CROSS: web.origins[Role.CROSS],
        Context.IDN: web.origins.get(Role.IDN),
    }
    everything = {
        "web": web.name,
        "origins": sorted(origin for origin in web.origins.values() if local or not is_local(origin)),
        "contexts": contexts,
        "scenarios": rows,
        "leftOut": len(wanted) - len(kept),
    }
    return json.dumps(everything, separators=(",", ":"))


def table_size(web: Web) -> dict[str, int]:
    """How many scenarios and steps a web's table has."""
    whole = scenarios(web.name)
    return {"scenarios": len(whole), "steps": sum(len(scenario.steps) for scenario in whole)}


def asks_locally(web: Web, scenario: Scenario) -> bool:
    """Whether a scenario of a web with reserved names asks one of this machine's own origins."""
    return any(is_local(web.origins[hop.role]) for hop in scenario.hops)


def step_json(step: Step) -> dict[str, object]:
    """A step as the page's script takes it, without what is at its default."""
    full: dict[str, object] = {
        "initiator": step.initiator,
        "mode": step.mode,
        "credentials": step.credentials,
        "method": step.method,
        "headers": step.headers,
        "body": step.body,
        "bodyType": step.body_type,
        "cache": step.cache,
        "parallel": step.parallel,
        "upload": step.upload_listener,
        "redirect": None if step.redirect == "follow" else step.redirect,
        "user": step.user_info or None,
    }
    return {key: value for key, value in full.items() if value not in (None, False, (), "default")}
