"""The table of scenarios: what a page asks for and how the lab's web answers, for each of three webs.

Knows nothing of what browsers make of them: that is what the lab is there to find out. The table is the same on every
machine and in every run; only a scenario's URLs carry a run's name, so that no cache outlives a run.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

Lines = tuple[tuple[str, str], ...]
"""Header fields in their order, names and values as they are to be sent; repeated names stay repeated."""

RECEIVED_ORIGIN = "$ORIGIN"
"""Stands in a header value for the Origin that the request carried, as a server that echoes it would answer."""
RECEIVED_METHOD = "$METHOD"
"""Stands for the method that a preflight asked about."""
RECEIVED_HEADERS = "$HEADERS"
"""Stands for the header names that a preflight asked about."""
NEXT_HOP = "$NEXT"
"""Stands in a Location for the URL of the scenario's next hop."""


class Role(StrEnum):
    """What an origin is to the page."""

    APP = "app"
    """The page's own origin."""
    SIBLING = "sibling"
    """Same site, other host (in the localhost web: other port)."""
    CROSS = "cross"
    """Another site."""
    THIRD = "third"
    """A third origin, cross-site to the page."""
    PORT = "port"
    """The page's host on another port."""
    IDN = "idn"
    """Same site, under an international host name."""
    SCHEME = "scheme"
    """Another scheme than the page's, where browsers send such requests at all."""


class Context(StrEnum):
    """Where in the page the request comes from."""

    PAGE = "page"
    WORKER = "worker"
    """A dedicated worker whose script has a URL of the page's origin."""
    BLOB_WORKER = "blob-worker"
    SANDBOX = "sandbox"
    """A sandboxed frame: its origin is opaque and goes out as `null`."""
    DATA = "data"
    """A frame with a data: URL: opaque too."""
    IDN = "idn"
    """A frame of the origin with the international host name."""
    CROSS = "cross"
    """A frame of the cross-site origin, so that the top-level page is cross-site to the requesting one."""


class Initiator(StrEnum):
    """The interface or element that asks."""

    FETCH = "fetch"
    XHR = "xhr"
    EVENT_SOURCE = "eventsource"
    IMAGE = "img"
    SCRIPT = "script"
    MODULE = "module"
    STYLE = "style"
    FONT = "font"
    VIDEO = "video"
    TRACK = "track"
    PRELOAD = "preload"
    BEACON = "beacon"
    FORM = "form"
    """A form that navigates a frame."""


class Mode(StrEnum):
    """The request mode that the initiator stands for."""

    CORS = "cors"
    NO_CORS = "no-cors"
    SAME_ORIGIN = "same-origin"
    NAVIGATE = "navigate"


class Credentials(StrEnum):
    """The credentials mode that the page asks for."""

    OMIT = "omit"
    SAME_ORIGIN = "same-origin"
    INCLUDE = "include"


class Body(StrEnum):
    """What an answer's body is; each is valid, so that an element's load event means that it was let through."""

    EMPTY = "empty"
    JSON = "json"
    TEXT = "text"
    HTML = "html"
    SCRIPT = "script"
    STYLE = "style"
    IMAGE = "image"
    FONT = "font"
    MEDIA = "media"
    TRACK = "track"
    EVENTS = "events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """One set of origins that a page and its servers have."""

    name: str
    origins: MappingProxyType[Role, str]
    """Serialized origins; a role that is missing has no counterpart in this web."""

    @property
    def page(self) -> str:
        """The origin of the page that runs the scenarios."""
        return self.origins[Role.APP]

    def origin_of(self, context: Context) -> str:
        """The serialized origin of requests from a context."""
        if context in (Context.SANDBOX, Context.DATA):
            return "null"
        if context is Context.IDN:
            return self.origins[Role.IDN]
        if context is Context.CROSS:
            return self.origins[Role.CROSS]
        return self.page

    @property
    def cross_site_cookie(self) -> str:
        """What a cookie needs to travel from other sites; over http, where nothing is Secure, browsers refuse it."""
        return "SameSite=None; Secure" if self.page.startswith("https") else "SameSite=None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server says."""

    status: int = 200
    headers: Lines = ()
    """Everything but Content-Type and Content-Length, which follow from the body."""
    body: Body = Body.JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One URL of a scenario, and its answers."""

    role: Role
    preflights: tuple[Answer, ...]
    """To the first preflight, the second …; the last one to all that follow."""
    answers: tuple[Answer, ...]
    """To the first actual request, the second …; the last one to all that follow."""
    not_modified: Answer | None = None
    """To an actual request with If-None-Match, instead of the above."""
    user_info: str = ""
    """What stands before the @ in this URL when an earlier hop redirects to it."""
    name: str = ""
    """What this URL's path ends in when an earlier hop redirects to it, as `login` does in a redirect to one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request that the page makes, always to the first hop's URL."""

    initiator: Initiator = Initiator.FETCH
    mode: Mode = Mode.CORS
    credentials: Credentials = Credentials.SAME_ORIGIN
    method: str = "GET"
    headers: Lines = ()
    """Set by script."""
    body: str | None = None
    body_type: str | None = None
    """The type of the Blob that carries the body; None sends a plain string."""
    cache: str = "default"
    parallel: bool = False
    """Starts with the step before instead of after it."""
    upload_listener: bool = False
    """XMLHttpRequest only: listens to the upload's progress."""
    redirect: str = "follow"
    """`fetch` only: the redirect mode, `follow`, `manual` or `error`."""
    user_info: str = ""
    """XMLHttpRequest only: a user and a password, parted by a colon, for `open()`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What one part of the page does, and how the web answers."""

    id: str
    """Unique within the web."""
    tag: str
    """Its place in the table, general to special, divided by slashes."""
    context: Context
    origin: str
    """Serialized origin of the context that asks."""
    hops: tuple[Hop, ...]
    steps: tuple[Step, ...]


HTTPS = Web(
    name="https",
    origins=MappingProxyType(
        {
            Role.APP: "https://app.corscope.test",
            Role.SIBLING: "https://api.corscope.test",
            Role.CROSS: "https://api.corscope-other.test",
            Role.THIRD: "https://cdn.corscope-third.test",
            Role.PORT: "https://app.corscope.test:8443",
            Role.IDN: "https://xn--bcher-kva.corscope.test",
            # Browsers block http from an https page as mixed content, loopback excepted.
            Role.SCHEME: "http://localhost:8080",
        }
    ),
)
HTTP = Web(
    name="http",
    origins=MappingProxyType(
        {
            Role.APP: "http://app.corscope.test",
            Role.SIBLING: "http://api.corscope.test",
            Role.CROSS: "http://api.corscope-other.test",
            Role.THIRD: "http://cdn.corscope-third.test",
            Role.PORT: "http://app.corscope.test:8080",
            Role.IDN: "http://xn--bcher-kva.corscope.test",
            Role.SCHEME: "https://app.corscope.test",
        }
    ),
)
LOCALHOST = Web(
    name="localhost",
    origins=MappingProxyType(
        {
            Role.APP: "http://localhost:8080",
            Role.SIBLING: "http://localhost:9090",
            Role.CROSS: "http://127.0.0.1:8080",
            Role.THIRD: "http://[::1]:8080",
            Role.PORT: "http://localhost:3000",
            Role.SCHEME: "https://localhost:8443",
        }
    ),
)
WEBS = MappingProxyType({web.name: web for web in (HTTPS, HTTP, LOCALHOST)})

INCLUDE, SAME, OMIT = Credentials.INCLUDE, Credentials.SAME_ORIGIN, Credentials.OMIT

BODIES = MappingProxyType(
    {
        Initiator.FETCH: Body.JSON,
        Initiator.XHR: Body.JSON,
        Initiator.EVENT_SOURCE: Body.EVENTS,
        Initiator.IMAGE: Body.IMAGE,
        Initiator.SCRIPT: Body.SCRIPT,
        Initiator.MODULE: Body.SCRIPT,
        Initiator.STYLE: Body.STYLE,
        Initiator.FONT: Body.FONT,
        Initiator.VIDEO: Body.MEDIA,
        Initiator.TRACK: Body.TRACK,
        Initiator.PRELOAD: Body.JSON,
        Initiator.BEACON: Body.EMPTY,
        Initiator.FORM: Body.HTML,
    }
)
"""The body that each initiator accepts."""

# -- header values -----------------------------------------------------------------------------------------------------

ALLOW_ORIGIN_KINDS = (
    "missing",
    "star",
    "echo",
    "page",
    "null",
    "other",
    "slash",
    "default-port",
    "upper",
    "other-scheme",
    "host-only",
    "list",
    "space-list",
    "twice-same",
    "twice-different",
    "star-and-exact",
    "star-twice",
    "star-comma",
    "exact-and-empty",
    "empty",
    "padded",
    "quoted",
    "trailing-comma",
    "wildcard-subdomain",
    "true",
)
"""The table's values of Access-Control-Allow-Origin; `echo` is the Origin received, `page` the page's real one."""

ALLOW_CREDENTIALS_KINDS = (
    "missing",
    "true",
    "True",
    "TRUE",
    "false",
    "1",
    "padded",
    "twice",
    "list",
    "quoted",
    "true-and-empty",
    "empty",
)
"""The table's values of Access-Control-Allow-Credentials."""

LIST_KINDS = (
    "missing",
    "star",
    "exact",
    "case",
    "list",
    "two-lines",
    "empty-items",
    "empty",
    "other",
    "invalid",
    "semicolon",
)
"""The table's values of Access-Control-Allow-Methods and -Headers."""


def allow_origin(kind: str, origin: str) -> Lines:
    """Returns the Access-Control-Allow-Origin lines of a kind, for a page of the given origin."""
    scheme, _, host = origin.partition("://")
    other = "https://elsewhere.example"
    values: dict[str, tuple[str, ...]] = {
        "missing": (),
        "star": ("*",),
        "echo": (RECEIVED_ORIGIN,),
        "page": (origin,),
        "null": ("null",),
        "other": (other,),
        "slash": (origin + "/",),
        "default-port": (origin + (":443" if scheme == "https" else ":80"),),
        "upper": (origin.upper(),),
        "other-scheme": (f"{'http' if scheme == 'https' else 'https'}://{host}",),
        "host-only": (host,),
        "list": (f"{origin}, {other}",),
        "space-list": (f"{origin} {other}",),
        "twice-same": (origin, origin),
        "twice-different": (origin, other),
        "star-and-exact": ("*", origin),
        "star-twice": ("*", "*"),
        "star-comma": ("*,",),
        "exact-and-empty": (origin, ""),
        "empty": ("",),
        "padded": (f"  {origin}\t ",),
        "quoted": (f'"{origin}"',),
        "trailing-comma": (origin + ",",),
        "wildcard-subdomain": (f"{scheme}://*.{host.partition('.')[2] or host}",),
        "true": ("true",),
    }
    return tuple(("Access-Control-Allow-Origin", value) for value in values[kind])


def allow_credentials(kind: str) -> Lines:
    """Returns the Access-Control-Allow-Credentials lines of a kind."""
    values: dict[str, tuple[str, ...]] = {
        "missing": (),
        "padded": (" \ttrue  ",),
        "twice": ("true", "true"),
        "list": ("true, true",),
        "quoted": ('"true"',),
        "true-and-empty": ("true", ""),
        "empty": ("",),
    }
    return tuple(("Access-Control-Allow-Credentials", value) for value in values.get(kind, (kind,)))


def allow_list(name: str, kind: str, wanted: Sequence[str]) -> Lines:
    """Returns the lines of Access-Control-Allow-Methods or -Headers of a kind, for what the request wants."""
    listed = ", ".join(wanted)
    swapped = listed.upper() if listed != listed.upper() else listed.lower()
    values: dict[str, tuple[str, ...]] = {
        "missing": (),
        "star": ("*",),
        "exact": (listed,),
        "case": (swapped,),
        "list": (f"X-First, {listed},X-Last",),
        "two-lines": ("X-First", listed),
        "empty-items": (f", ,{listed},, ",),
        "empty": ("",),
        "other": ("X-Unwanted",),
        "invalid": (f"{listed}, b@d",),
        "semicolon": (f"{listed}; X-Last",),
        "partial": (wanted[0],),
        "star-and-authorization": ("*, Authorization",),
    }
    return tuple((name, value) for value in values[kind])


CHECK_KINDS = (
    "good",
    "star",
    "star-uncredentialed",
    "no-credentials",
    "missing",
    "null",
    "null-uncredentialed",
    "real",
    "other",
    "double",
)
"""Combinations of both headers, for scenarios whose point lies elsewhere."""


def check(kind: str, origin: str) -> Lines:
    """Returns the Access-Control-Allow-Origin and -Credentials lines of a combination."""
    allowing = allow_credentials("true")
    return {
        "good": allow_origin("echo", origin) + allowing,
        "star": allow_origin("star", origin) + allowing,
        "star-uncredentialed": allow_origin("star", origin),
        "no-credentials": allow_origin("echo", origin),
        "missing": (),
        "null": allow_origin("null", origin) + allowing,
        "null-uncredentialed": allow_origin("null", origin),
        "real": allow_origin("page", origin) + allowing,
        "other": allow_origin("other", origin) + allowing,
        "double": allow_origin("twice-same", origin) + allowing,
    }[kind]


NO_STORE: Lines = (("Cache-Control", "no-store"),)
VARY: Lines = (("Vary", "Origin"),)

# -- the table ---------------------------------------------------------------------------------------------------------

STATUSES = (200, 201, 204, 206, 304, 401, 403, 404, 500)
"""Of actual responses. 304 comes to requests that were not conditional; conditional ones are sequences."""
PREFLIGHT_STATUSES = (200, 204, 201, 299, 300, 301, 302, 304, 307, 400, 401, 403, 404, 405, 500)
REDIRECT_STATUSES = (301, 302, 303, 307, 308)
METHODS = ("PUT", "PATCH", "patch", "DELETE", "QUERY", "put", "GET", "POST", "HEAD", "OPTIONS")
"""Given to fetch() as they stand; it upper-cases `put`, but not `patch`."""

CUSTOM: Lines = (("X-Custom", "1"),)
HEADER_SETS: MappingProxyType[str, Lines] = MappingProxyType(
    {
        "x-custom": CUSTOM,
        "several": (("X-Zed", "1"), ("X-Custom", "2"), ("X-Alpha", "3")),
        "bearer": (("Authorization", "Bearer lab-token"),),
        "basic": (("Authorization", "Basic bGFiOmxhYg=="),),
        "bearer-and-json": (("Authorization", "Bearer lab-token"), ("Content-Type", "application/json")),
        "json": (("Content-Type", "application/json"),),
        "range": (("Range", "bytes=-10"),),
        "accept-language": (("Accept-Language", "en_US"),),
    }
)
"""Request headers that need a preflight."""

SAFELIST_EDGES: MappingProxyType[str, Lines] = MappingProxyType(
    {
        "accept-128": (("Accept", "a" * 128),),
        "accept-129": (("Accept", "a" * 129),),
        "accept-quality": (("Accept", "text/html;q=0.9"),),
        "accept-quote": (("Accept", '"'),),
        "accept-language-plain": (("Accept-Language", "en-US,*;q=0.1"),),
        "content-language-plain": (("Content-Language", "en"),),
        "content-language-at": (("Content-Language", "en@"),),
        "content-type-text": (("Content-Type", "text/plain;charset=utf-8"),),
        "content-type-quoted": (("Content-Type", 'text/plain;charset="utf-8"'),),
        "content-type-form-case": (("Content-Type", "APPLICATION/x-www-form-urlencoded"),),
        "content-type-multipart": (("Content-Type", "multipart/form-data; boundary=b"),),
        "content-type-list": (("Content-Type", "text/plain, text/plain"),),
        "content-type-xml": (("Content-Type", "application/xml"),),
        "range-first": (("Range", "bytes=0-10"),),
        "range-open": (("Range", "bytes=5-"),),
        "range-two": (("Range", "bytes=0-1,3-4"),),
        "range-reversed": (("Range", "bytes=10-5"),),
        "if-none-match": (("If-None-Match", '"1"'),),
        "if-modified-since": (("If-Modified-Since", "Sat, 01 Jan 2022 00:00:00 GMT"),),
        "cache-control": (("Cache-Control", "no-cache"),),
        "pragma": (("Pragma", "no-cache"),),
        "last-event-id": (("Last-Event-ID", "7"),),
        "x-requested-with": (("X-Requested-With", "XMLHttpRequest"),),
        "priority": (("Priority", "u=1"),),
        "device-memory": (("Device-Memory", "8"),),
        "save-data": (("Save-Data", "on"),),
        "dpr": (("DPR", "2"),),
        "user-agent": (("User-Agent", "lab"),),
        "upgrade": (("Upgrade-Insecure-Requests", "1"),),
    }
)
"""Request headers on both sides of the CORS-safelist's edges, browsers' own differences included."""

MAX_AGES: MappingProxyType[str, Lines] = MappingProxyType(
    {
        "missing": (),
        "600": (("Access-Control-Max-Age", "600"),),
        "0": (("Access-Control-Max-Age", "0"),),
        "-1": (("Access-Control-Max-Age", "-1"),),
        "text": (("Access-Control-Max-Age", "abc"),),
        "two-lines": (("Access-Control-Max-Age", "600"), ("Access-Control-Max-Age", "600")),
        "empty": (("Access-Control-Max-Age", ""),),
    }
)
WARM = MAX_AGES["600"]

ALL_METHODS = ("GET", "PUT", "PATCH", "patch", "DELETE", "QUERY", "OPTIONS")
"""What an answer lists that allows every method."""
_ALL_HEADERS = ", ".join(
    sorted({name.lower() for lines in (*HEADER_SETS.values(), *SAFELIST_EDGES.values()) for name, _ in lines})
)


def permissive(web: Web) -> Answer:
    """A preflight answer that allows everything in the table to everyone, credentialed or not."""
    return Answer(
        status=204,
        headers=(
            *check("good", web.page),
            ("Access-Control-Allow-Methods", ", ".join(ALL_METHODS)),
            ("Access-Control-Allow-Headers", _ALL_HEADERS),
            *VARY,
        ),
        body=Body.EMPTY,
    )


class _Table:
    """Collects scenarios and numbers them; lives only while a table is made."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.scenarios: list[Scenario] = []
        self._seen: set[tuple[object, ...]] = set()

    def add(self, tag: str, hops: Iterable[Hop], steps: Iterable[Step], context: Context = Context.PAGE) -> None:
        """Adds a scenario, unless this web lacks one of its origins or the same one is there."""
        hops, steps = tuple(hops), tuple(steps)
        if any(hop.role not in self.web.origins for hop in hops):
            return
        key = (context, hops, steps)
        if key in self._seen:
            return
        self._seen.add(key)
        self.scenarios.append(
            Scenario(
                id=f"{len(self.scenarios):04d}",
                tag=tag,
                context=context,
                origin=self.web.origin_of(context),
                hops=hops,
                steps=steps,
            )
        )

    def one(
        self,
        tag: str,
        step: Step,
        role: Role,
        answer: Answer,
        preflight: Answer | None = None,
        context: Context = Context.PAGE,
    ) -> None:
        """Adds a scenario of one request and one URL."""
        preflight = preflight or permissive(self.web)
        self.add(tag, [Hop(role=role, preflights=(preflight,), answers=(answer,))], [step], context)

    def answer(self, kind: str, body: Body = Body.JSON, status: int = 200, context: Context = Context.PAGE) -> Answer:
        """An answer with one of the check kinds, not to be stored."""
        return Answer(status=status, headers=check(kind, self.web.origin_of(context)) + VARY + NO_STORE, body=body)


@functools.cache
def scenarios(web: str) -> tuple[Scenario, ...]:
    """Returns the table of a web, in its order; the same on every call and every machine."""
    table = _Table(WEBS[web])
    _checks(table)
    _initiators(table)
    _statuses(table)
    _methods(table)
    _request_headers(table)
    _preflight_answers(table)
    _mixtures(table)
    _redirects(table)
    _long_redirects(table)
    _redirected_methods(table)
    _redirected_initiators(table)
    _cookies(table)
    _sequences(table)
    _warm_sequences(table)
    _stored_sequences(table)
    _parallel_sequences(table)
    return tuple(table.scenarios)


def body_for(method: str) -> str | None:
    """Returns the body that a request with this method carries in the table."""
    return "lab=1" if method.upper() in ("POST", "PUT", "PATCH", "QUERY") else None


def _checks(table: _Table) -> None:
    """The CORS check: each value of each of its headers."""
    page = table.web.page
    for kind in ALLOW_ORIGIN_KINDS:
        for allowing in ("true", "missing"):
            for role in (Role.SIBLING, Role.CROSS):
                for credentials in (SAME, INCLUDE, OMIT):
                    if credentials is OMIT and (role is Role.SIBLING or allowing == "missing"):
                        continue
                    answer = Answer(headers=allow_origin(kind, page) + allow_credentials(allowing) + NO_STORE)
                    tag = f"check/origin/{kind}/{allowing}"
                    table.one(tag, Step(credentials=credentials), role, answer)
    for allowing in ALLOW_CREDENTIALS_KINDS:
        for kind in ("echo", "star"):
            for role in (Role.SIBLING, Role.CROSS):
                for credentials in (SAME, INCLUDE):
                    answer = Answer(headers=allow_origin(kind, page) + allow_credentials(allowing) + NO_STORE)
                    tag = f"check/credentials/{allowing}/{kind}"
                    table.one(tag, Step(initiator=Initiator.XHR, credentials=credentials), role, answer)
    for role in (Role.APP, Role.PORT, Role.IDN, Role.SCHEME, Role.THIRD):
        for kind in CHECK_KINDS:
            for credentials in Credentials:
                tag = f"check/role/{role}/{kind}"
                table.one(tag, Step(credentials=credentials), role, table.answer(kind))
                if role is Role.APP or kind in ("good", "star-uncredentialed", "no-credentials"):
                    put = Step(credentials=credentials, method="PUT", body="lab=1")
                    table.one(tag, put, role, table.answer(kind))


def asked_by(initiator: Initiator) -> tuple[Step, ...]:
    """The ways in which a page can use an initiator."""
    both = (
        Step(initiator=initiator, credentials=SAME),
        Step(initiator=initiator, credentials=INCLUDE),
    )
    plain = Step(initiator=initiator, mode=Mode.NO_CORS, credentials=INCLUDE)
    if initiator in (Initiator.FETCH,):
        return (
            *both,
            *(Step(mode=Mode.NO_CORS, credentials=credentials) for credentials in Credentials),
            Step(mode=Mode.NO_CORS, credentials=INCLUDE, method="POST", body="lab=1"),
            Step(mode=Mode.NO_CORS, credentials=OMIT, method="POST", body="lab=1"),
            *(Step(credentials=credentials, method="POST", body="lab=1") for credentials in (SAME, INCLUDE)),
            *(Step(credentials=credentials, cache="no-store") for credentials in (SAME, INCLUDE)),
        )
    if initiator is Initiator.XHR:
        return (
            *both,
            *(
                Step(initiator=initiator, credentials=credentials, method="POST", body="lab=1", upload_listener=listens)
                for credentials in (SAME, INCLUDE)
                for listens in (False, True)
            ),
        )
    if initiator in (Initiator.EVENT_SOURCE, Initiator.MODULE, Initiator.TRACK):
        return both
    if initiator is Initiator.FONT:
        return both[:1]
    if initiator is Initiator.BEACON:
        beacon = Step(initiator=initiator, mode=Mode.NO_CORS, credentials=INCLUDE, method="POST", body="lab=1")
        return (
            beacon,
            Step(
                initiator=initiator,
                credentials=INCLUDE,
                method="POST",
                headers=(("Content-Type", "application/json"),),
                body="{}",
                body_type="application/json",
            ),
        )
    if initiator is Initiator.FORM:
        form = Step(initiator=initiator, mode=Mode.NAVIGATE, credentials=INCLUDE, method="POST", body="lab=1")
        return (form, Step(initiator=initiator, mode=Mode.NAVIGATE, credentials=INCLUDE))
    return (*both, plain)


def _initiators(table: _Table) -> None:
    """Everything that makes requests, in every context that can."""
    for initiator in Initiator:
        for step in asked_by(initiator):
            for kind in CHECK_KINDS:
                for role in (Role.CROSS, Role.SIBLING, Role.APP):
                    if role is Role.APP and kind not in ("good", "missing"):
                        continue
                    if step.mode is not Mode.CORS and kind not in ("good", "missing"):
                        continue
                    if role is Role.SIBLING and kind not in (
                        "good",
                        "star-uncredentialed",
                        "no-credentials",
                        "missing",
                    ):
                        continue
                    body = BODIES[initiator]
                    tag = f"initiator/{initiator}/{step.mode}/{kind}"
                    table.one(tag, step, role, table.answer(kind, body))
    for context in Context:
        if context is Context.PAGE or (context is Context.IDN and Role.IDN not in table.web.origins):
            continue
        for step in (
            Step(credentials=SAME),
            Step(credentials=INCLUDE),
            Step(credentials=INCLUDE, method="PUT", body="lab=1"),
            Step(credentials=SAME, headers=CUSTOM),
            Step(initiator=Initiator.XHR, credentials=SAME),
            Step(initiator=Initiator.XHR, credentials=INCLUDE),
            Step(initiator=Initiator.IMAGE, credentials=INCLUDE),
            Step(mode=Mode.NO_CORS, credentials=INCLUDE),
        ):
            if step.initiator is Initiator.IMAGE and context in (Context.WORKER, Context.BLOB_WORKER):
                continue
            roles = [Role.CROSS, Role.SIBLING, Role.APP]
            if context is Context.CROSS:
                roles.append(Role.THIRD)
            for role in roles:
                for kind in CHECK_KINDS:
                    plain = step.initiator is Initiator.FETCH and step.method == "GET" and not step.headers
                    if role is not Role.CROSS and kind not in ("good", "missing", "star-uncredentialed"):
                        continue
                    if not plain and (role is Role.APP or kind not in ("good", "no-credentials", "star", "real")):
                        continue
                    if step.mode is not Mode.CORS and kind != "good":
                        continue
                    answer = table.answer(kind, BODIES[step.initiator], context=context)
                    table.one(f"context/{context}/{step.initiator}/{kind}", step, role, answer, context=context)
        for kind in ("slash", "star-and-exact", "empty", "upper", "list"):
            for credentials in (SAME, INCLUDE):
                lines = allow_origin(kind, table.web.origin_of(context)) + allow_credentials("true")
                answer = Answer(headers=lines + NO_STORE)
                table.one(
                    f"context/{context}/odd/{kind}", Step(credentials=credentials), Role.CROSS, answer, context=context
                )


def _statuses(table: _Table) -> None:
    """The CORS check does not ask for the status."""
    for status in STATUSES:
        body = Body.EMPTY if status in (204, 304) else Body.JSON
        for kind in ("good", "missing", "star-uncredentialed", "no-credentials"):
            for credentials in (SAME, INCLUDE):
                for initiator, role in ((Initiator.FETCH, Role.CROSS), (Initiator.XHR, Role.SIBLING)):
                    answer = table.answer(kind, body, status)
                    if status == 206:
                        answer = Answer(
                            status=206, headers=(*answer.headers, ("Content-Range", "bytes 0-10/11")), body=body
                        )
                    step = Step(initiator=initiator, credentials=credentials)
                    table.one(f"status/{status}/{kind}", step, role, answer)
    for kind in ("good", "missing"):
        for credentials in (SAME, INCLUDE):
            for status in (300, 302):
                answer = table.answer(kind, Body.JSON, status)
                table.one(f"status/{status}-without-location/{kind}", Step(credentials=credentials), Role.CROSS, answer)
            table.one(
                f"status/401-challenge/{kind}",
                Step(credentials=credentials),
                Role.CROSS,
                Answer(
                    status=401,
                    headers=(*check(kind, table.web.page), ("WWW-Authenticate", 'Bearer realm="lab"'), *NO_STORE),
                ),
            )


def _preflight(
    table: _Table,
    step: Step,
    methods: str = "exact",
    headers: str = "exact",
    status: int = 204,
    lines: Lines | None = None,
    extra: Lines = (),
) -> Answer:
    """A preflight answer made for a step, with the given kinds of lists."""
    method = step.method if step.method == "patch" else step.method.upper()
    named = sorted(name.lower() for name, _ in step.headers) or ["x-custom"]
    return Answer(
        status=status,
        headers=(
            *(check("good", table.web.page) if lines is None else lines),
            *allow_list("Access-Control-Allow-Methods", methods, [method]),
            *allow_list("Access-Control-Allow-Headers", headers, named),
            *extra,
        ),
        body=Body.EMPTY,
    )


def _methods(table: _Table) -> None:
    """Access-Control-Allow-Methods, for every method."""
    for method in METHODS:
        simple = method in ("GET", "POST", "HEAD")
        for kind in LIST_KINDS:
            for credentials in (SAME, INCLUDE):
                for role in (Role.CROSS, Role.SIBLING):
                    if role is Role.SIBLING and kind not in ("star", "missing", "exact"):
                        continue
                    step = Step(
                        credentials=credentials,
                        method=method,
                        headers=CUSTOM if simple else (),
                        body=body_for(method),
                    )
                    preflight = _preflight(table, step, methods=kind, headers="exact" if simple else "missing")
                    table.one(f"method/{method}/{kind}", step, role, table.answer("good"), preflight)


def _request_headers(table: _Table) -> None:
    """Access-Control-Allow-Headers, for every set of headers; and the safelist's edges."""
    for name, lines in HEADER_SETS.items():
        method = "POST" if "json" in name else "GET"
        for kind in (*LIST_KINDS, "partial", "star-and-authorization"):
            for credentials in (SAME, INCLUDE):
                for role in (Role.CROSS, Role.SIBLING):
                    if role is Role.SIBLING and kind not in ("star", "missing", "exact"):
                        continue
                    step = Step(credentials=credentials, method=method, headers=lines, body=body_for(method))
                    preflight = _preflight(table, step, methods="missing", headers=kind)
                    table.one(f"header/{name}/{kind}", step, role, table.answer("good"), preflight)
    for name, lines in SAFELIST_EDGES.items():
        method = "POST" if name.startswith("content-type") else "GET"
        for credentials in (SAME, INCLUDE):
            for kind in ("exact", "missing"):
                step = Step(credentials=credentials, method=method, headers=lines, body=body_for(method))
                preflight = _preflight(table, step, methods="missing", headers=kind)
                table.one(f"safelist/{name}/{kind}", step, Role.CROSS, table.answer("good"), preflight)


def _preflight_answers(table: _Table) -> None:
    """What preflights say besides their lists: status, the check's own headers, and what follows a good one."""
    put = Step(method="PUT", body="lab=1")
    get = Step(headers=CUSTOM)
    for credentials in (SAME, INCLUDE):
        for plain in (put, get):
            step = Step(credentials=credentials, method=plain.method, headers=plain.headers, body=plain.body)
            for status in PREFLIGHT_STATUSES:
                location: Lines = (("Location", NEXT_HOP),) if 300 < status < 304 or status == 307 else ()
                for kind in ("good", "missing", "star-uncredentialed"):
                    if kind != "good" and plain is get:
                        continue
                    lines = check(kind, table.web.page)
                    preflight = _preflight(table, step, status=status, lines=lines, extra=location)
                    hop = Hop(role=Role.CROSS, preflights=(preflight,), answers=(table.answer("good"),))
                    # A redirect of a preflight needs somewhere to point to, even if no browser goes there.
                    hops = (hop, _end(table, Role.CROSS, "good")) if location else (hop,)
                    table.add(f"preflight-status/{status}/{kind}", hops, [step])
            for kind in CHECK_KINDS:
                for role in (Role.CROSS, Role.SIBLING):
                    tag = f"preflight-then/{kind}"
                    table.one(tag, step, role, table.answer(kind), _preflight(table, step))
        step = Step(credentials=credentials, method="PUT", body="lab=1")
        for kind in ALLOW_ORIGIN_KINDS:
            lines = allow_origin(kind, table.web.page) + allow_credentials("true")
            preflight = _preflight(table, step, lines=lines)
            table.one(f"preflight-check/origin/{kind}", step, Role.CROSS, table.answer("good"), preflight)
        for kind in ALLOW_CREDENTIALS_KINDS:
            lines = allow_origin("echo", table.web.page) + allow_credentials(kind)
            preflight = _preflight(table, step, lines=lines)
            table.one(f"preflight-check/credentials/{kind}", step, Role.SIBLING, table.answer("good"), preflight)
        for upload in ("exact", "missing", "star"):
            xhr = Step(
                initiator=Initiator.XHR, credentials=credentials, method="PUT", body="lab=1", upload_listener=True
            )
            preflight = _preflight(table, xhr, methods=upload)
            table.one(f"preflight-upload/{upload}", xhr, Role.CROSS, table.answer("good"), preflight)


def _pick[T](values: Sequence[T], number: int, axis: str) -> T:
    """One of the values, as good as by chance but always the same."""
    return values[zlib.crc32(f"{axis}/{number}".encode()) % len(values)]


def _mixtures(table: _Table) -> None:
    """Combinations of several faults, which tell the order in which browsers look for them."""
    sets = ("", *HEADER_SETS)
    for number in range(240):
        name = _pick(sets, number, "set")
        method = _pick(METHODS, number, "method")
        initiator = _pick((Initiator.FETCH, Initiator.FETCH, Initiator.XHR), number, "initiator")
        if initiator is Initiator.XHR and method == "QUERY":
            method = "PUT"
        lines = HEADER_SETS[name] if name else ()
        if not lines and method in ("GET", "HEAD", "POST"):
            lines = CUSTOM
        good = _pick((True, False), number, "check")
        preflight_check = "good" if good else _pick(CHECK_KINDS, number, "preflight")
        step = Step(
            initiator=initiator,
            credentials=_pick((SAME, INCLUDE, INCLUDE), number, "credentials"),
            method=method,
            headers=lines,
            body=body_for(method),
        )
        preflight = _preflight(
            table,
            step,
            methods=_pick(("exact", "exact", *LIST_KINDS), number, "methods"),
            headers=_pick(("exact", "exact", *LIST_KINDS, "partial"), number, "headers"),
            status=_pick((200, 204, 204, *PREFLIGHT_STATUSES[:4], 304, 401, 404, 500), number, "status"),
            lines=check(preflight_check, table.web.page),
        )
        role = _pick((Role.CROSS, Role.SIBLING, Role.THIRD, Role.PORT), number, "role")
        answer = table.answer(_pick(("good", *CHECK_KINDS), number, "answer"))
        # Both credentials modes of the same combination, so that each has its twin on the wire.
        table.one("mix", step, role, answer, preflight)
        twin = Step(
            initiator=step.initiator,
            credentials=INCLUDE if step.credentials is SAME else SAME,
            method=method,
            headers=lines,
            body=step.body,
        )
        table.one("mix", twin, role, answer, preflight)


def _redirect(table: _Table, role: Role, kind: str, status: int = 302, preflight: Answer | None = None) -> Hop:
    """A hop that sends the browser on to the next one."""
    answer = Answer(
        status=status,
        headers=(*check(kind, table.web.page), ("Location", NEXT_HOP), *NO_STORE),
        body=Body.EMPTY,
    )
    return Hop(role=role, preflights=(preflight or permissive(table.web),), answers=(answer,))


def _end(
    table: _Table,
    role: Role,
    kind: str,
    body: Body = Body.JSON,
    user_info: str = "",
    preflight: Answer | None = None,
) -> Hop:
    """The hop at which a chain ends."""
    return Hop(
        role=role,
        preflights=(preflight or permissive(table.web),),
        answers=(table.answer(kind, body),),
        user_info=user_info,
    )


def _redirects(table: _Table) -> None:
    """Chains of two, over all pairs of origins."""
    ends = ("good", "star-uncredentialed", "null", "missing", "real", "null-uncredentialed")
    for first in (Role.APP, Role.SIBLING, Role.CROSS, Role.THIRD):
        for second in (Role.APP, Role.SIBLING, Role.CROSS, Role.THIRD):
            for start in ("good", "star-uncredentialed", "no-credentials", "missing", "null"):
                if first is Role.APP and start not in ("good", "missing"):
                    continue
                for end in ends:
                    if start in ("missing", "null") and first is not Role.APP and end != "good":
                        continue
                    if start == "no-credentials" and end not in ("good", "null-uncredentialed"):
                        continue
                    for credentials in (SAME, INCLUDE):
                        hops = (_redirect(table, first, start), _end(table, second, end))
                        table.add(f"redirect/{first}-{second}/{start}/{end}", hops, [Step(credentials=credentials)])


def _long_redirects(table: _Table) -> None:
    """Chains of three, there and back."""
    roles = (Role.APP, Role.CROSS, Role.THIRD)
    for first in roles:
        for second in roles:
            for third in roles:
                for start, middle, end in (
                    ("good", "good", "good"),
                    ("good", "null", "null"),
                    ("star-uncredentialed", "star-uncredentialed", "star-uncredentialed"),
                    ("good", "missing", "good"),
                ):
                    for credentials in (SAME, INCLUDE):
                        hops = (
                            _redirect(table, first, start),
                            _redirect(table, second, middle, 307),
                            _end(table, third, end),
                        )
                        tag = f"redirect-long/{first}-{second}-{third}/{start}/{middle}/{end}"
                        table.add(tag, hops, [Step(credentials=credentials)])


def _redirected_methods(table: _Table) -> None:
    """What becomes of methods, bodies, headers, preflights and user information on the way."""
    pairs = (
        (Role.CROSS, Role.CROSS),
        (Role.CROSS, Role.THIRD),
        (Role.CROSS, Role.APP),
        (Role.APP, Role.CROSS),
        (Role.SIBLING, Role.CROSS),
    )
    for first, second in pairs:
        for credentials in (SAME, INCLUDE):
            for status in REDIRECT_STATUSES:
                for step in (
                    Step(credentials=credentials, method="POST", body="lab=1"),
                    Step(credentials=credentials, method="PUT", body="lab=1"),
                    Step(
                        credentials=credentials,
                        method="POST",
                        headers=(("Content-Type", "application/json"),),
                        body="{}",
                    ),
                ):
                    hops = (_redirect(table, first, "good", status), _end(table, second, "good"))
                    table.add(f"redirect-method/{status}/{step.method}", hops, [step])
            for name in ("x-custom", "bearer", "basic"):
                for start, end in (("good", "good"), ("good", "null"), ("good", "missing")):
                    hops = (_redirect(table, first, start), _end(table, second, end))
                    step = Step(credentials=credentials, headers=HEADER_SETS[name])
                    table.add(f"redirect-header/{name}/{start}/{end}", hops, [step])
            # After a change of origin, browsers disagree on which origin a preflight carries.
            for kind in ("real", "null", "star-uncredentialed", "missing"):
                step = Step(credentials=credentials, headers=CUSTOM)
                preflight = _preflight(table, step, lines=check(kind, table.web.page))
                for end in ("good", "null"):
                    hops = (
                        _redirect(table, first, "good", 307),
                        _end(table, second, end, preflight=preflight),
                    )
                    table.add(f"redirect-preflight/{kind}/{end}", hops, [step])
            for user_info in ("u:p", "u"):
                for start in ("good", "star-uncredentialed", "missing"):
                    hops = (
                        _redirect(table, first, start),
                        _end(table, second, "good", user_info=user_info),
                    )
                    table.add(f"redirect-user/{user_info}/{start}", hops, [Step(credentials=credentials)])


def _redirected_initiators(table: _Table) -> None:
    """Redirects of everything that is not a plain fetch."""
    for initiator in Initiator:
        if initiator is Initiator.FETCH:
            continue
        for step in asked_by(initiator):
            for first, second in ((Role.CROSS, Role.THIRD), (Role.APP, Role.CROSS)):
                for start, end in (("good", "good"), ("star-uncredentialed", "star-uncredentialed"), ("good", "real")):
                    if step.mode is not Mode.CORS and start != "good":
                        continue
                    hops = (
                        _redirect(table, first, start, 307),
                        _end(table, second, end, BODIES[initiator]),
                    )
                    table.add(f"redirect-initiator/{initiator}/{start}/{end}", hops, [step])
    for context in (Context.SANDBOX, Context.WORKER, Context.CROSS):
        for credentials in (SAME, INCLUDE):
            for first, second in ((Role.CROSS, Role.THIRD), (Role.APP, Role.CROSS), (Role.SIBLING, Role.SIBLING)):
                for end in ("good", "null", "missing"):
                    hops = (_redirect(table, first, "good"), _end(table, second, end))
                    table.add(f"redirect-context/{context}/{end}", hops, [Step(credentials=credentials)], context)


def _cookies(table: _Table) -> None:
    """Answers that set cookies, allowed and not, and a look at what comes back."""
    for role in (Role.SIBLING, Role.CROSS, Role.THIRD):
        for kind in ("good", "no-credentials", "missing", "star-uncredentialed"):
            for first in (INCLUDE, SAME):
                for second in (INCLUDE, SAME):
                    mark = f"c{len(table.scenarios)}"
                    answer = Answer(
                        headers=(
                            *check(kind, table.web.page),
                            ("Set-Cookie", f"{mark}n=1; Path=/; {table.web.cross_site_cookie}; Max-Age=2"),
                            ("Set-Cookie", f"{mark}l=1; Path=/; SameSite=Lax; Max-Age=2"),
                            ("Set-Cookie", f"{mark}p=1; Path=/; Max-Age=2"),
                            *NO_STORE,
                        )
                    )
                    hop = Hop(role=role, preflights=(permissive(table.web),), answers=(answer, table.answer("good")))
                    steps = (Step(credentials=first), Step(credentials=second))
                    table.add(f"cookie/{kind}/{first}-{second}", [hop], steps)


_VARIANTS = ("good", "no-credentials", "star-uncredentialed", "star")


def _sequences(table: _Table) -> None:
    """The same URL again: other credentials, other methods, retries."""
    orders = ((INCLUDE, SAME), (SAME, INCLUDE), (INCLUDE, INCLUDE), (SAME, SAME), (OMIT, INCLUDE, SAME))
    for role in (Role.CROSS, Role.SIBLING):
        for initiator in (Initiator.FETCH, Initiator.XHR):
            for order in orders:
                if initiator is Initiator.XHR and OMIT in order:
                    continue
                for kind in _VARIANTS:
                    hop = Hop(role=role, preflights=(permissive(table.web),), answers=(table.answer(kind),))
                    steps = [Step(initiator=initiator, credentials=credentials) for credentials in order]
                    table.add(f"sequence/{'-'.join(order)}/{kind}", [hop], steps)
                    posts = [
                        Step(initiator=initiator, credentials=credentials, method="POST", body="lab=1")
                        for credentials in order
                    ]
                    table.add(f"sequence/{'-'.join(order)}/{kind}", [hop], posts)
        for credentials in (SAME, INCLUDE):
            for bad in ("missing", "other", "star"):
                for method in ("GET", "PUT"):
                    step = Step(credentials=credentials, method=method, body=body_for(method))
                    worse = _preflight(table, step, lines=check(bad, table.web.page))
                    better = _preflight(table, step)
                    answers = (table.answer(bad), table.answer("good"))
                    hop = Hop(role=role, preflights=(better,), answers=answers)
                    table.add(f"retry/actual/{bad}", [hop], [step, step])
                    if method == "PUT":
                        hop = Hop(role=role, preflights=(worse, better), answers=answers[1:])
                        table.add(f"retry/preflight/{bad}", [hop], [step, step])
                        hop = Hop(role=role, preflights=(better, worse), answers=answers)
                        table.add(f"retry/worse/{bad}", [hop], [step, step, step])


def _warm_sequences(table: _Table) -> None:
    """What a remembered preflight answers for."""
    for role in (Role.CROSS, Role.SIBLING):
        for name, lines in MAX_AGES.items():
            for credentials in (SAME, INCLUDE):
                step = Step(credentials=credentials, method="PUT", body="lab=1")
                hop = Hop(
                    role=role, preflights=(_preflight(table, step, extra=lines),), answers=(table.answer("good"),)
                )
                table.add(f"warm/max-age/{name}", [hop], [step, step])
        for order in ((INCLUDE, SAME), (SAME, INCLUDE), (INCLUDE, OMIT, INCLUDE), (SAME, SAME, INCLUDE)):
            for kind in _VARIANTS:
                for method, lines in (("PUT", ()), ("GET", CUSTOM), ("POST", HEADER_SETS["json"])):
                    steps = [
                        Step(credentials=credentials, method=method, headers=lines, body=body_for(method))
                        for credentials in order
                    ]
                    answer = _preflight(table, steps[0], lines=check(kind, table.web.page), extra=WARM)
                    hop = Hop(role=role, preflights=(answer,), answers=(table.answer(kind),))
                    table.add(f"warm/{'-'.join(order)}/{kind}", [hop], steps)
                    hop = Hop(role=role, preflights=(answer,), answers=(table.answer("good"),))
                    table.add(f"warm/{'-'.join(order)}/{kind}-then-good", [hop], steps)
        for credentials in (SAME, INCLUDE):
            put = Step(credentials=credentials, method="PUT", body="lab=1")
            delete = Step(credentials=credentials, method="DELETE")
            custom = Step(credentials=credentials, headers=CUSTOM)
            several = Step(credentials=credentials, headers=HEADER_SETS["several"])
            bearer = Step(credentials=credentials, headers=HEADER_SETS["bearer"])
            head = Step(credentials=credentials, method="HEAD", headers=CUSTOM)
            plain = Step(credentials=credentials)
            plain_head = Step(credentials=credentials, method="HEAD")
            chains: dict[str, tuple[Step, ...]] = {
                "put-delete": (put, delete, put),
                "custom-several": (custom, several, custom),
                "custom-bearer": (custom, bearer),
                "bearer-bearer": (bearer, bearer),
                "custom-head": (custom, head, head),
                "get-head": (plain, plain_head),
                "put-put-custom": (
                    put,
                    Step(credentials=credentials, method="PUT", headers=CUSTOM, body="lab=1"),
                    put,
                ),
                "cache-modes": (
                    custom,
                    *(
                        Step(credentials=credentials, headers=CUSTOM, cache=cache)
                        for cache in ("no-store", "no-cache", "reload")
                    ),
                ),
            }
            for name, chain in chains.items():
                for methods, headers in (("exact", "exact"), ("star", "star"), ("list", "list")):
                    answer = _preflight(table, chain[0], methods=methods, headers=headers, extra=WARM)
                    hop = Hop(role=role, preflights=(answer,), answers=(table.answer("good"),))
                    table.add(f"warm/{name}/{methods}", [hop], chain)
            hops = (
                _redirect(table, role, "good", 307, _preflight(table, put, extra=WARM)),
                _end(table, role, "good", preflight=_preflight(table, put, extra=WARM)),
            )
            table.add("warm/redirect", hops, [put, put])


def _stored_sequences(table: _Table) -> None:
    """The same URL again, with something of it in the browser's cache."""
    tagged: Lines = (("ETag", '"1"'),)
    fresh: Lines = (("Cache-Control", "max-age=60"),)
    stale: Lines = (("Cache-Control", "no-cache"),)
    orders = ((SAME, SAME), (INCLUDE, INCLUDE), (SAME, INCLUDE), (INCLUDE, SAME))
    for role in (Role.CROSS, Role.SIBLING):
        for order in orders:
            for first in ("good", "star-uncredentialed", "missing"):
                for second in ("good", "missing", "other", "no-credentials", "star-uncredentialed"):
                    hop = Hop(
                        role=role,
                        preflights=(permissive(table.web),),
                        answers=(Answer(headers=check(first, table.web.page) + stale + tagged),),
                        not_modified=Answer(
                            status=304, headers=check(second, table.web.page) + stale + tagged, body=Body.EMPTY
                        ),
                    )
                    steps = [Step(credentials=credentials) for credentials in order]
                    table.add(f"stored/304/{first}/{second}", [hop], steps)
            for first in ("good", "star-uncredentialed", "missing"):
                for cache in ("default", "no-store", "no-cache", "reload"):
                    hop = Hop(
                        role=role,
                        preflights=(permissive(table.web),),
                        answers=(
                            Answer(headers=check(first, table.web.page) + fresh + tagged),
                            Answer(headers=check("good", table.web.page) + fresh + tagged),
                        ),
                        not_modified=Answer(
                            status=304, headers=check("good", table.web.page) + fresh + tagged, body=Body.EMPTY
                        ),
                    )
                    steps = [Step(credentials=order[0]), Step(credentials=order[1], cache=cache)]
                    table.add(f"stored/{cache}/{first}", [hop], steps)
        for first in ("good", "missing", "star-uncredentialed"):
            for vary in (VARY, ()):
                for credentials in (SAME, INCLUDE):
                    answer = Answer(headers=check(first, table.web.page) + vary + fresh, body=Body.IMAGE)
                    hop = Hop(role=role, preflights=(permissive(table.web),), answers=(answer,))
                    image = Step(initiator=Initiator.IMAGE, mode=Mode.NO_CORS, credentials=INCLUDE)
                    table.add(f"stored/image-first/{first}", [hop], [image, Step(credentials=credentials)])
                    fetch = Step(mode=Mode.NO_CORS, credentials=credentials)
                    table.add(f"stored/no-cors-first/{first}", [hop], [fetch, Step(credentials=credentials)])


def _parallel_sequences(table: _Table) -> None:
    """Several requests to one URL at once; their bodies tell them apart."""
    orders = ((INCLUDE, SAME), (SAME, INCLUDE), (INCLUDE, SAME, INCLUDE, SAME), (INCLUDE, INCLUDE), (SAME, SAME))
    for role in (Role.CROSS, Role.SIBLING):
        for order in orders:
            for kind in _VARIANTS:
                for method in ("POST", "PUT"):
                    for initiator in (Initiator.FETCH, Initiator.XHR):
                        steps = [
                            Step(
                                initiator=initiator,
                                credentials=credentials,
                                method=method,
                                body=f"step={number}",
                                parallel=number > 0,
                            )
                            for number, credentials in enumerate(order)
                        ]
                        hop = Hop(
                            role=role,
                            preflights=(_preflight(table, steps[0], extra=WARM),),
                            answers=(table.answer(kind),),
                        )
                        table.add(f"parallel/{'-'.join(order)}/{kind}/{method}", [hop], steps)
