"""The smallest complete set of headers with which a story passes, as changes to what was sent. Changes nothing."""

import re
from typing import NamedTuple

from corscope.engine import (
    OK_STATUS,
    RESPONSE_HEADERS,
    as_firefox_reads,
    cors_check,
    cors_preflight_fetch,
    http_redirect_fetch,
    is_header_allowed,
    is_method_allowed,
    requested_names,
    varies_with_origin,
)
from corscope.headers import Headers, extract_tokens, get, get_all, is_token, pick, text
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
from corscope.rewriter import edited

USUAL_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE")
USUAL_HEADERS = (b"content-type", b"authorization")
"""What stands for a `*` where `*` says nothing: what else the server let in with it is not in sight."""


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
    if verdict.origin == text(OPAQUE) or _leads_astray(verdict, exchange):
        return None
    if exchange.proxy_made:
        # It is the proxy's own answer: nothing that a server sends changes it.
        return None
    family = BrowserFamily(verdict.browser)
    asked = exchange if verdict.kind is Kind.PREFLIGHT else _preflight_before(verdict)
    seen = verdict.kind is not Kind.PREFLIGHT
    actual = exchange if seen else exchange.with_response(200, ())
    either_way = verdict.credentials is Credentials.UNKNOWN and not _only_with_credentials(verdict)
    include = verdict.credentials is not Credentials.OMIT and not either_way
    origin = verdict.origin.encode("latin-1")
    change_preflight = _preflight_edits(asked, family, include=include) if asked is not None else ()
    change_actual = _origin_edits(actual, origin, family, include=include, vary=True)
    besides = Besides()
    if either_way:
        besides = Besides(
            _preflight_edits(edited(asked, change_preflight), family, include=True) if asked is not None else (),
            _origin_edits(edited(actual, change_actual), origin, family, include=True, vary=True),
        )
    if not (change_preflight or besides.preflight or (seen and (change_actual or besides.actual))):
        # What stops it is nothing that an answer can allow, such as a header's name that is no name.
        return None
    return Fix(_policy(verdict, exchange, asked), change_preflight, change_actual, seen, besides)


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


def _read(exchange: Exchange, family: BrowserFamily) -> Headers:
    """Return the response's headers as this browser reads them."""
    fields = exchange.response_headers
    headers = pick(fields, RESPONSE_HEADERS)
    if family is BrowserFamily.FIREFOX:
        return as_firefox_reads(headers, fields, exchange.http_version)
    return headers


def _edit(exchange: Exchange, name: str, value: bytes) -> Edit:
    """Set a header to one value, or remove it where the value is empty."""
    before = tuple(get_all(exchange.response_headers, name.lower().encode()))
    return Edit(Operation.SET, name, (value,), before) if value else Edit(Operation.REMOVE, name, (), before)


def _origin_edits(
    exchange: Exchange, origin: bytes, family: BrowserFamily, *, include: bool, vary: bool
) -> tuple[Edit, ...]:
    """Return what an answer needs to pass the CORS check; nothing where it passes."""
    headers = _read(exchange, family)
    if not cors_check(origin, headers, include=include):
        return ()
    edits: list[Edit] = []
    if headers.get(b"access-control-allow-origin") != origin:
        edits.append(_edit(exchange, "Access-Control-Allow-Origin", origin))
    if include and headers.get(b"access-control-allow-credentials") != b"true":
        edits.append(_edit(exchange, "Access-Control-Allow-Credentials", b"true"))
    lines = tuple(get_all(exchange.response_headers, b"vary"))
    if vary and not varies_with_origin(lines):
        edits.append(_edit(exchange, "Vary", b", ".join((*(one for one in lines if one), b"Origin"))))
    return tuple(edits)


def _preflight_edits(asked: Exchange, family: BrowserFamily, *, include: bool) -> tuple[Edit, ...]:
    """Return what a preflight's answer needs so that it allows what was asked for; nothing where it does."""
    head, headers, status = read_head(asked.request_headers), _read(asked, family), asked.status or 0
    origin = head.get(b"origin", b"")
    method, names = _asked_for(asked)
    own = family is BrowserFamily.FIREFOX and origin == _target(asked)
    if not is_token(method) or not cors_preflight_fetch(
        origin, method, names, status, headers, include=include, family=family, same_origin=own
    ):
        return ()
    edits: list[Edit] = []
    if status not in OK_STATUS:
        edits.append(Edit(Operation.STATUS, "", (b"204",), (b"%d" % status,)))
    if not own:
        edits += _origin_edits(asked, origin, family, include=include, vary=False)
    listed = headers.get(b"access-control-allow-methods")
    methods = extract_tokens(listed)
    if methods is None or not is_method_allowed(method, methods, include=include):
        kept = _kept(listed, (method,), USUAL_METHODS, include=include)
        if not is_method_allowed(method, kept, include=include):
            kept += (method,)
        edits.append(_edit(asked, "Access-Control-Allow-Methods", _joined(kept)))
    listed = headers.get(b"access-control-allow-headers")
    allowed = extract_tokens(listed and listed.lower())
    if allowed is None or _not_allowed(names, allowed, family, include=include):
        kept = _kept(listed and listed.lower(), names, USUAL_HEADERS, include=include)
        kept += _not_allowed(names, kept, family, include=include)
        edits.append(_edit(asked, "Access-Control-Allow-Headers", _joined(kept)))
    return tuple(edits)


def _asked_for(asked: Exchange) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the method and the header names, in lower case, that a preflight asks for."""
    head = read_head(asked.request_headers)
    names = requested_names(head.get(b"access-control-request-headers", b""))
    # What is no token came from no browser, and would make the whole list unreadable.
    return head.get(b"access-control-request-method", b""), tuple(name for name in names if is_token(name))


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


def _policy(verdict: Verdict, exchange: Exchange, asked: Exchange | None) -> Policy:
    """Return a policy that lets the story pass and takes back nothing that its answers allow by name."""
    answers = [one.response_headers for one in (asked, exchange) if one is not None]
    if asked is not None:
        method, names = _asked_for(asked)
    else:
        # Its preflight is not in sight, but what it must have asked for is.
        method, names = exchange.method, tuple(sorted(read_head(exchange.request_headers).script_set))
    methods: list[bytes] = []
    headers: list[bytes] = []
    for answer in answers:
        methods += _kept(get(answer, b"access-control-allow-methods"), (), USUAL_METHODS, include=True)
        headers += _kept(get(answer, b"access-control-allow-headers"), (), USUAL_HEADERS, include=True)
    own = verdict.origin or ""
    said = [text(get(answer, b"access-control-allow-origin") or b"") for answer in answers]
    others = [one for one in said if is_listable(one)]
    # The same pages, or others, may send credentials elsewhere: what was allowed to them stays allowed.
    granted = any(
        is_listable(one) and get(answer, b"access-control-allow-credentials") == b"true"
        for one, answer in zip(said, answers, strict=True)
    )
    exposed = extract_tokens(get(exchange.response_headers, b"access-control-expose-headers")) or ()
    return Policy(
        origins=tuple(dict.fromkeys((own, *others))),
        # What is not known to be without credentials has to pass with them as well.
        credentials=verdict.credentials is not Credentials.OMIT or granted,
        methods=_texts(*methods, method, b"GET", b"HEAD", b"POST"),
        request_headers=_texts(*(name.lower() for name in (*headers, *names))),
        exposed_headers=_texts(*_named(exposed)),
        path=exchange.path.partition("?")[0],
    )


def _texts(*members: bytes) -> tuple[str, ...]:
    return tuple(text(one) for one in dict.fromkeys(members))
