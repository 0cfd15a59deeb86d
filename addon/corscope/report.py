"""Verdicts as text and as JSON. Renders and decides nothing; every word about a finding comes from the catalogue."""

from functools import lru_cache
from typing import Any, NamedTuple

from corscope.catalogue import CATALOGUE, FIREFOX_REASONS, fill
from corscope.console import console_message, reason
from corscope.model import Credentials, Finding, Kind, Outcome, Verdict
from corscope.privacy import shown_url

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
    return Texts(fill(entry.title, dict(values)), fill(entry.why, shown), fill(entry.fix, shown))


def firefox_reason(finding: Finding) -> str | None:
    """Return the reason that Firefox's console gives, None where it gives none."""
    key = CATALOGUE[finding.id].firefox
    return fill(FIREFOX_REASONS[key], finding.values) if key is not None else None


_WHAT_WOULD_TELL = (
    "a cookie on the request, another request on its connection, or what the page does next would tell. In the page's "
    "code look for credentials: “include” or withCredentials."
)


def _shown(values: dict[str, str]) -> dict[str, str]:
    """Return what a finding's texts name, fit to be shown."""
    if "location" in values:
        values["location"] = shown_url(values["location"])
    if "fault" in values:
        fault = CATALOGUE[values["fault"]]
        sentence = reason(fault.id, values, kind="fetch", preflight=False)
        values["console"] = sentence or fill(fault.why, values)
        values["fix"] = fill(fault.fix, values)
        values["missing"] = _WHAT_WOULD_TELL
    return values


def headline(verdict: Verdict) -> str:
    """Return cause and verdict in at most 60 characters, the cause first: a column may show no more than that."""
    word = f"CORS {verdict.outcome.value}"
    if verdict.outcome is Outcome.ALLOWED:
        word += _ALLOWED_HOW[verdict.credentials]
        return word if verdict.kind is Kind.ACTUAL else f"{word} ({verdict.kind.value})"
    if not verdict.findings:
        return _shortened(f"{word}: {verdict.note}", HEADLINE_LENGTH)
    cause = texts(verdict.findings[0]).title
    if verdict.kind is Kind.PREFLIGHT and not cause.startswith(("preflight", "blocked")):
        cause += " (preflight)"
    return f"{_shortened(cause, HEADLINE_LENGTH - len(word) - 3)} — {word}"


_ALLOWED_HOW = {
    Credentials.INCLUDE: " with credentials",
    Credentials.OMIT: " without credentials",
    Credentials.UNKNOWN: ", with credentials or without",
}


def _shortened(line: str, length: int) -> str:
    return line if len(line) <= length else f"{line[: length - 1]}…"


def comment(verdict: Verdict) -> str:
    """Return the flow's comment: the headline, then why, the evidence, and the exact header to send."""
    lines = [headline(verdict)]
    if verdict.outcome is Outcome.ALLOWED and not verdict.findings:
        return "\n".join(lines + _circumstances(verdict))
    if verdict.outcome is Outcome.EXEMPT:
        lines += ["", f"Not subject to CORS: {verdict.note}."]
        for finding in verdict.findings:
            said = texts(finding)
            lines += ["", said.message, f"Fix: {said.fix}"]
        return "\n".join(lines)
    console = console_message(verdict)
    if console:
        lines += ["", console]
    for finding in verdict.findings:
        said = texts(finding)
        lines += ["", f"{finding.severity.value.capitalize()}: {said.message}", f"Fix: {said.fix}"]
    return "\n".join(lines + _circumstances(verdict))


def _circumstances(verdict: Verdict) -> list[str]:
    """Return what a verdict rests on, line by line, the first one empty."""
    lines = ["", f"Origin: {verdict.origin} · mode: {verdict.mode} · credentials: {verdict.credentials}"]
    for evidence in verdict.credentials_evidence:
        lines.append(f"  because: {evidence}")
    if verdict.preflight_reason:
        lines.append(f"Preflight: {verdict.preflight_reason}")
    if verdict.preflight:
        lines.append(f"Preflight flow: {verdict.preflight}")
    if verdict.redirected_from:
        lines.append(f"Redirected from flow: {verdict.redirected_from}")
    return lines


def log_line(verdict: Verdict) -> str:
    """Return the event log's line for a blocked exchange."""
    return f"{headline(verdict)} · {verdict.method} {shown_url(verdict.url)} · from {verdict.origin}"


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as plain JSON values, the format of the JSON Lines report."""
    return {
        "flow_id": verdict.flow_id,
        "timestamp": verdict.timestamp,
        "method": verdict.method,
        "url": shown_url(verdict.url),
        "status": verdict.status,
        "kind": str(verdict.kind),
        "mode": str(verdict.mode),
        "origin": verdict.origin,
        "credentials": str(verdict.credentials),
        "credentials_evidence": list(verdict.credentials_evidence),
        "verdict": str(verdict.outcome),
        "settled": verdict.settled,
        "devtools_error": verdict.devtools_error,
        "failed_parameter": verdict.failed_parameter,
        "console": console_message(verdict),
        "findings": [
            {"id": finding.id, "severity": str(finding.severity), **texts(finding)._asdict()}
            for finding in verdict.findings
        ],
        "note": verdict.note or None,
        "preflight": verdict.preflight,
        "preflight_reason": verdict.preflight_reason,
        "redirected_from": verdict.redirected_from,
        "browser": verdict.browser,
    }


def explanation(data: dict[str, Any]) -> list[str]:
    """Return a verdict's explanation, line by line, from its JSON form."""
    lines = [f"{data['verdict']}: {data['method']} {data['url']} ({data['status']}, {data['kind']})"]
    if data["console"]:
        lines.append(data["console"])
    for finding in data["findings"]:
        lines += [f"{finding['severity']}: {finding['message']}", f"  fix: {finding['fix']}"]
    lines.append(f"mode {data['mode']}, origin {data['origin']}, credentials {data['credentials']}")
    lines += [f"  because: {evidence}" for evidence in data["credentials_evidence"]]
    for key in ("note", "preflight_reason", "preflight", "redirected_from"):
        if data.get(key):
            lines.append(f"{key.replace('_', ' ')}: {data[key]}")
    return lines
