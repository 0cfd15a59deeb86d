"""The words of Chromium's console for a finding. Knows the catalogue, and nothing of how a fault was found."""

from collections.abc import Mapping

from corscope.catalogue import CATALOGUE, fill
from corscope.model import Kind, Outcome, Verdict
from corscope.privacy import shown_url

_INITIATORS = {
    b"script": "script",
    b"image": "image",
    b"font": "font",
    b"style": "CSS stylesheet",
    b"video": "video",
    b"audio": "audio",
    b"track": "text track",
    b"manifest": "manifest",
}


def initiator(dest: bytes, accept: bytes) -> str:
    """Return what Chromium calls the requester. `fetch` and XMLHttpRequest look alike on the wire: `fetch` is said."""
    if dest in _INITIATORS:
        return _INITIATORS[dest]
    return "resource" if accept == b"text/event-stream" else "fetch"


_WITH_VALUE = frozenset(("allow-origin-multiple", "allow-origin-invalid", "allow-origin-mismatch"))
_ACCESS_CONTROL_CHECK = "Response to preflight request doesn't pass access control check: "
_BARE = frozenset(("allow-methods-unparsable", "allow-headers-unparsable", "method-not-allowed", "header-not-allowed"))


def reason(finding_id: str, values: Mapping[str, str], *, kind: str, preflight: bool) -> str:
    """Return Chromium's sentence after `blocked by CORS policy: `; empty where it prints none."""
    entry = CATALOGUE[values.get("of", finding_id)]
    template, finding_id = entry.console, entry.of or entry.id
    if template is None:
        return ""
    sentence = fill(template, {**values, "value": shown_url(values["value"])} if "value" in values else values)
    if preflight and finding_id not in _BARE:
        sentence = _ACCESS_CONTROL_CHECK + sentence
    if kind == "fetch" and finding_id in _WITH_VALUE:
        sentence += " Have the server send the header with a valid value."
    return sentence


def console_message(verdict: Verdict) -> str | None:
    """Return the line that Chromium's console prints for a blocked exchange, None where it prints none about CORS.

    third_party/blink/renderer/platform/loader/cors/cors_error_string.cc. The URL is shown without secrets.
    """
    if verdict.outcome is not Outcome.BLOCKED:
        return None
    kind = initiator(verdict.dest, verdict.accept)
    finding = verdict.reason
    if finding is None:
        return None
    why = reason(finding.id, finding.values, kind=kind, preflight=verdict.kind is Kind.PREFLIGHT)
    if not why:
        return None
    url, first_url = verdict.url, verdict.first_url or verdict.url
    if finding.id == "redirect-scheme":
        # This one is about the URL that is never asked for.
        url = finding.values["location"]
    where = f"'{shown_url(url)}'"
    if first_url != url:
        where += f" (redirected from '{shown_url(first_url)}')"
    return f"Access to {kind} at {where} from origin '{verdict.page}' has been blocked by CORS policy: {why}"
