"""Verdicts as text and as JSON. Renders and decides nothing; every word about a finding comes from the catalogue."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from types import EllipsisType
from typing import Any, NamedTuple

from corscope.catalogue import CATALOGUE, FIREFOX_REASONS, NO_ORIGIN, WHAT_WOULD_TELL, fill
from corscope.console import console_message, reason
from corscope.cookies import cookie_names
from corscope.credentials import authentication_scheme
from corscope.findings import agrees
from corscope.fixes import Fix, fix_of
from corscope.headers import Fields, text
from corscope.model import Credentials, Edit, Exchange, Finding, Kind, Observed, Operation, Outcome, Rewrite, Verdict
from corscope.privacy import HIDDEN, plain, shown_url, with_shown_urls, without_user_info

HEADLINE_LENGTH = 60
"""Characters of a comment that mitmproxy's and mitmweb's columns show."""


class Texts(NamedTuple):
    """A finding in words."""

    title: str
    message: str
    """Why it matters."""
    fix: str
    """What to change."""


def texts(finding: Finding) -> Texts:
    """Return a finding in words."""
    return _texts(finding.id, tuple(finding.values.items()))


@lru_cache(maxsize=128)
def _texts(id_: str, values: tuple[tuple[str, str], ...]) -> Texts:
    entry, shown = CATALOGUE[id_], _shown(dict(values))
    fix = NO_ORIGIN if HIDDEN in shown.get("origin", "") else fill(entry.fix, shown)
    return Texts(fill(entry.title, shown), fill(entry.why, shown), fix)


def firefox_reason(finding: Finding) -> str | None:
    """Return the reason that Firefox's console gives, None where it gives none."""
    key = CATALOGUE[finding.id].firefox
    return fill(FIREFOX_REASONS[key], _shown(dict(finding.values))) if key is not None else None


def _shown(values: dict[str, str]) -> dict[str, str]:
    """Return what a finding's texts name, fit to be shown."""
    # A server may send back a whole URL, with its query, where an origin belongs.
    for name in ("location", "value", "origin"):
        if name in values:
            values[name] = shown_url(values[name])
    for name in ("evidence", "who"):
        if name in values:
            values[name] = with_shown_urls(without_user_info(values[name]))
    if "fault" in values:
        fault = CATALOGUE[values["fault"]]
        sentence = reason(fault.id, values, kind="fetch", preflight=False)
        values["console"] = sentence or fill(fault.why, values)
        values["fix"] = fill(fault.fix, values)
        values["missing"] = WHAT_WOULD_TELL
    return values


def headline(verdict: Verdict) -> str:
    """Return cause and verdict in at most 60 characters, the cause first: a column may show no more than that."""
    if verdict.outcome is Outcome.ALLOWED:
        return _ALLOWED[verdict.kind, verdict.credentials]
    word = f"CORS {verdict.outcome}"
    if verdict.reason is None:
        return _shortened(f"{word}: {verdict.note}", HEADLINE_LENGTH)
    cause = _cause(verdict)
    if verdict.kind is Kind.PREFLIGHT and not cause.startswith(("preflight", "blocked")):
        cause += " (preflight)"
    return f"{_shortened(cause, HEADLINE_LENGTH - len(word) - 3)} — {word}"


ROOTS = frozenset(
    (
        "proxy-error",
        "error-page-without-cors",
        "login-redirect",
        "options-not-routed",
        "preflight-forbidden",
        "preflight-needs-authentication",
        "preflight-redirected-to-login",
        "preflight-server-failed",
    )
)
"""Of what a missing Allow-Origin, which browsers name, is a mere symptom: the headline names these."""


def root(reason: str, found: Iterable[str]) -> str:
    """Return which of the findings made matters, by their ids; a CORS failure, the `reason`, may be a mere symptom."""
    symptom = reason in ("allow-origin-missing", "origin-null-not-allowed")
    behind = ROOTS if symptom else ("proxy-error", "login-redirect")
    for id_ in found:
        if id_ in behind:
            return id_
    return reason


def _cause(verdict: Verdict) -> str:
    """Return the title of the finding that matters."""
    if verdict.reason is None:
        return ""
    ids = [finding.id for finding in verdict.findings]
    matters = root(verdict.reason.id, ids)
    return texts(verdict.findings[ids.index(matters)] if matters in ids else verdict.reason).title


_ALLOWED_HOW = {
    Credentials.INCLUDE: " with credentials",
    Credentials.OMIT: " without credentials",
    Credentials.UNKNOWN: ", with credentials or without",
}
_ALLOWED = {
    (kind, credentials): f"CORS allowed{how}{'' if kind is Kind.ACTUAL else f' ({kind})'}"
    for kind in Kind
    for credentials, how in _ALLOWED_HOW.items()
}


def _shortened(line: str, length: int) -> str:
    return line if len(line) <= length else f"{line[: length - 1]}…"


def comment(
    verdict: Verdict,
    rewrite: Rewrite | None = None,
    stack: str = "",
    fix: dict[str, Any] | EllipsisType | None = ...,
) -> str:
    """Return the flow's comment: the headline, then why, the evidence, and the exact header to send.

    `rewrite` is what was done, or could be done, to the response; `stack` names the server software for which there is
    a configuration; `fix` is the verdict's in its JSON form, where that is known already.
    """
    if rewrite is not None and rewrite.applied:
        lines = [_rewritten_headline(verdict, rewrite), "", *changes(rewrite)]
        if stack and fix is not None:
            lines.append(_configuration_line(stack))
        if rewrite.was.outcome is not Outcome.ALLOWED:
            # What to change was said just now.
            lines += ["", "Before: " + "\n".join([*_said(rewrite.was), *_surroundings(rewrite.was)])]
        return "\n".join(lines)
    if rewrite is not None:
        return "\n".join([comment(verdict, stack=stack, fix=fix), "", *changes(rewrite)])
    if verdict.outcome is Outcome.EXEMPT:
        return "\n".join(_said(verdict))
    if fix is ...:
        found = fix_of(verdict)
        fix = fix_json(found) if found is not None else None
    lines = [*_said(verdict), *(fix_lines(fix) if fix is not None else ())]
    if stack and fix is not None:
        lines.append(_configuration_line(stack))
    return "\n".join([*lines, *_surroundings(verdict)])


def _configuration_line(stack: str) -> str:
    return f"Configuration for {stack}: in this flow's CORS view, or with the command cors.fix."


def _said(verdict: Verdict) -> list[str]:
    """Return the headline, the browser's words, and what was found, line by line."""
    lines = [headline(verdict)]
    if verdict.outcome is Outcome.EXEMPT:
        lines += ["", f"Not subject to CORS: {verdict.note}."]
    elif console := console_message(verdict):
        lines += ["", console]
    for finding in verdict.findings:
        lines += _finding_lines(finding)
    return lines + story_lines(verdict)


def _surroundings(verdict: Verdict) -> list[str]:
    """Return what a verdict rests on, and the flows that belong to it, line by line."""
    lines = [_circumstances(verdict)]
    if verdict.preflight:
        lines.append(f"Preflight flow: {verdict.preflight}")
    if verdict.redirected_from:
        lines.append(f"Redirected from flow: {verdict.redirected_from}")
    return lines


@lru_cache(maxsize=128)
def _said_finding(id_: str, severity: str, values: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    said = _texts(id_, values)
    return "", f"{severity.capitalize()}: {said.message}", f"Fix: {said.fix}", f"See {docs(id_)}"


def _finding_lines(finding: Finding) -> tuple[str, ...]:
    return _said_finding(finding.id, finding.severity, tuple(finding.values.items()))


def docs(id_: str) -> str:
    """Return where a finding is documented, from the repository's top."""
    return f"docs/findings.md#{id_}"


def story_lines(verdict: Verdict) -> list[str]:
    """Return what else is wrong in the story of an exchange, a line for each finding of what came before."""
    lines = [
        f"  {part.kind}, flow {part.flow_id}: {finding.severity}: {texts(finding).title} ({finding.id})"
        for part in verdict.story
        for finding in part.findings
    ]
    return ["", "Before it, in the same story:", *lines] if lines else []


def fix_lines(fix: dict[str, Any]) -> list[str]:
    """Return the smallest set of headers with which a story passes, as changes to what was sent; from its JSON form."""
    lines: list[str] = []
    besides = fix.get("with_credentials") or {}
    for part in ("preflight", "actual"):
        further = besides.get(part)
        if fix[part] or further:
            seen = "" if part == "preflight" or fix["actual_seen"] else ", which was never asked for"
            lines += ["", f"Smallest change, {part} answer{seen}:"]
            lines += _fix_part_lines(fix[part]) or ["  nothing if it is sent without credentials"]
        if further:
            lines += ["If it is sent with credentials, besides:", *_fix_part_lines(further)]
    return lines


def _fix_part_lines(edits: list[dict[str, Any]]) -> list[str]:
    """Return what goes and what comes, a line for each."""
    lines: list[str] = []
    for change in edits:
        name = change["header"] or change["operation"].capitalize()
        lines += [f"  - {name}: {value or '(empty)'}" for value in change["before"]]
        lines += [f"  + {name}: {value}" for value in change["after"]]
    return lines


def fix_json(fix: Fix) -> dict[str, Any]:
    """Return a fix as plain JSON values: `policy` is what `corscope.policy.Policy` takes."""
    policy = fix.policy
    return {
        "policy": {
            "origins": list(policy.origins),
            "credentials": policy.credentials,
            "methods": list(policy.methods),
            "request_headers": list(policy.request_headers),
            "exposed_headers": list(policy.exposed_headers),
            "max_age": policy.max_age,
            "path": shown_url(policy.path),
        },
        "preflight": edits_json(fix.preflight),
        "actual": edits_json(fix.actual),
        "actual_seen": fix.actual_seen,
        "with_credentials": {
            "preflight": edits_json(fix.with_credentials.preflight),
            "actual": edits_json(fix.with_credentials.actual),
        },
    }


def _rewritten_headline(verdict: Verdict, rewrite: Rewrite) -> str:
    word = f"rewritten, CORS {verdict.outcome}"
    if rewrite.was.reason is None:
        return word
    return f"{_shortened(_cause(rewrite.was), HEADLINE_LENGTH - len(word) - 3)} — {word}"


def changes(rewrite: Rewrite) -> list[str]:
    """Return what a rewrite changed or would change, header by header, line by line."""
    lines = [f"Note: {note}." for note in rewrite.notes]
    return [*_changes(rewrite.edits, rewrite.applied, rewrite.why_not), *lines]


# Of a server's answers most need the same.
@lru_cache(maxsize=128)
def _changes(edits: tuple[Edit, ...], applied: bool, why_not: str) -> tuple[str, ...]:
    if why_not:
        said = f"Not rewritten: {why_not}."
    elif not edits:
        said = "The response is as the server sent it." if applied else "Nothing to rewrite."
    elif applied:
        said = "Rewritten by corscope, on its way to this browser only. What the server should send:"
    else:
        said = "Would be allowed after this change, which the server should make:"
    return said, *map(_change_line, edits_json(edits))


def _change_line(change: dict[str, Any]) -> str:
    """Return an edit in a line, from its JSON form."""
    before, after = ("; ".join(change[key]) for key in ("before", "after"))
    what = change["header"] or change["operation"].capitalize()
    line = f"  no {what}" if change["operation"] == Operation.REMOVE else f"  {what}: {after or 'none'}"
    line += f"   (was: {before})" if before else ""
    if (change["header"] or "").lower() == "access-control-max-age":
        line += "   (for the experiment)"
    return line + (f"   mends {change['cures']}" if change["cures"] else "")


def edits_json(edits: tuple[Edit, ...]) -> list[dict[str, Any]]:
    """Return edits as plain JSON values, without secrets."""
    return [edit.copy() for edit in _edits_json(edits)]


@lru_cache(maxsize=128)
def _edits_json(edits: tuple[Edit, ...]) -> tuple[dict[str, Any], ...]:
    return tuple(
        [
            {
                "operation": str(edit.operation),
                "header": edit.name or None,
                "before": [_shown_value(edit.name, value) for value in edit.before],
                "after": [_shown_value(edit.name, value) for value in edit.values],
                "cures": edit.cures,
            }
            for edit in edits
        ]
    )


def rewrite_json(rewrite: Rewrite) -> dict[str, Any]:
    """Return a rewrite as plain JSON values, the `rewrite` of a verdict in the JSON Lines report."""
    return {
        "applied": rewrite.applied,
        "verdict_before": str(rewrite.was.outcome),
        "devtools_error_before": rewrite.was.devtools_error,
        "edits": edits_json(rewrite.edits),
        "why_not": rewrite.why_not or None,
        "notes": list(rewrite.notes),
    }


_ATTRIBUTES = frozenset(
    ("domain", "expires", "httponly", "max-age", "partitioned", "path", "priority", "samesite", "secure")
)


_URLS = frozenset(("access-control-allow-origin", "location", "origin", "timing-allow-origin"))


def _shown_value(name: str, value: bytes) -> str:
    """Return a header's value as it may be shown: of a cookie the name and the attributes."""
    lower, shown = name.lower(), text(value)
    if lower == "set-cookie":
        pair, separator, attributes = shown.partition(";")
        cookie, equals, _ = pair.partition("=")
        known = ";".join(map(_shown_attribute, attributes.split(";")))
        return f"{cookie if equals else ''}={HIDDEN}{separator}{known}"
    return shown_url(shown) if lower in _URLS else shown


def _shown_attribute(attribute: str) -> str:
    """Return an attribute of a Set-Cookie as it may be shown, behind which another cookie may follow after a comma."""
    name, equals, value = attribute.partition("=")
    lower = name.strip().lower()
    if lower not in _ATTRIBUTES:
        return HIDDEN if attribute.strip() else attribute
    # Of a date one comma is part.
    odd = "=" in value or value.count(",") > (lower == "expires")
    return f"{name}{equals}{HIDDEN}" if odd else attribute


def _circumstances(verdict: Verdict) -> str:
    """Return what a verdict rests on, line by line, the first one empty."""
    return _said_circumstances(
        verdict.origin, verdict.mode, verdict.credentials, verdict.credentials_evidence, verdict.preflight_reason
    )


# Most exchanges of a page rest on the same.
@lru_cache(maxsize=128)
def _said_circumstances(
    origin: str | None, mode: str, credentials: str, evidence: tuple[str, ...], preflight_reason: str | None
) -> str:
    lines = [f"\nOrigin: {origin or 'none'} · mode: {mode} · credentials: {credentials}"]
    lines += [f"  because: {one}" for one in evidence]
    if preflight_reason:
        lines.append(f"Preflight: {preflight_reason}")
    return "\n".join(lines)


def log_line(verdict: Verdict) -> str:
    """Return the event log's line for a blocked exchange."""
    said = f"{headline(verdict)} · {verdict.method} {shown_url(verdict.url)} · from {verdict.origin or verdict.page}"
    return plain(said)


def unfollowed[V](verdicts: Iterable[V], field: Callable[[V, str], Any] = getattr) -> set[str]:
    """Return the flows of preflights that are neither settled nor followed by their request: time will tell.

    Any other verdict that is not settled waits for evidence, which may never come. `field` reads a field of a verdict:
    `operator.getitem` where they are in their JSON form, which names these alike.
    """
    known = list(verdicts)
    waiting = {
        field(one, "flow_id") for one in known if not field(one, "settled") and field(one, "kind") == Kind.PREFLIGHT
    }
    return waiting - {field(one, "preflight") for one in known}


def as_json(verdict: Verdict, rewrite: Rewrite | None = None, fix: Fix | EllipsisType | None = ...) -> dict[str, Any]:
    """Return a verdict as plain JSON values, the format of the JSON Lines report.

    `rewrite` as in `comment`; `fix` is what `fix_of` returns, where that is known already.
    """
    data = {
        "flow_id": verdict.flow_id,
        "timestamp": verdict.timestamp,
        "method": verdict.method,
        "url": shown_url(verdict.url),
        "status": verdict.status,
        "kind": str(verdict.kind),
        "mode": str(verdict.mode),
        "origin": verdict.origin,
        "page": verdict.page,
        "credentials": str(verdict.credentials),
        "credentials_evidence": list(verdict.credentials_evidence),
        "verdict": str(verdict.outcome),
        "settled": verdict.settled,
        "reason": verdict.reason.id if verdict.reason is not None else None,
        "devtools_error": verdict.devtools_error,
        "failed_parameter": shown_url(verdict.failed_parameter) if verdict.failed_parameter is not None else None,
        "console": console_message(verdict),
        "findings": [
            {
                "id": finding.id,
                "severity": str(finding.severity),
                **texts(finding)._asdict(),
                "fault": finding.values.get("of", CATALOGUE[finding.id].of),
                "docs": docs(finding.id),
            }
            for finding in verdict.findings
        ],
        "cookies_withheld": [
            {"cookies": finding.values["cookies"], "reason": finding.id} for finding in verdict.withheld
        ],
        "story": [
            {
                "flow_id": part.flow_id,
                "kind": str(part.kind),
                "verdict": str(part.outcome),
                "findings": [finding.id for finding in part.findings],
            }
            for part in verdict.story
        ],
        "note": verdict.note or None,
        "story_id": verdict.story_id,
        "preflight": verdict.preflight,
        "preflight_reason": verdict.preflight_reason,
        "redirected_from": verdict.redirected_from,
        "browser": verdict.browser,
    }
    if verdict.exchange is not None and verdict.exchange.observed is not None:
        data["observed"] = _observed_json(verdict, verdict.exchange.observed)
    if fix is ...:
        fix = fix_of(verdict)
    if fix is not None:
        data["fix"] = fix_json(fix)
    if rewrite is not None:
        data["rewrite"] = rewrite_json(rewrite)
    return data


def _observed_json(verdict: Verdict, observed: Observed) -> dict[str, Any]:
    """Return what the browser's own record says, and whether it agrees: None where either leaves it open."""
    return {
        "delivered": observed.delivered,
        "said": observed.said,
        "not_cors": observed.not_cors or None,
        "agrees": agrees(verdict.outcome, observed),
    }


def _observed_lines(observed: dict[str, Any]) -> list[str]:
    """Return what the browser's own record says of an exchange, where it says something, from its JSON form.

    What contradicts the verdict is a finding.
    """
    if observed["agrees"] is False:
        return []
    said = f" ({observed['said']})" if observed["said"] else ""
    if observed["not_cors"]:
        return [f"by its own record the browser stopped it, and not by CORS: {observed['not_cors']}{said}"]
    if observed["delivered"] is None:
        return []
    became = "let the page have it" if observed["delivered"] else "kept it from the page"
    held = ", as this verdict says" if observed["agrees"] else ""
    return [f"by its own record the browser {became}{said}{held}"]


_SHOWN_WHOLE = frozenset(
    (
        "accept", "age", "allow", "cache-control", "content-type", "cross-origin-resource-policy", "etag", "location",
        "max-age", "origin", "priority", "server", "timing-allow-origin", "vary", "via", "x-cache",
        "x-content-type-options",
    )
)  # fmt: skip
_SHOWN_BEGINNINGS = ("access-control-", "sec-fetch-")
_SECRET_HEADERS = frozenset(("authorization", "cookie", "proxy-authorization", "set-cookie"))


_SHOWN_FOR_ARCHIVES = frozenset(("host", "user-agent", "referer"))


def wire_json(exchange: Exchange, *, names: bool = False) -> dict[str, Any]:
    """Return the header lines that matter to CORS as plain JSON values, in the order of the wire, without secrets.

    Lists of [name, value]. Of Cookie the names, of Authorization the scheme where it is a known one. With `names` the
    others as well, by their names, and what else an archive has to tell so that its exchanges are judged alike.
    """
    wire: dict[str, Any] = {
        "request": _shown_lines(exchange.request_headers, names),
        "response": _shown_lines(exchange.response_headers, names),
    }
    if names:
        wire["http_version"] = exchange.http_version
        wire["connection"] = exchange.connection
        wire["seconds"] = exchange.answered - exchange.started
        wire["edited"] = exchange.edited
        wire["proxy_error"] = exchange.proxy_error
    return wire


def _shown_lines(fields: Fields, names: bool) -> list[list[str]]:
    return [list(line) for field in fields if (line := _shown_line(*field, names)) is not None]


# Browsers and servers send most lines again and again.
@lru_cache(maxsize=1024)
def _shown_line(field: bytes, value: bytes, names: bool) -> tuple[str, str] | None:
    name = text(field)
    lower = name.lower()
    if lower == "cookie":
        return name, "; ".join(f"{one}={HIDDEN}" for one in cookie_names(value))
    if lower in ("authorization", "proxy-authorization"):
        return name, f"{authentication_scheme(value) or ''} {HIDDEN}".strip()
    if lower in _SHOWN_WHOLE or lower in _SECRET_HEADERS or lower.startswith(_SHOWN_BEGINNINGS):
        return name, _shown_value(name, value)
    if names:
        return name, shown_url(text(value)) if lower in _SHOWN_FOR_ARCHIVES else HIDDEN
    return None


def explanation(data: dict[str, Any]) -> list[str]:
    """Return a verdict's explanation, line by line, from its JSON form."""
    lines = [f"{data['verdict']}: {data['method']} {data['url']} ({data['status']}, {data['kind']})"]
    if data["console"]:
        lines.append(data["console"])
    for finding in data["findings"]:
        lines += [f"{finding['severity']}: {finding['message']}", f"  fix: {finding['fix']}"]
        if "docs" in finding:
            lines.append(f"  see {finding['docs']}")
    lines.append(f"mode {data['mode']}, origin {data['origin'] or 'none'}, credentials {data['credentials']}")
    lines += [f"  because: {evidence}" for evidence in data["credentials_evidence"]]
    if "observed" in data:
        lines += _observed_lines(data["observed"])
    lines += [f"not sent ({one['reason']}): {one['cookies']}" for one in data.get("cookies_withheld", ())]
    for part in data.get("story", ()):
        if part["findings"]:
            lines.append(f"before it, {part['kind']} {part['flow_id']}: {', '.join(part['findings'])}")
    if "fix" in data:
        lines += fix_lines(data["fix"])
    rewrite = data.get("rewrite")
    if rewrite is not None:
        lines.append(
            f"rewritten, was {rewrite['verdict_before']}; the server should send:"
            if rewrite["applied"]
            else f"not rewritten: {rewrite['why_not']}"
            if rewrite["why_not"]
            else "not rewritten, would be allowed after:"
        )
        lines += [_change_line(edit) for edit in rewrite["edits"]]
        lines += [f"  {note}" for note in rewrite["notes"]]
    for key in ("note", "preflight_reason", "preflight", "redirected_from"):
        if data.get(key):
            lines.append(f"{key.replace('_', ' ')}: {data[key]}")
    return lines
