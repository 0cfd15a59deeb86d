"""Findings from faults: which entries of the catalogue a judgement names, with their values."""

from corscope import console
from corscope.catalogue import CATALOGUE, fill
from corscope.engine import Fault, Faults, Headers
from corscope.headers import extract_tokens, text
from corscope.model import Finding, RequestMode, Severity

_UNDECIDED = (
    "a cookie on the request, another request on its connection, or what the page does next would tell. In the page's "
    "code look for credentials: “include” or withCredentials."
)


def _finding(fault: Fault) -> Finding:
    return Finding(id=fault.id, severity=Severity(CATALOGUE[fault.id].severity), values=fault.values)


def fault_findings(faults: Faults, *, proxy_made: bool = False) -> tuple[Finding, ...]:
    """Return a finding for each fault, in the browser's order, then what the faults are only a symptom of."""
    found = tuple(map(_finding, faults))
    if proxy_made:
        found += (Finding(id="proxy-error", severity=Severity.INFO, values={}),)
    return found


def conditional_findings(
    stored_unknown: bool, mode: RequestMode, faults: Faults, origin: str
) -> tuple[Finding, ...]:
    """Return what is to be said of an exchange whose outcome the wire does not tell."""
    if stored_unknown:
        return (Finding(id="stored-response-unknown", severity=Severity.WARNING, values={"origin": origin}),)
    id_ = "mode-unknown" if mode is RequestMode.UNKNOWN else "credentials-unknown"
    fault = faults[0]
    values = {
        **fault.values,
        "console": console.reason(fault, kind="fetch", preflight=False),
        "fix": fill(CATALOGUE[fault.id].fix, fault.values),
        "missing": _UNDECIDED,
    }
    return (Finding(id=id_, severity=Severity.WARNING, values=values),)


def preflight_findings(unsafe_names: tuple[bytes, ...], response: Headers) -> tuple[Finding, ...]:
    """Return what is worth saying about a preflight that passes."""
    found = []
    allowed = extract_tokens(response.get(b"access-control-allow-headers")) or ()
    if b"authorization" in unsafe_names and b"authorization" not in {name.lower() for name in allowed}:
        values = {"headers": ", ".join(map(text, unsafe_names))}
        found.append(Finding(id="authorization-under-wildcard", severity=Severity.WARNING, values=values))
    age = response.get(b"access-control-max-age")
    if age:
        digits = age.lstrip(b"+-")
        if not digits.isdigit():
            found.append(Finding(id="max-age-unparsable", severity=Severity.WARNING, values={"value": text(age)}))
        elif int(digits[:12]) > 86400:
            found.append(Finding(id="max-age-above-cap", severity=Severity.INFO, values={"value": text(age)}))
    return tuple(found)
