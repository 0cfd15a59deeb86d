"""Findings from faults: which entries of the catalogue a judgement names, with their values."""

from corscope.catalogue import CATALOGUE
from corscope.engine import Fault, Faults
from corscope.headers import Headers, extract_tokens, text
from corscope.model import Finding, Severity

SEVERITIES = {entry.id: Severity(entry.severity) for entry in CATALOGUE.values()}


def devtools_error(fault: Fault, *, preflight: bool) -> str | None:
    """Return Chromium's name of a fault, CDP Network.CorsError; None where it is no CORS error to Chromium."""
    entry = CATALOGUE[fault.id]
    return entry.preflight_error if preflight else entry.devtools_error


def fault_findings(faults: Faults, *, proxy_made: bool = False, proxy_error: str = "") -> tuple[Finding, ...]:
    """Return a finding for each fault, in the browser's order, then what the faults are only a symptom of."""
    found = tuple([Finding(fault.id, SEVERITIES[fault.id], fault.values) for fault in faults])
    if proxy_made:
        found += (Finding("proxy-error", Severity.INFO, {"error": f": {proxy_error}" if proxy_error else ""}),)
    return found


def conditional_finding(id_: str, fault: Fault | None, origin: str) -> Finding:
    """Return what is to be said of an exchange that `fault` may block, for all the wire tells."""
    if fault is None:
        return Finding(id_, SEVERITIES[id_], {"origin": origin})
    return Finding(id_, SEVERITIES[id_], {**fault.values, "fault": fault.id})


def preflight_findings(unsafe_names: tuple[bytes, ...], response: Headers) -> tuple[Finding, ...]:
    """Return what is worth saying about a preflight that passes."""
    found: tuple[Finding, ...] = ()
    if b"authorization" in unsafe_names:
        allowed = extract_tokens(response.get(b"access-control-allow-headers")) or ()
        if b"authorization" not in {name.lower() for name in allowed}:
            values = {"headers": ", ".join(map(text, unsafe_names))}
            found += (Finding("authorization-under-wildcard", Severity.WARNING, values),)
    age = response.get(b"access-control-max-age")
    if age:
        digits = age.lstrip(b"+-")
        if not digits.isdigit():
            found += (Finding("max-age-unparsable", Severity.WARNING, {"value": text(age)}),)
        elif int(digits[:12]) > 86400:
            found += (Finding("max-age-above-cap", Severity.INFO, {"value": text(age)}),)
    return found
