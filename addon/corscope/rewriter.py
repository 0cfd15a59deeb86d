"""Plans and makes the edits that let a page have a response, as data: nothing here decides whether that is wanted.

An edit is what the server should have sent. A second plan on an edited response is empty.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from corscope.causes import Answer, cause_of
from corscope.engine import (
    CORS_SAFELISTED_RESPONSE_HEADERS,
    OK_STATUS,
    REDIRECT_STATUS,
    RESPONSE_HEADERS,
    cors_check,
    cors_preflight_fetch,
    requested_names,
    varies_with_origin,
)
from corscope.headers import Fields, Names, extract_tokens, get_all, is_token, lines_of, normalize, pick
from corscope.model import BrowserFamily, Edit, Exchange, Operation, Outcome, Verdict
from corscope.modes import Head, is_cors_preflight, url_of
from corscope.origins import is_potentially_trustworthy
from corscope.scope import AllowedOrigins

COOKIES_OFF, COOKIES_CROSS_SITE, COOKIES_PARTITIONED = "off", "cross-site", "partitioned"

ALLOW_ORIGIN = b"access-control-allow-origin"
ALLOW_CREDENTIALS = b"access-control-allow-credentials"
ALLOW_METHODS = b"access-control-allow-methods"
ALLOW_HEADERS = b"access-control-allow-headers"
MAX_AGE = b"access-control-max-age"
EXPOSE_HEADERS = b"access-control-expose-headers"

_OF_A_BODY = (b"content-type", b"content-length", b"content-encoding", b"transfer-encoding", b"content-language")
_CURES: dict[bytes, tuple[str, ...]] = {
    ALLOW_ORIGIN: ("allow-origin-", "origin-"),
    ALLOW_CREDENTIALS: ("allow-credentials-",),
    ALLOW_METHODS: ("method-", "allow-methods-"),
    ALLOW_HEADERS: ("header-", "allow-headers-", "authorization-"),
    b"status": ("preflight-", "options-"),
}
"""How the ids begin of the findings that each header, or the status, mends."""


OVER_HTTP = (
    "over plain http no cookie can be made cross-site: browsers take SameSite=None only with Secure, and Secure only "
    "over https (or from localhost)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user wants rewritten."""

    allowed: AllowedOrigins = field(default_factory=AllowedOrigins)
    everything: bool = False
    """Every CORS exchange in scope, and not only what the browser would block."""
    max_age: int = 0
    """Seconds for which the browser may keep the answer to a preflight."""
    expose_headers: tuple[str, ...] = ()
    """Names of headers to be made readable; `*` for all that the response has."""
    cookies: str = COOKIES_OFF


def is_subject(verdict: Verdict) -> bool:
    """Tell whether a verdict is on what is, or may be, a CORS exchange; everything else is never touched."""
    return verdict.outcome is not Outcome.EXEMPT or (verdict.reason is not None and verdict.reason.id == "mode-unknown")


def needs(verdict: Verdict, settings: Settings) -> bool:
    """Tell whether a response is to be rewritten, as far as its verdict tells."""
    if not is_subject(verdict):
        return False
    return mends(verdict, settings) or settings.cookies != COOKIES_OFF or bool(settings.expose_headers)


def mends(verdict: Verdict, settings: Settings) -> bool:
    """Tell whether more than what is asked for by name, cookies and exposed headers, is to be rewritten."""
    return settings.everything or verdict.outcome is not Outcome.ALLOWED


def beyond_headers(verdict: Verdict) -> str | None:
    """Return the finding that no header of this response can mend, None where there is none."""
    # What decides may be silenced, and then is not among the findings.
    for one in (verdict.reason, *verdict.findings):
        if one is not None and one.id.startswith("redirect-"):
            return one.id
    return None


def notes(exchange: Exchange, settings: Settings) -> tuple[str, ...]:
    """Return what else is to be said of a response that is rewritten, a sentence each."""
    if settings.cookies == COOKIES_OFF or is_potentially_trustworthy(exchange.scheme, exchange.host):
        return ()
    if not get_all(exchange.response_headers, b"set-cookie"):
        return ()
    return (OVER_HTTP,)


def plan(exchange: Exchange, head: Head, settings: Settings, *, mend: bool = True) -> tuple[Edit, ...]:
    """Return the edits that make of an exchange's response one that passes, with credentials and without.

    `head` is what was read of its request, with its Origin. Without `mend` it passes already, and only cookies and
    exposed headers are looked after.
    """
    fields, asked = exchange.response_headers, None
    if is_cors_preflight(exchange.method, head):
        if not mend:
            return ()
        asked = head[b"access-control-request-method"], head.get(b"access-control-request-headers", b"")
    capitals = exchange.http_version == 1 and any(name != name.lower() for name, _ in fields)
    # Where it leads to tells something of a preflight only, and differs from one response to the next.
    planned = _PLANNED if asked is None else _PLANNED_OF_PREFLIGHTS
    if "*" not in settings.expose_headers:
        fields = lines_of(fields, planned)
    url = url_of(exchange) if asked is not None and exchange.status in REDIRECT_STATUS else ""
    answer = Answer(url, fields, True)
    trustworthy = is_potentially_trustworthy(exchange.scheme, exchange.host)
    return _plan(head[b"origin"], asked, exchange.status or 0, answer, settings, capitals, mend, trustworthy)


def is_answerable(head: Head) -> bool:
    """Tell whether any answer can permit what a preflight asks for: what is no token can't be listed."""
    names = requested_names(head.get(b"access-control-request-headers", b""))
    return all(map(is_token, (head[b"access-control-request-method"], *names)))


# Unless all headers are to be exposed.
_PLANNED = Names((ALLOW_ORIGIN, ALLOW_CREDENTIALS, EXPOSE_HEADERS, b"vary", b"set-cookie"))
"""What a plan for an actual response depends on."""
_PLANNED_OF_PREFLIGHTS = Names((*RESPONSE_HEADERS.wanted, b"vary", *_OF_A_BODY))
"""What a plan for a preflight's response depends on."""


# A server sends the same with most of its answers.
@lru_cache(maxsize=256)
def _plan(
    origin: bytes,
    asked: tuple[bytes, bytes] | None,
    status: int,
    answer: Answer,
    settings: Settings,
    capitals: bool,
    mend: bool,
    trustworthy: bool,
) -> tuple[Edit, ...]:
    """Plan for an answer to `origin`: to a preflight that asked for method and headers, or to an actual request."""
    fields = answer.response
    edits = _Edits(fields, capitals)
    if asked is not None:
        _plan_preflight(origin, *asked, status, answer, settings, edits)
        return tuple(edits.made)
    if mend:
        checked = {
            name: b", ".join(map(normalize, edits.lines[name]))
            for name in (ALLOW_ORIGIN, ALLOW_CREDENTIALS)
            if name in edits.lines
        }
        faults = [cause_of(fault, answer)[0] for fault in cors_check(origin, checked, include=True)]
        edits.set(ALLOW_ORIGIN, (origin,), faults)
        edits.set(ALLOW_CREDENTIALS, (b"true",), faults)
        vary = tuple([normalize(value) for value in edits.lines.get(b"vary", ())])
        if vary != (b"Origin",) and not varies_with_origin(vary):
            last = vary[-1] + b", Origin" if vary and vary[-1] else b"Origin"
            edits.set(b"vary", (*vary[:-1], last), ())
    exposed = _exposed(fields, settings.expose_headers)
    if exposed:
        edits.set(EXPOSE_HEADERS, (exposed,), ())
    if settings.cookies != COOKIES_OFF and trustworthy:
        lines = get_all(fields, b"set-cookie")
        partitioned = settings.cookies == COOKIES_PARTITIONED
        edits.set(b"set-cookie", tuple(cross_site_cookie(line, partitioned=partitioned) for line in lines), ())
    return tuple(edits.made)


def _plan_preflight(
    origin: bytes, method: bytes, asked: bytes, status: int, answer: Answer, settings: Settings, edits: "_Edits"
) -> None:
    response = pick(answer.response, RESPONSE_HEADERS)
    names = requested_names(asked)
    found = cors_preflight_fetch(origin, method, names, status, response, include=True, family=BrowserFamily.SPEC)
    faults = [cause_of(fault, answer)[0] for fault in found]
    if status not in OK_STATUS:
        edits.status(204, status, faults)
        edits.remove((b"location", *_OF_A_BODY))
        edits.drop_body()
    edits.set(ALLOW_ORIGIN, (origin,), faults)
    edits.set(ALLOW_CREDENTIALS, (b"true",), faults)
    listed = extract_tokens(response.get(ALLOW_METHODS))
    if not listed or method not in listed or b"*" in listed or len(edits.lines[ALLOW_METHODS]) > 1:
        edits.set(ALLOW_METHODS, (method,), faults)
    allowed = extract_tokens(response.get(ALLOW_HEADERS))
    repeated = len(edits.lines.get(ALLOW_HEADERS, ())) > 1
    if allowed is None or repeated or b"*" in allowed or not {name.lower() for name in allowed}.issuperset(names):
        # What is no token came from no browser, and would make the whole list unreadable.
        permitted = b", ".join(name for name in names if is_token(name))
        if permitted:
            edits.set(ALLOW_HEADERS, (permitted,), faults)
        else:
            edits.remove((ALLOW_HEADERS,), faults)
    edits.set(MAX_AGE, (b"%d" % settings.max_age,), ())


class _Edits:
    """Collects edits to one header list."""

    def __init__(self, fields: Fields, capitals: bool) -> None:
        """`capitals`: whether any name of the response has one."""
        self.made: list[Edit] = []
        self.lines: dict[bytes, list[bytes]] = {}
        """The values of each header, by its name in lower case."""
        self._spelled: dict[bytes, bytes] = {}
        for name, value in fields:
            lower = name.lower()
            if lower in self.lines:
                self.lines[lower].append(value)
            else:
                self.lines[lower], self._spelled[lower] = [value], name
        # HTTP/2 knows small letters only; a server that writes capitals speaks HTTP/1.
        self._capitals = capitals

    def set(self, name: bytes, values: tuple[bytes, ...], faults: Sequence[str]) -> None:
        before = tuple(self.lines.get(name, ()))
        if before != values:
            shown = self._spelled.get(name) or (name.title() if self._capitals else name)
            cures = _cured(faults, _CURES.get(name, ()))
            self.made.append(Edit(Operation.SET, shown.decode("latin-1"), values, before, cures))

    def remove(self, names: Iterable[bytes], faults: Sequence[str] = ()) -> None:
        for name in names:
            if name in self.lines:
                cures = _cured(faults, _CURES.get(name, ()))
                self.made.append(
                    Edit(Operation.REMOVE, self._spelled[name].decode("latin-1"), (), tuple(self.lines[name]), cures)
                )

    def status(self, status: int, before: int, faults: Sequence[str]) -> None:
        cures = _cured(faults, _CURES[b"status"])
        self.made.append(Edit(Operation.STATUS, "", (b"%d" % status,), (b"%d" % before,), cures))

    def drop_body(self) -> None:
        self.made.append(Edit(Operation.BODY, ""))


def _cured(faults: Sequence[str], beginnings: tuple[str, ...]) -> str | None:
    if not faults or not beginnings:
        return None
    return next((fault for fault in faults if fault.startswith(beginnings)), None)


def _exposed(fields: Fields, wanted: tuple[str, ...]) -> bytes:
    """Return the value of Access-Control-Expose-Headers, in which `*` means nothing once there are credentials."""
    if not wanted:
        return b""
    # What the server exposes already stays readable.
    kept = [name for line in get_all(fields, EXPOSE_HEADERS) for name in extract_tokens(line) or () if name != b"*"]
    kept += [name.encode("latin-1", "replace") for name in wanted if name != "*"]
    if "*" not in wanted:
        return b", ".join(dict.fromkeys(kept))
    hidden = CORS_SAFELISTED_RESPONSE_HEADERS | {b"set-cookie", b"set-cookie2", b"vary"}
    kept += [
        name for name, _ in fields if name.lower() not in hidden and not name.lower().startswith(b"access-control-")
    ]
    # A header may have any token as its name, `*` included, which would stand for all of them.
    return b", ".join(name for name in dict.fromkeys(kept) if is_token(name) and name != b"*")


_REPLACED = {b"samesite", b"secure", b"partitioned"}


def cross_site_cookie(line: bytes, *, partitioned: bool) -> bytes:
    """Return a Set-Cookie line for a cookie that browsers send cross-site; everything else in it stays as it is."""
    pair, *attributes = line.split(b";")
    kept = [one for one in attributes if one.partition(b"=")[0].strip().lower() not in _REPLACED]
    partitioned = partitioned or any(one.strip().lower() == b"partitioned" for one in attributes)
    added = [b" SameSite=None", b" Secure", *([b" Partitioned"] if partitioned else [])]
    return b";".join([pair, *kept, *added])


def edited_fields(fields: Fields, edits: Iterable[Edit]) -> Fields:
    """Return a header list with edits made: every other line stays what and where it was."""
    # Status and body have no name.
    changes = {edit.name.lower().encode("latin-1"): (edit.name, list(edit.values)) for edit in edits if edit.name}
    made: list[tuple[bytes, bytes]] = []
    for line in fields:
        change = changes.get(line[0].lower())
        if change is None:
            made.append(line)
        elif change[1]:
            made.append((line[0], change[1].pop(0)))
    for name, values in changes.values():
        made += [(name.encode("latin-1"), value) for value in values]
    return tuple(made)


def edited_status(status: int, edits: Iterable[Edit]) -> int:
    """Return a status with edits made."""
    for edit in edits:
        if edit.operation is Operation.STATUS:
            return int(edit.values[0])
    return status


def edited(exchange: Exchange, edits: Sequence[Edit]) -> Exchange:
    """Return an exchange with edits made to its response."""
    made = exchange.with_response(
        edited_status(exchange.status or 0, edits), edited_fields(exchange.response_headers, edits)
    )
    made.edited = True
    return made


def drops_body(edits: Iterable[Edit]) -> bool:
    """Tell whether the body goes."""
    return Operation.BODY in [edit.operation for edit in edits]
