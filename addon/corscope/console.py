"""The words of Chromium's console and DevTools for a fault. Knows the catalogue, and nothing of how a fault was found."""

from corscope.catalogue import CATALOGUE, fill
from corscope.engine import Fault

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


def devtools_error(fault: Fault, *, preflight: bool) -> str | None:
    """Return Chromium's name of a fault, CDP Network.CorsError; None where it is no CORS error to Chromium."""
    entry = CATALOGUE[fault.id]
    return entry.preflight_error if preflight else entry.devtools_error


_WITH_VALUE = frozenset(("allow-origin-multiple", "allow-origin-invalid", "allow-origin-mismatch"))
_ACCESS_CONTROL_CHECK = "Response to preflight request doesn't pass access control check: "
_BARE = frozenset(
    ("allow-methods-unparsable", "allow-headers-unparsable", "method-not-allowed", "header-not-allowed")
)


def reason(fault: Fault, *, kind: str, preflight: bool) -> str:
    """Return Chromium's sentence after `blocked by CORS policy: `; empty where it prints none."""
    template = CATALOGUE[fault.id].console
    if template is None:
        return ""
    sentence = fill(template, fault.values)
    if preflight and fault.id not in _BARE:
        sentence = _ACCESS_CONTROL_CHECK + sentence
    if kind == "fetch" and fault.id in _WITH_VALUE:
        sentence += " Have the server send the header with a valid value."
    return sentence


def sentence(
    fault: Fault, *, kind: str, url: str, first_url: str | None, origin: str, preflight: bool
) -> str | None:
    """Return the line of Chromium's console, None where it prints none about CORS.

    third_party/blink/renderer/platform/loader/cors/cors_error_string.cc
    """
    why = reason(fault, kind=kind, preflight=preflight)
    if not why:
        return None
    redirected = f" (redirected from '{first_url}')" if first_url is not None and first_url != url else ""
    return f"Access to {kind} at '{url}'{redirected} from origin '{origin}' has been blocked by CORS policy: {why}"
