"""Scenarios that a visitor of the playground makes: a document in JSON, held to strict rules, becomes a `Scenario`.

A document reaches the lab's own hosts only, has bounds on all that is in it, and can't make a response that a browser
would run as a page of the visitor's: bodies are those of the table.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from corscope.headers import is_token
from corscope.lab.scenarios import (
    BODIES,
    NEXT_HOP,
    Answer,
    Body,
    Context,
    Credentials,
    Hop,
    Initiator,
    Lines,
    Mode,
    Role,
    Scenario,
    Step,
    Web,
)

DOCUMENT_BYTES = 16_384
"""How long a document may be."""
LINES = 24
"""Header lines of one request or answer."""
NAME_LENGTH, VALUE_LENGTH, BODY_LENGTH, TIMES = 64, 1024, 2048, 3

PAGE_ORIGIN = "$PAGE"
"""Stands in a header value for the page's own origin, which is another one on http."""

ROLES = (Role.SIBLING, Role.CROSS, Role.APP, Role.PORT, Role.THIRD)
CONTEXTS = (Context.PAGE, Context.WORKER, Context.SANDBOX)
REDIRECT_STATUSES = (301, 302, 303, 307, 308)
REDIRECTS = ("follow", "manual", "error")

_ALWAYS = ((Mode.CORS, Credentials.SAME_ORIGIN), (Mode.CORS, Credentials.INCLUDE))
_ELEMENT = ((Mode.NO_CORS, Credentials.INCLUDE), *_ALWAYS)
_FETCH = tuple(
    (mode, credentials)
    for mode in (Mode.CORS, Mode.NO_CORS, Mode.SAME_ORIGIN)
    for credentials in (Credentials.SAME_ORIGIN, Credentials.INCLUDE, Credentials.OMIT)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What can be chosen with an initiator."""

    ways: tuple[tuple[Mode, Credentials], ...] = _ELEMENT
    """Request mode and credentials mode that it can stand for; an element's attribute `crossorigin` tells which."""
    contexts: tuple[Context, ...] = (Context.PAGE, Context.SANDBOX)
    free: bool = False
    """Whether a script chooses the method, headers and a body."""
    redirect: bool = False
    """Whether a script chooses the redirect mode."""


RULES: Mapping[Initiator, Rule] = MappingProxyType(
    {
        Initiator.FETCH: Rule(ways=_FETCH, contexts=CONTEXTS, free=True, redirect=True),
        Initiator.XHR: Rule(ways=_ALWAYS, contexts=CONTEXTS, free=True),
        Initiator.EVENT_SOURCE: Rule(ways=_ALWAYS, contexts=CONTEXTS),
        Initiator.IMAGE: Rule(),
        Initiator.SCRIPT: Rule(),
        Initiator.MODULE: Rule(ways=_ALWAYS),
        Initiator.STYLE: Rule(),
        Initiator.FONT: Rule(ways=_ALWAYS[:1]),
        Initiator.VIDEO: Rule(),
    }
)

TITLES = MappingProxyType(
    {
        Initiator.FETCH: "fetch()",
        Initiator.XHR: "XMLHttpRequest",
        Initiator.EVENT_SOURCE: "EventSource",
        Initiator.IMAGE: "image",
        Initiator.SCRIPT: "script",
        Initiator.MODULE: "module script",
        Initiator.STYLE: "style sheet",
        Initiator.FONT: "font",
        Initiator.VIDEO: "video",
    }
)

SAFELISTED_METHODS = ("GET", "HEAD", "POST")
FORBIDDEN_METHODS = ("CONNECT", "TRACE", "TRACK")
"""https://fetch.spec.whatwg.org/#methods: those that need no preflight, and those that no script may use."""

RESERVED = frozenset(
    {
        # What follows from the body, or is HTTP's own business.
        *("content-type", "content-length", "content-encoding", "content-range", "content-disposition"),
        *("connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"),
        "location",
        # What would last beyond the run, or reach beyond the lab.
        *("strict-transport-security", "alt-svc", "clear-site-data", "link", "refresh", "speculation-rules"),
        *("report-to", "reporting-endpoints", "nel", "sourcemap", "x-sourcemap", "critical-ch", "accept-ch"),
        *("content-security-policy", "content-security-policy-report-only", "expect-ct", "public-key-pins"),
        *("service-worker-allowed", "use-as-dictionary", "origin-trial"),
    }
)
"""Response headers that a document may not have."""
_RESERVED_BEGINNINGS = ("proxy-", "attribution-reporting-", "sec-", ":")

_VALUE = re.compile(r"[\t\x20-\x7e]*")
_TEXT = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*")


class DocumentError(ValueError):
    """A document that is not taken; the message is one line that says where and why."""


def read_document(content: bytes) -> dict[str, Any]:
    """Return a document from its JSON. Raises DocumentError if it is none, or too long; its parts are not looked at."""
    if len(content) > DOCUMENT_BYTES:
        raise DocumentError(f"The document has {len(content):,} bytes; {DOCUMENT_BYTES:,} are the most.")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise DocumentError("The document is no JSON.") from None
    if not isinstance(document, dict):
        raise DocumentError("The document is no JSON object.")
    return document


def id_of(document: Mapping[str, Any]) -> str:
    """Return the name of a document: the same document has the same one everywhere."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def scenario_of_document(document: Mapping[str, Any], web: Web) -> Scenario:
    """Return what a document asks for, in a web. Raises DocumentError."""
    _check_keys("The document", document, ("request", "server"), ("redirect",))
    context, step, times = _request(_object(document, "request", ""))
    hops = [_hop(_object(document, "server", ""), "server", web)]
    if document.get("redirect") is not None:
        for number, one in enumerate(hops[0].answers):
            if one.status not in REDIRECT_STATUSES:
                expected = ", ".join(map(str, REDIRECT_STATUSES))
                raise DocumentError(f"server.answers[{number}].status: a redirect has {expected}, not {one.status}.")
        hops = [_redirecting(hops[0]), _hop(_object(document, "redirect", ""), "redirect", web, target=True)]
    return Scenario(
        id=id_of(document),
        tag="playground",
        context=context,
        origin="null" if context is Context.SANDBOX else web.page,
        hops=tuple(hops),
        steps=(step,) * times,
    )


def _request(request: Mapping[str, Any]) -> tuple[Context, Step, int]:
    where = "request"
    _check_keys(
        where,
        request,
        ("initiator",),
        ("from", "mode", "credentials", "method", "headers", "body", "type", "redirect", "user", "times"),
    )
    initiator = Initiator(_one_of(request, "initiator", where, RULES, None))
    rule = RULES[initiator]
    context = Context(_one_of(request, "from", where, rule.contexts, Context.PAGE))
    mode = Mode(_one_of(request, "mode", where, [mode for mode, _ in rule.ways], rule.ways[0][0]))
    together = [credentials for one, credentials in rule.ways if one is mode]
    credentials = Credentials(_one_of(request, "credentials", where, together, together[0]))
    method = _string(request, "method", where, "GET", NAME_LENGTH)
    headers = _lines(request.get("headers", []), f"{where}.headers")
    body, kind = request.get("body"), request.get("type")
    if not rule.free and (method != "GET" or headers or body is not None or kind is not None):
        raise DocumentError(f"{where}: with {initiator} the browser makes the request, a GET without a body.")
    if not is_token(method.encode("latin-1", "replace")) or method.upper() in FORBIDDEN_METHODS:
        raise DocumentError(f"{where}.method: no script can send {method!r}.")
    if mode is Mode.NO_CORS and method.upper() not in SAFELISTED_METHODS:
        raise DocumentError(f"{where}.method: in mode no-cors only {', '.join(SAFELISTED_METHODS)} can be sent.")
    if body is not None:
        body = _string(request, "body", where, "", BODY_LENGTH, _TEXT)
        if method.upper() in ("GET", "HEAD"):
            raise DocumentError(f"{where}.body: a {method.upper()} has no body.")
    if kind is not None:
        kind = _string(request, "type", where, "", VALUE_LENGTH)
        if body is None:
            raise DocumentError(f"{where}.type: there is no body for it.")
    redirect = _one_of(request, "redirect", where, REDIRECTS if rule.redirect else REDIRECTS[:1], "follow")
    user = _string(request, "user", where, "", NAME_LENGTH)
    if user and re.fullmatch(r"\w+:\w+", user, re.ASCII) is None:
        raise DocumentError(f"{where}.user: user:password is expected, in letters and digits.")
    times = _integer(request, "times", where, 1, 1, TIMES)
    step = Step(
        initiator=initiator,
        mode=mode,
        credentials=credentials,
        method=method,
        headers=headers,
        body=body,
        body_type=kind or None,
        redirect=redirect,
    )
    return context, step, times


def _hop(place: Mapping[str, Any], where: str, web: Web, *, target: bool = False) -> Hop:
    _check_keys(where, place, ("at", "answers"), ("preflight", "user", "name") if target else ("preflight",))
    answers = place["answers"]
    if not isinstance(answers, list) or not 1 <= len(answers) <= TIMES:
        raise DocumentError(f"{where}.answers: a list of 1 to {TIMES} answers is expected.")
    preflight = place.get("preflight", {"status": 204})
    user = _string(place, "user", where, "", NAME_LENGTH)
    if user and re.fullmatch(r"\w+(:\w+)?", user, re.ASCII) is None:
        raise DocumentError(f"{where}.user: letters and digits are expected, with a password after a colon.")
    name = _string(place, "name", where, "", NAME_LENGTH)
    if name and re.fullmatch(r"[a-z0-9-]+", name) is None:
        raise DocumentError(f"{where}.name: small letters, digits and hyphens are expected.")
    return Hop(
        role=Role(_one_of(place, "at", where, ROLES, None)),
        preflights=(_answer(preflight, f"{where}.preflight", web, Body.EMPTY),),
        answers=tuple(_answer(one, f"{where}.answers[{number}]", web, Body.JSON) for number, one in enumerate(answers)),
        user_info=user,
        name=name,
    )


def _redirecting(hop: Hop) -> Hop:
    """Return a hop whose redirects lead to the next one."""

    def led(answers: tuple[Answer, ...]) -> tuple[Answer, ...]:
        return tuple(
            replace(one, headers=(*one.headers, ("Location", NEXT_HOP)), body=Body.EMPTY)
            if one.status in REDIRECT_STATUSES
            else one
            for one in answers
        )

    return replace(hop, preflights=led(hop.preflights), answers=led(hop.answers))


def _answer(answer: object, where: str, web: Web, body: Body) -> Answer:
    if not isinstance(answer, dict):
        raise DocumentError(f"{where}: an object is expected.")
    _check_keys(where, answer, (), ("status", "headers", "body"))
    status = _integer(answer, "status", where, 200, 200, 599)
    if status == 407:
        raise DocumentError(f"{where}.status: 407 is a proxy's answer, not a server's.")
    headers = _lines(answer.get("headers", []), f"{where}.headers")
    for number, (name, _) in enumerate(headers):
        lower = name.lower()
        if lower in RESERVED or lower.startswith(_RESERVED_BEGINNINGS):
            instead = {"location": "choose a redirect", "content-type": "choose a body"}.get(lower)
            raise DocumentError(
                f"{where}.headers[{number}]: {name} is not for the playground" + (f"; {instead}." if instead else ".")
            )
    headers = tuple((name, value.replace(PAGE_ORIGIN, web.page)) for name, value in headers)
    return Answer(status=status, headers=headers, body=Body(_one_of(answer, "body", where, tuple(Body), body)))


# -- parts -------------------------------------------------------------------------------------------------------------


def _check_keys(where: str, found: Mapping[str, Any], needed: Collection[str], optional: Collection[str]) -> None:
    for key in needed:
        if key not in found:
            raise DocumentError(f"{where}: {key} is missing.")
    for key in found:
        if key not in needed and key not in optional:
            raise DocumentError(f"{where}: {_shown(key)} is not known; {', '.join((*needed, *optional))} are.")


def _object(found: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = found[key]
    if not isinstance(value, dict):
        raise DocumentError(f"{where}{key}: an object is expected.")
    return value


def _one_of(found: Mapping[str, Any], key: str, where: str, known: Collection[str], default: str | None) -> str:
    value = found.get(key, default)
    if not isinstance(value, str) or value not in tuple(known):
        listed = ", ".join(dict.fromkeys(str(one) for one in known))
        raise DocumentError(f"{where}.{key}: {listed} can be chosen here, not {_shown(value)}.")
    return value


def _string(
    found: Mapping[str, Any], key: str, where: str, default: str, length: int, pattern: re.Pattern[str] = _VALUE
) -> str:
    value = found.get(key, default)
    if not isinstance(value, str):
        raise DocumentError(f"{where}.{key}: a string is expected.")
    if len(value) > length:
        raise DocumentError(f"{where}.{key}: {len(value):,} characters; {length:,} are the most.")
    if pattern.fullmatch(value) is None:
        raise DocumentError(f"{where}.{key}: it has characters that can't be sent.")
    return value


def _integer(found: Mapping[str, Any], key: str, where: str, default: int, least: int, most: int) -> int:
    value = found.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise DocumentError(f"{where}.{key}: a number from {least} to {most} is expected, not {_shown(value)}.")
    return value


def _lines(value: object, where: str) -> Lines:
    if not isinstance(value, list) or len(value) > LINES:
        raise DocumentError(f"{where}: a list of at most {LINES} lines is expected.")
    lines = []
    for number, line in enumerate(value):
        here = f"{where}[{number}]"
        if not (isinstance(line, list) and len(line) == 2 and all(isinstance(part, str) for part in line)):
            raise DocumentError(f"{here}: a pair of name and value is expected.")
        name, text = line
        if len(name) > NAME_LENGTH or not name.isascii() or not is_token(name.encode()):
            raise DocumentError(f"{here}: {_shown(name)} is no header name.")
        if len(text) > VALUE_LENGTH:
            raise DocumentError(f"{here}: the value has {len(text):,} characters; {VALUE_LENGTH:,} are the most.")
        if _VALUE.fullmatch(text) is None:
            raise DocumentError(f"{here}: the value of {name} has characters that can't be sent.")
        lines.append((name, text))
    return tuple(lines)


def _shown(value: object) -> str:
    """Return a value as it may stand in a message: quoted, short, in printable characters."""
    text = json.dumps(value) if not isinstance(value, str) else json.dumps(value)[1:-1]
    return f"“{text[:40]}{'…' if len(text) > 40 else ''}”"


def rules_json() -> dict[str, Any]:
    """Return what the page needs to offer what can be chosen."""
    return {
        "initiators": {
            initiator: {
                "title": TITLES[initiator],
                "ways": rule.ways,
                "contexts": rule.contexts,
                "free": rule.free,
                "redirect": rule.redirect,
                "body": BODIES[initiator],
            }
            for initiator, rule in RULES.items()
        },
        "roles": ROLES,
        "contexts": CONTEXTS,
        "redirects": REDIRECTS,
        "bodies": tuple(Body),
        "redirectStatuses": REDIRECT_STATUSES,
        "times": TIMES,
    }
