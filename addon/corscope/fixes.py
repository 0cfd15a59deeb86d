"""The smallest complete set of headers with which a story passes, as changes to what was sent. Changes nothing."""

import re
from functools import lru_cache
from typing import NamedTuple

from corscope.engine import (
    OK_STATUS,
    RESPONSE_HEADERS,
    as_firefox_reads,
    cors_check,
    cors_preflight_fetch,
    http_redirect_fetch,
    is_forbidden_request_header,
    is_header_allowed,
    is_method_allowed,
    requested_names,
    varies_with_origin,
)
from corscope.headers import Fields, Headers, Names, extract_tokens, get, get_all, is_token, lines_of, pick, text
from corscope.model import (
    BrowserFamily,
    Credentials,
    Edit,
    Exchange,
    Kind,
    Operation,
    Outcome,
    Severity,
    Verdict,
)
from corscope.modes import read_head
from corscope.origins import (
    OPAQUE,
    host_of,
    is_potentially_trustworthy,
    parse_location,
    serialize_origin,
)
from corscope.policy import Policy, is_listable
from corscope.privacy import HIDDEN
from corscope.rewriter import edited_fields, edited_status

USUAL_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE")
USUAL_HEADERS = (b"content-type", b"authorization")
"""What stands for a `*` where `*` says nothing: what else the server let in with it is not in sight."""


_READ = Names((*RESPONSE_HEADERS.wanted, b"vary"))


class _Response(NamedTuple):
    """What is read of an answer. A server sends the same with most of its answers, so that what it needs is kept."""

    status: int
    fields: Fields
    """The lines that count here only."""
    http_version: int

    def edited(self, edits: tuple[Edit, ...]) -> "_Response":
        return self._replace(status=edited_status(self.status, edits), fields=edited_fields(self.fields, edits))


class _Asked(NamedTuple):
    """What a preflight asks for."""

    origin: bytes
    method: bytes
    names: tuple[bytes, ...]
    """In lower case."""
    own: bool
    """Whether Firefox asks its own origin, of which it wants no Allow-Origin."""


class Besides(NamedTuple):
    """What a story needs besides if it is sent with credentials, where that is not known."""

    preflight: tuple[Edit, ...] = ()
    actual: tuple[Edit, ...] = ()


class Fix(NamedTuple):
    """What a server should send so that a story passes."""

    policy: Policy
    preflight: tuple[Edit, ...]
    """Changes to the preflight's answer; empty where it is right, or none was seen."""
    actual: tuple[Edit, ...]
    """Changes to the actual answer; all that it needs, where a preflight failed and it was never asked for."""
    actual_seen: bool
    with_credentials: Besides = Besides()
    """Further changes, to the answers as they are after those above, if the request is sent with credentials. Empty
    where that is known, or where nothing but credentials can stop the story: then all is said above."""


def fix_of(verdict: Verdict) -> Fix | None:
    """Return what mends the story of a verdict; None where nothing is wrong, or no header mends it."""
    exchange = verdict.exchange
    if exchange is None or verdict.origin is None or verdict.outcome in (Outcome.ALLOWED, Outcome.EXEMPT):
        return None
    # `null` is every sandboxed frame, and any site can make one: who lets it in lets in everybody.
    # What is not shown as it was sent, a user's name or a URL's secret in it, is no browser's origin.
    if verdict.origin == text(OPAQUE) or HIDDEN in verdict.origin or _leads_astray(verdict, exchange):
        return None
    if exchange.proxy_made:
        # It is the proxy's own answer: nothing that a server sends changes it.
        return None
    family = BrowserFamily(verdict.browser)
    asked = exchange if verdict.kind is Kind.PREFLIGHT else _preflight_before(verdict)
    seen = verdict.kind is not Kind.PREFLIGHT
    actual = _response(exchange) if seen else _Response(200, (), exchange.http_version)
    either_way = verdict.credentials is Credentials.UNKNOWN and not _only_with_credentials(verdict)
    include = verdict.credentials is not Credentials.OMIT and not either_way
    origin = verdict.origin.encode("latin-1")
    wanted = _asked_for(asked, family) if asked is not None else None
    answered = _response(asked) if asked is not None else None
    change_preflight = _preflight_edits(answered, wanted, family, include=include) if answered and wanted else ()
    change_actual = _origin_edits(actual, origin, family, include=include, vary=True)
    besides = Besides()
    if either_way:
        besides = Besides(
            _preflight_edits(answered.edited(change_preflight), wanted, family, include=True)
            if answered and wanted
            else (),
            _origin_edits(actual.edited(change_actual), origin, family, include=True, vary=True),
        )
    if not (change_preflight or besides.preflight or (seen and (change_actual or besides.actual))):
        # What stops it is nothing that an answer can allow, such as a header's name that is no name.
        return None
    if wanted is not None:
        method, names = wanted.method, wanted.names
    else:
        # Its preflight is not in sight, but what it must have asked for is.
        method, names = exchange.method, read_head(exchange.request_headers).unsafe_names
    # What is not known to be without credentials has to pass with them as well.
    credentials = verdict.credentials is not Credentials.OMIT
    answers = tuple([one.fields for one in (answered, actual if seen else None) if one is not None])
    policy = _policy(verdict.origin, answers, method, names, credentials)
    path = exchange.path.partition("?")[0]
    return Fix(policy._replace(path=path), change_preflight, change_actual, seen, besides)


def _only_with_credentials(verdict: Verdict) -> bool:
    return verdict.reason is not None and verdict.reason.id == "credentials-unknown"


def _preflight_before(verdict: Verdict) -> Exchange | None:
    if verdict.story and verdict.story[-1].kind is Kind.PREFLIGHT:
        return verdict.story[-1].exchange
    return None


def _leads_astray(verdict: Verdict, exchange: Exchange) -> bool:
    """Tell a redirect that fails by where it leads, whatever else is wrong with it: no CORS header mends that."""
    if verdict.reason is not None and verdict.reason.id.startswith("redirect-"):
        return True
    if any(one.id == "login-redirect" for part in (*verdict.story, verdict) for one in part.findings):
        # Who gets as far as the login can't use it from a script.
        return True
    if verdict.kind is not Kind.REDIRECT or _only_with_credentials(verdict):
        return False
    if any(one.severity is Severity.ERROR and one.id.startswith("redirect-") for one in verdict.findings):
        return True
    # Findings that are silenced, or of which only the first is told, do not show it.
    to = parse_location(verdict.url, text(get(exchange.response_headers, b"location") or b""))
    return to is None or bool(
        http_redirect_fetch(
            (verdict.origin or "").encode("latin-1"),
            _target(exchange),
            to,
            secure_page=(verdict.origin or "").startswith("https://"),
            redirects=sum(part.kind is Kind.REDIRECT for part in verdict.story),
            trustworthy=is_potentially_trustworthy(to.scheme, host_of(to.origin)),
        )
    )


def _target(exchange: Exchange) -> bytes:
    return serialize_origin(exchange.scheme, exchange.host, exchange.port)


# ---------------------------------------------------------------------- edits


def _response(exchange: Exchange) -> _Response:
    fields = lines_of(exchange.response_headers, _READ)
    return _Response(exchange.status or 0, fields, exchange.http_version)


def _read(response: _Response, family: BrowserFamily) -> Headers:
    """Return an answer's headers as this browser reads them."""
    headers = pick(response.fields, RESPONSE_HEADERS)
    if family is BrowserFamily.FIREFOX:
        return as_firefox_reads(headers, response.fields, response.http_version)
    return headers


def _edit(response: _Response, name: str, value: bytes) -> Edit:
    """Set a header to one value, or remove it where the value is empty."""
    before = tuple(get_all(response.fields, name.lower().encode()))
    return Edit(Operation.SET, name, (value,), before) if value else Edit(Operation.REMOVE, name, (), before)


@lru_cache(maxsize=256)
def _origin_edits(
    response: _Response, origin: bytes, family: BrowserFamily, *, include: bool, vary: bool
) -> tuple[Edit, ...]:
    """Return what an answer needs to pass the CORS check; nothing where it passes."""
    headers = _read(response, family)
    if not cors_check(origin, headers, include=include):
        return ()
    edits: list[Edit] = []
    if headers.get(b"access-control-allow-origin") != origin:
        edits.append(_edit(response, "Access-Control-Allow-Origin", origin))
    if include and headers.get(b"access-control-allow-credentials") != b"true":
        edits.append(_edit(response, "Access-Control-Allow-Credentials", b"true"))
    lines = tuple(get_all(response.fields, b"vary"))
    if vary and not varies_with_origin(lines):
        edits.append(_edit(response, "Vary", b", ".join((*(one for one in lines if one), b"Origin"))))
    return tuple(edits)


@lru_cache(maxsize=256)
def _preflight_edits(response: _Response, asked: _Asked, family: BrowserFamily, *, include: bool) -> tuple[Edit, ...]:
    """Return what a preflight's answer needs so that it allows what was asked for; nothing where it does."""
    headers, status = _read(response, family), response.status
    origin, method, names, own = asked
    if not is_token(method) or not cors_preflight_fetch(
        origin, method, names, status, headers, include=include, family=family, same_origin=own
    ):
        return ()
    edits: list[Edit] = []
    if status not in OK_STATUS:
        edits.append(Edit(Operation.STATUS, "", (b"204",), (b"%d" % status,)))
    if not own:
        edits += _origin_edits(response, origin, family, include=include, vary=False)
    listed = headers.get(b"access-control-allow-methods")
    methods = extract_tokens(listed)
    if methods is None or not is_method_allowed(method, methods, include=include):
        kept = _kept(listed, (method,), (), include=include)
        if not is_method_allowed(method, kept, include=include):
            kept += (method,)
        edits.append(_edit(response, "Access-Control-Allow-Methods", _joined(kept)))
    listed = headers.get(b"access-control-allow-headers")
    allowed = extract_tokens(listed and listed.lower())
    if allowed is None or _not_allowed(names, allowed, family, include=include):
        kept = _kept(listed and listed.lower(), names, (), include=include)
        kept += _not_allowed(names, kept, family, include=include)
        edits.append(_edit(response, "Access-Control-Allow-Headers", _joined(kept)))
    return tuple(edits)


def _asked_for(preflight: Exchange, family: BrowserFamily) -> _Asked:
    head = read_head(preflight.request_headers)
    origin = head.get(b"origin", b"")
    names = requested_names(head.get(b"access-control-request-headers", b""))
    own = family is BrowserFamily.FIREFOX and origin == _target(preflight)
    # What is no token came from no browser, and would make the whole list unreadable.
    names = tuple([name for name in names if is_token(name)])
    return _Asked(origin, head.get(b"access-control-request-method", b""), names, own)


def _not_allowed(
    names: tuple[bytes, ...], allowed: tuple[bytes, ...], family: BrowserFamily, *, include: bool
) -> tuple[bytes, ...]:
    return tuple(name for name in names if not is_header_allowed(name, allowed, include=include, family=family))


def _kept(
    listed: bytes | None, asked: tuple[bytes, ...], usual: tuple[bytes, ...], *, include: bool
) -> tuple[bytes, ...]:
    """Return what a list allowed already; with credentials, names in place of a `*` that then says nothing."""
    members = _readable(listed)
    return (*_named(members), *asked, *usual) if include and b"*" in members else members


def _joined(members: tuple[bytes, ...]) -> bytes:
    return b", ".join(dict.fromkeys(members))


_SEPARATORS = re.compile(rb"[,; \t]+")


def _readable(listed: bytes | None) -> tuple[bytes, ...]:
    """Return the names in a list, however they are separated; what is no name is left out."""
    return tuple(one for one in _SEPARATORS.split(listed or b"") if is_token(one))


def _named(members: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(one for one in members if one != b"*")


# ---------------------------------------------------------------------- policy


@lru_cache(maxsize=256)
def _policy(
    origin: str, answers: tuple[Fields, ...], method: bytes, names: tuple[bytes, ...], credentials: bool
) -> Policy:
    """Return a policy that lets the story pass and takes back nothing that its answers allow by name.

    `answers` are those of the preflight and of the actual request, as far as they were seen.
    """
    methods: list[bytes] = []
    headers: list[bytes] = []
    for answer in answers:
        methods += _kept(get(answer, b"access-control-allow-methods"), (), USUAL_METHODS, include=True)
        headers += _kept(get(answer, b"access-control-allow-headers"), (), USUAL_HEADERS, include=True)
    said = [text(get(answer, b"access-control-allow-origin") or b"") for answer in answers]
    # The page's own host without TLS was a slip of the pen: to list it would let in whoever is on the way there.
    others = [one for one in said if is_listable(one) and not _is_unsafe_twin(one, origin)]
    # The same pages, or others, may send credentials elsewhere: what was allowed to them stays allowed.
    granted = any(
        is_listable(one) and get(answer, b"access-control-allow-credentials") == b"true"
        for one, answer in zip(said, answers, strict=True)
    )
    exposed = extract_tokens(get(answers[-1], b"access-control-expose-headers")) or ()
    return Policy(
        origins=tuple(dict.fromkeys((origin, *others))),
        credentials=credentials or granted,
        methods=_texts(*methods, method, b"GET", b"HEAD", b"POST"),
        # What no script can send or read has no place in a list, and some servers refuse it there.
        request_headers=_texts(*(one for one in map(bytes.lower, (*headers, *names)) if not _is_useless(one))),
        exposed_headers=_texts(*(one for one in _named(exposed) if not _is_useless(one.lower()))),
    )


def _is_unsafe_twin(one: str, origin: str) -> bool:
    """Tell the plain http origin of the host that an https origin names."""
    same_host = host_of(one.encode("latin-1", "replace")) == host_of(origin.encode("latin-1", "replace"))
    return same_host and one.startswith("http://") and origin.startswith("https://")


def _is_useless(name: bytes) -> bool:
    return is_forbidden_request_header(name) or name.startswith(b"access-control-")


def _texts(*members: bytes) -> tuple[str, ...]:
    return tuple(text(one) for one in dict.fromkeys(members))
