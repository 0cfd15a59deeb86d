"""Findings from faults: which entries of the catalogue a judgement names, with their values."""

from collections.abc import Mapping
from functools import lru_cache

from corscope.catalogue import CATALOGUE
from corscope.causes import Answer, cause_of
from corscope.engine import MAX_AGE_CAP, Fault, Faults
from corscope.headers import Headers, extract_tokens, text
from corscope.model import BrowserFamily, Exchange, Finding, Observed, Outcome, Severity

SEVERITIES = {entry.id: Severity(entry.severity) for entry in CATALOGUE.values()}


def finding(id_: str, severity: Severity | None = None, /, **values: str) -> Finding:
    """Return a finding, of the catalogue's severity unless another is given."""
    return Finding(id_, severity or SEVERITIES[id_], values)


def devtools_error(fault: Fault, *, preflight: bool) -> str | None:
    """Return Chromium's name of a fault, CDP Network.CorsError; None where it is no CORS error to Chromium."""
    entry = CATALOGUE[fault.id]
    return entry.preflight_error if preflight else entry.devtools_error


def fault_findings(
    faults: Faults, answer: Answer, *, proxy_made: bool = False, proxy_error: str = ""
) -> tuple[Finding, ...]:
    """Return a finding for each fault, in the browser's order, then what the faults are only a symptom of."""
    found = tuple([_named(fault, *cause_of(fault, answer)) for fault in faults])
    if proxy_made:
        found += (finding("proxy-error", error=f": {proxy_error}" if proxy_error else ""),)
    return found


def _named(fault: Fault, id_: str, values: Mapping[str, str]) -> Finding:
    return Finding(id_, SEVERITIES[id_], _of(fault, id_, values))


def _of(fault: Fault, cause: str, values: Mapping[str, str]) -> Mapping[str, str]:
    """Return values that name the fault where the same cause has a fault of its own: browsers tell the two apart."""
    return values if (CATALOGUE[cause].of or cause) == fault.id else {**values, "of": fault.id}


def conditional_finding(id_: str, fault: Fault, answer: Answer) -> Finding:
    """Return what is to be said of an exchange that `fault` may block, for all the wire tells."""
    cause, values = cause_of(fault, answer)
    return Finding(id_, SEVERITIES[id_], {**_of(fault, cause, values), "fault": cause})


def agrees(outcome: Outcome, observed: Observed) -> bool | None:
    """Tell whether a browser's own record says what a verdict says; None where either leaves it open."""
    if observed.not_cors and outcome is Outcome.BLOCKED:
        return False
    if observed.delivered is None or outcome not in (Outcome.ALLOWED, Outcome.BLOCKED):
        return None
    return (outcome is Outcome.ALLOWED) == observed.delivered


def record_findings(exchange: Exchange, outcome: Outcome) -> tuple[Finding, ...]:
    """Return what is to be said where the browser's own record contradicts a verdict."""
    observed = exchange.observed
    if observed is None or agrees(outcome, observed) is not False:
        return ()
    if observed.delivered:
        did = "let the page have this answer"
    elif observed.not_cors:
        did = f"stopped this for a reason that is not CORS, {observed.not_cors}"
    else:
        did = "kept this answer from the page"
    said = f" ({observed.said})" if observed.said else ""
    return (finding("browser-disagrees", did=did, record=said, verdict=str(outcome)),)


def preflight_findings(
    unsafe_names: tuple[bytes, ...], response: Headers, family: BrowserFamily
) -> tuple[Finding, ...]:
    """Return what is worth saying about a preflight that passes."""
    found = max_age_findings(response, family)
    if b"authorization" in unsafe_names:
        allowed = extract_tokens(response.get(b"access-control-allow-headers")) or ()
        if b"authorization" not in {name.lower() for name in allowed}:
            # What else the star covers stays allowed.
            listed = ", ".join(map(text, (*allowed, b"authorization")))
            found = (finding("authorization-under-wildcard", headers=listed), *found)
    return found


def max_age_findings(response: Headers, family: BrowserFamily) -> tuple[Finding, ...]:
    """Return what is wrong with how long a preflight may be kept, whether it passes or not."""
    age = response.get(b"access-control-max-age")
    return _max_age_findings(age, family) if age else ()


@lru_cache(maxsize=32)
def _max_age_findings(age: bytes, family: BrowserFamily) -> tuple[Finding, ...]:
    digits = age.lstrip(b"+-")
    if not digits.isdigit():
        return (finding("max-age-unparsable", value=text(age)),)
    return (finding("max-age-above-cap", value=text(age)),) if int(digits[:12]) > MAX_AGE_CAP[family] else ()
