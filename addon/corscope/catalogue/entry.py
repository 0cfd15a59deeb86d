"""What an entry of the catalogue holds."""

from dataclasses import dataclass

SEE_ANSWER = "The response's headers in the flow; by hand: curl -si -H 'Origin: …' URL (curl itself never blocks)."
SEE_PREFLIGHT = (
    "The OPTIONS flow just before; by hand: curl -si -X OPTIONS -H 'Origin: …' -H 'Access-Control-Request-Method: …' "
    "-H 'Access-Control-Request-Headers: …' URL"
)
SEE_COOKIES = (
    "Set-Cookie in the flow that set the cookie, Cookie in this one; in the browser's developer tools: Application "
    "(Firefox: Storage) → Cookies, and the request's Cookies tab with “show filtered out request cookies”."
)
SEE_STORY = "The flows that the text names, side by side."

FETCH = "https://fetch.spec.whatwg.org/#"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One kind of finding."""

    id: str
    severity: str
    title: str
    """What happens, from the browser's point of view: at most 32 characters; mitmweb's column shows about 20."""
    why: str
    fix: str
    """What to change; ends in the exact header to send where there is one."""
    section: str
    """The standard's anchor."""
    devtools_error: str | None = None
    """Chromium's name, CDP Network.CorsError; None where Chromium has none."""
    preflight_error: str | None = None
    """Chromium's name when a preflight response fails in this way."""
    console: str | None = None
    """Chromium's sentence after `… has been blocked by CORS policy: `."""
    firefox: str | None = None
    """Firefox's reason, a key of its security.properties."""
    safari: str | None = None
    """WebKit's sentence, from Source/WebCore/loader/CrossOriginAccessControl.cpp; read there, not measured."""
    see: str = SEE_ANSWER
    """How to see it for oneself."""
    of: str | None = None
    """The fault whose cause this names more closely: browsers say of it what they say of that."""
