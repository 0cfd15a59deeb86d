"""The smallest complete set of headers with which a story passes, as changes to what was sent. Changes nothing."""

from typing import NamedTuple

from corscope.engine import CORS_SAFELISTED_METHODS, OK_STATUS, requested_names
from corscope.headers import Fields, extract_tokens, get, get_all, is_token, text
from corscope.model import Credentials, Edit, Exchange, Kind, Operation, Outcome, Verdict
from corscope.modes import read_head
from corscope.policy import DEFAULT_MAX_AGE, Policy


class Fix(NamedTuple):
    """What a server should send so that a story passes."""

    policy: Policy
    preflight: tuple[Edit, ...]
    """Changes to the preflight's answer; empty where it is right, or none was seen."""
    actual: tuple[Edit, ...]
    """Changes to the actual answer; all that it needs, where a preflight failed and it was never asked for."""
    actual_seen: bool


def fix_of(verdict: Verdict) -> Fix | None:
    """Return what mends the story of a verdict; None where nothing is wrong, or no header mends it."""
    exchange = verdict.exchange
    if exchange is None or verdict.origin is None or verdict.outcome in (Outcome.ALLOWED, Outcome.EXEMPT):
        return None
    if verdict.reason is not None and verdict.reason.id.startswith("redirect-"):
        return None
    if exchange.proxy_made:
        # It is the proxy's own answer: nothing that a server sends changes it.
        return None
    asked = exchange if verdict.kind is Kind.PREFLIGHT else _preflight_before(verdict)
    origin = verdict.origin
    # What is not known to be without credentials has to pass with them as well.
    credentials = verdict.credentials is not Credentials.OMIT
    methods, headers = _needed(exchange, asked)
    policy = Policy(
        origins=(origin,),
        credentials=credentials,
        methods=methods,
        request_headers=headers,
        exposed_headers=_exposed(exchange),
        path=exchange.path.partition("?")[0],
    )
    preflight: tuple[Edit, ...] = ()
    if asked is not None:
        preflight = _preflight_edits(asked, policy)
    if verdict.kind is Kind.PREFLIGHT:
        return Fix(policy, preflight, _edits((), _allow(policy), vary=True), False)
    return Fix(policy, preflight, _edits(exchange.response_headers, _allow(policy), vary=True), True)


def _preflight_before(verdict: Verdict) -> Exchange | None:
    if verdict.story and verdict.story[-1].kind is Kind.PREFLIGHT:
        return verdict.story[-1].exchange
    return None


def _needed(exchange: Exchange, asked: Exchange | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the methods and request headers to allow: what was asked for, and what the server allowed already."""
    if asked is None:
        # Its preflight is not in sight, but what it must have asked for is.
        own = read_head(exchange.request_headers)
        return (text(exchange.method),), tuple(text(name) for name in sorted(own.script_set))
    head = read_head(asked.request_headers)
    method = head.get(b"access-control-request-method", exchange.method)
    names = requested_names(head.get(b"access-control-request-headers", b""))
    response = asked.response_headers
    listed = extract_tokens(get(response, b"access-control-allow-methods")) or ()
    allowed = extract_tokens(get(response, b"access-control-allow-headers")) or ()
    # What is no token came from no browser, and would make the whole list unreadable.
    names = tuple(name for name in names if is_token(name))
    methods = dict.fromkeys(text(one) for one in (*listed, method) if one != b"*")
    headers = dict.fromkeys(text(one).lower() for one in (*allowed, *names) if one != b"*")
    return tuple(methods), tuple(headers)


def _exposed(exchange: Exchange) -> tuple[str, ...]:
    listed = extract_tokens(get(exchange.response_headers, b"access-control-expose-headers")) or ()
    return tuple(text(one) for one in listed if one != b"*")


def _allow(policy: Policy) -> dict[str, str]:
    headers = {"Access-Control-Allow-Origin": policy.origins[0]}
    if policy.credentials:
        headers["Access-Control-Allow-Credentials"] = "true"
    return headers


def _preflight_edits(asked: Exchange, policy: Policy) -> tuple[Edit, ...]:
    wanted = _allow(policy)
    if any(method.encode("latin-1") not in CORS_SAFELISTED_METHODS for method in policy.methods):
        wanted["Access-Control-Allow-Methods"] = ", ".join(policy.methods)
    if policy.request_headers:
        wanted["Access-Control-Allow-Headers"] = ", ".join(policy.request_headers)
    response = asked.response_headers
    if not (get(response, b"access-control-max-age") or b"").isdigit():
        wanted["Access-Control-Max-Age"] = str(DEFAULT_MAX_AGE)
    edits = _edits(response, wanted, vary=False)
    if asked.status not in OK_STATUS:
        edits = (Edit(Operation.STATUS, "", (b"204",), (b"%d" % (asked.status or 0),)), *edits)
    return edits


def _edits(response: Fields, wanted: dict[str, str], *, vary: bool) -> tuple[Edit, ...]:
    edits: list[Edit] = []
    for name, value in wanted.items():
        before = tuple(get_all(response, name.lower().encode()))
        if name.endswith(("-Methods", "-Headers")) and _lists(before, value, cased=name.endswith("-Methods")):
            continue
        if before != (value.encode("latin-1"),):
            edits.append(Edit(Operation.SET, name, (value.encode("latin-1"),), before))
    if vary:
        lines = tuple(get_all(response, b"vary"))
        members = {member.strip().lower() for line in lines for member in line.split(b",")}
        if members.isdisjoint((b"origin", b"*")):
            edits.append(Edit(Operation.SET, "Vary", (b", ".join((*(one for one in lines if one), b"Origin")),), lines))
    return tuple(edits)


def _lists(lines: tuple[bytes, ...], wanted: str, *, cased: bool) -> bool:
    """Tell whether header lines list every member of a value already, and nothing that is no name."""
    listed, members = extract_tokens(b", ".join(lines)) or (), wanted.encode("latin-1").split(b", ")
    if cased:
        return set(listed) >= set(members)
    return {one.lower() for one in listed} >= {one.lower() for one in members}
