"""The catalogue of findings: all wording lives here, each entry under a permanent id. Rules say only an id and values.

Adding a finding is adding an entry here and a case in tests/cases: see "Adding a finding" in the README.
Braces in a text are filled from the finding's values. Sentences of browsers are quoted verbatim, from Chromium's
third_party/blink/renderer/platform/loader/cors/cors_error_string.cc and Firefox's
dom/locales/en-US/chrome/security/security.properties.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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


_ENTRIES = (
    Entry(
        id="allow-origin-missing",
        severity="error",
        title="no Allow-Origin",
        why="The response does not say that {origin} may read it, so the browser keeps it from the page.",
        fix="Send: Access-Control-Allow-Origin: {origin}",
        section=FETCH + "concept-cors-check",
        devtools_error="MissingAllowOriginHeader",
        preflight_error="PreflightMissingAllowOriginHeader",
        console="No 'Access-Control-Allow-Origin' header is present on the requested resource.",
        firefox="CORSMissingAllowOrigin2",
    ),
    Entry(
        id="allow-origin-wildcard-with-credentials",
        severity="error",
        title="* with credentials",
        why="The request carries credentials (mode include), and for those `*` is never accepted, whatever "
        "Access-Control-Allow-Credentials says.",
        fix="Send the origin itself: Access-Control-Allow-Origin: {origin}, with Access-Control-Allow-Credentials: "
        "true and Vary: Origin. Or leave credentials out in the client, if the API does not need them.",
        section=FETCH + "concept-cors-check",
        devtools_error="WildcardOriginNotAllowed",
        preflight_error="PreflightWildcardOriginNotAllowed",
        console="The value of the 'Access-Control-Allow-Origin' header in the response must not be the wildcard '*' "
        "when the request's credentials mode is 'include'.",
        firefox="CORSNotSupportingCredentials",
    ),
    Entry(
        id="allow-origin-multiple",
        severity="error",
        title="several Allow-Origins",
        why="Access-Control-Allow-Origin is compared byte by byte with one origin; “{value}” is several values, from "
        "repeated headers or from a list. Often two layers (a proxy and the application) each add the header.",
        fix="Send exactly one: Access-Control-Allow-Origin: {origin}, with Vary: Origin",
        section=FETCH + "concept-cors-check",
        devtools_error="MultipleAllowOriginValues",
        preflight_error="PreflightMultipleAllowOriginValues",
        console="The 'Access-Control-Allow-Origin' header contains multiple values '{value}', but only one is allowed.",
        firefox="CORSMultipleAllowOriginNotAllowed",
    ),
    Entry(
        id="allow-origin-invalid",
        severity="error",
        title="invalid Allow-Origin",
        why="“{value}” is neither `*` nor an origin (scheme, host and port if it is not the default one).",
        fix="Send: Access-Control-Allow-Origin: {origin}",
        section=FETCH + "concept-cors-check",
        devtools_error="InvalidAllowOriginValue",
        preflight_error="PreflightInvalidAllowOriginValue",
        console="The 'Access-Control-Allow-Origin' header contains the invalid value '{value}'.",
        firefox="CORSAllowOriginNotMatchingOrigin",
    ),
    Entry(
        id="allow-origin-mismatch",
        severity="error",
        title="other Allow-Origin",
        why="The request comes from {origin}, the response allows “{value}”; the two must be equal byte by byte.",
        fix="Send: Access-Control-Allow-Origin: {origin}, with Vary: Origin",
        section=FETCH + "concept-cors-check",
        devtools_error="AllowOriginMismatch",
        preflight_error="PreflightAllowOriginMismatch",
        console="The 'Access-Control-Allow-Origin' header has a value '{value}' that is not equal to the supplied "
        "origin.",
        firefox="CORSAllowOriginNotMatchingOrigin",
    ),
    Entry(
        id="allow-credentials-not-true",
        severity="error",
        title="no Allow-Credentials: true",
        why="The request carries credentials (mode include), and Access-Control-Allow-Credentials is {said} where "
        "only the four letters `true` will do, once and in lower case.",
        fix="Send: Access-Control-Allow-Credentials: true",
        section=FETCH + "concept-cors-check",
        devtools_error="InvalidAllowCredentials",
        preflight_error="PreflightInvalidAllowCredentials",
        console="The value of the 'Access-Control-Allow-Credentials' header in the response is '{value}' which must "
        "be 'true' when the request's credentials mode is 'include'.",
        firefox="CORSMissingAllowCredentials",
    ),
    Entry(
        id="preflight-redirected",
        severity="error",
        title="preflight redirected",
        why="The OPTIONS request was answered with {status} and a Location; browsers never follow one there.",
        fix="Answer OPTIONS on this very URL with 204 and the CORS headers, before any redirect (to https, to a login, "
        "to a trailing slash) takes place; or let the client ask for the final URL.",
        section=FETCH + "cors-preflight-fetch",
        devtools_error="PreflightDisallowedRedirect",
        preflight_error="PreflightDisallowedRedirect",
        console="Redirect is not allowed for a preflight request.",
        firefox="CORSExternalRedirectNotAllowed",
    ),
    Entry(
        id="preflight-status",
        severity="error",
        title="preflight answered {status}",
        why="A preflight must be answered with a status from 200 to 299; this one was {status}.",
        fix="Answer OPTIONS with 204 before authentication and routing have their say.",
        section=FETCH + "cors-preflight-fetch",
        devtools_error="PreflightInvalidStatus",
        preflight_error="PreflightInvalidStatus",
        console="It does not have HTTP ok status.",
        firefox="CORSPreflightDidNotSucceed3",
    ),
    Entry(
        id="allow-methods-unparsable",
        severity="error",
        title="bad Allow-Methods",
        why="“{value}” is not a list of methods separated by commas, and one bad member fails the whole preflight, "
        "even where the method would not have needed permission.",
        fix="Send: Access-Control-Allow-Methods: {method}",
        section=FETCH + "cors-preflight-fetch",
        devtools_error="InvalidAllowMethodsPreflightResponse",
        preflight_error="InvalidAllowMethodsPreflightResponse",
        console="Cannot parse Access-Control-Allow-Methods response header field in preflight response.",
        firefox="CORSInvalidAllowMethod",
    ),
    Entry(
        id="allow-headers-unparsable",
        severity="error",
        title="bad Allow-Headers",
        why="“{value}” is not a list of header names separated by commas, and one bad member fails the whole "
        "preflight.",
        fix="Send: Access-Control-Allow-Headers: {headers}",
        section=FETCH + "cors-preflight-fetch",
        devtools_error="InvalidAllowHeadersPreflightResponse",
        preflight_error="InvalidAllowHeadersPreflightResponse",
        console="Cannot parse Access-Control-Allow-Headers response header field in preflight response.",
        firefox="CORSInvalidAllowHeader",
    ),
    Entry(
        id="method-not-allowed",
        severity="error",
        title="{method} not allowed",
        why="Access-Control-Allow-Methods is {said} and does not list {method}. Methods are compared with their "
        "case, and `*` is a literal name when the request carries credentials.",
        fix="Send: Access-Control-Allow-Methods: {methods}",
        section=FETCH + "cors-preflight-fetch",
        devtools_error="MethodDisallowedByPreflightResponse",
        preflight_error="MethodDisallowedByPreflightResponse",
        console="Method {method} is not allowed by Access-Control-Allow-Methods in preflight response.",
        firefox="CORSMethodNotFound",
    ),
    Entry(
        id="header-not-allowed",
        severity="error",
        title="{header} not allowed",
        why="Access-Control-Allow-Headers is {said} and does not list {header}. `*` is a literal name when the "
        "request carries credentials.",
        fix="Send: Access-Control-Allow-Headers: {headers}",
        section=FETCH + "cors-preflight-fetch",
        devtools_error="HeaderDisallowedByPreflightResponse",
        preflight_error="HeaderDisallowedByPreflightResponse",
        console="Request header field {header} is not allowed by Access-Control-Allow-Headers in preflight response.",
        firefox="CORSMissingAllowHeaderFromPreflight2",
    ),
    Entry(
        id="redirect-with-user-info",
        severity="error",
        title="redirect with user name",
        why="The Location names a user or a password, which a cross-origin redirect must not.",
        fix="Send a Location without user name and password.",
        section=FETCH + "http-redirect-fetch",
        devtools_error="RedirectContainsCredentials",
        console="Redirect location '' contains a username and password, which is disallowed for cross-origin requests.",
        firefox="CORSDidNotSucceed2",
    ),
    Entry(
        id="redirect-scheme",
        severity="error",
        title="redirect to {scheme}: URL",
        why="A fetch follows redirects to http and https only. Browsers report a network error, not a CORS error.",
        fix="Redirect to an https URL, or answer with the data itself.",
        section=FETCH + "http-redirect-fetch",
    ),
    Entry(
        id="redirect-location",
        severity="error",
        title="Location is no URL",
        why="“{location}” cannot be parsed as a URL. Browsers report a network error, not a CORS error.",
        fix="Send a valid URL in Location.",
        section=FETCH + "concept-response-location-url",
    ),
    Entry(
        id="redirect-mixed-content",
        severity="error",
        title="redirect to http",
        why="The page is secure and the Location {location} is not: browsers block it as mixed content. This is not "
        "CORS, though it looks like it.",
        fix="Send a Location that begins with https://",
        section="https://w3c.github.io/webappsec-mixed-content/#should-block-fetch",
    ),
    Entry(
        id="redirect-limit",
        severity="error",
        title="over 20 redirects",
        why="Browsers follow 20 redirects, and this is number {count}. They report a network error.",
        fix="Look for a loop in the redirects: often a cookie or a trailing slash that is never accepted.",
        section=FETCH + "http-redirect-fetch",
    ),
    Entry(
        id="credentials-unknown",
        severity="warning",
        title="blocked if with credentials",
        why="Without credentials the page gets this response; with credentials it would be blocked: {console} "
        "Nothing on the wire tells which it was: {missing}",
        fix="{fix}",
        section=FETCH + "concept-cors-check",
    ),
    Entry(
        id="other-fault-with-credentials",
        severity="info",
        title="another fault with credentials",
        why="It is blocked either way. If it was sent with credentials, which nothing on the wire tells, the browser "
        "names this fault first: {console}",
        fix="{fix}",
        section=FETCH + "concept-cors-check",
    ),
    Entry(
        id="mode-unknown",
        severity="warning",
        title="blocked if in mode cors",
        why="This POST could come from a form, a beacon or a no-cors fetch, whose answers no page reads, or from a "
        "script that wants the answer: then it would be blocked: {console} Over plain http browsers do not say which.",
        fix="{fix}",
        section=FETCH + "concept-request-mode",
    ),
    Entry(
        id="stored-response-unknown",
        severity="warning",
        title="depends on stored response",
        why="The answer is 304 Not Modified and does not repeat all CORS headers, so the browser checks those of the "
        "response it stored, which is not in this traffic.",
        fix="Send the CORS headers on 304 answers too: Access-Control-Allow-Origin: {origin}",
        section=FETCH + "http-network-or-cache-fetch",
    ),
    Entry(
        id="proxy-error",
        severity="info",
        title="the server was not reached",
        why="This answer comes from the proxy itself, because the server gave none{error}. The browser's CORS message "
        "is only a symptom.",
        fix="Look at the connection to the server first.",
        section="https://fetch.spec.whatwg.org/#concept-network-error",
    ),
    Entry(
        id="authorization-under-wildcard",
        severity="warning",
        title="Authorization allowed by * alone",
        why="Chromium and Firefox let `*` in Access-Control-Allow-Headers cover Authorization, the standard does not; "
        "they have announced to follow it.",
        fix="Send: Access-Control-Allow-Headers: {headers}",
        section=FETCH + "cors-preflight-fetch",
    ),
    Entry(
        id="max-age-above-cap",
        severity="info",
        title="Max-Age above the limit",
        why="Access-Control-Max-Age is {value} s; Chromium keeps a preflight for 7200 s at most, Firefox for 86400 s.",
        fix="Nothing needs to change; do not count on more than the limit.",
        section=FETCH + "cors-preflight-fetch",
    ),
    Entry(
        id="max-age-unparsable",
        severity="warning",
        title="Max-Age is not a number",
        why="Access-Control-Max-Age is “{value}”: Chromium falls back to 5 seconds, Firefox does not keep the "
        "preflight at all.",
        fix="Send a whole number of seconds: Access-Control-Max-Age: 600",
        section=FETCH + "cors-preflight-fetch",
    ),
)

CATALOGUE: Mapping[str, Entry] = {entry.id: entry for entry in _ENTRIES}
"""Every entry by its id."""

FIREFOX_REASONS: Mapping[str, str] = {
    "CORSDidNotSucceed2": "CORS request did not succeed",
    "CORSExternalRedirectNotAllowed": "CORS request external redirect not allowed",
    "CORSMissingAllowOrigin2": "CORS header ‘Access-Control-Allow-Origin’ missing",
    "CORSMultipleAllowOriginNotAllowed": "Multiple CORS header ‘Access-Control-Allow-Origin’ not allowed",
    "CORSAllowOriginNotMatchingOrigin": "CORS header ‘Access-Control-Allow-Origin’ does not match ‘{value}’",
    "CORSNotSupportingCredentials": "Credential is not supported if the CORS header ‘Access-Control-Allow-Origin’ is "
    "‘*’",
    "CORSMissingAllowCredentials": "expected ‘true’ in CORS header ‘Access-Control-Allow-Credentials’",
    "CORSPreflightDidNotSucceed3": "CORS preflight response did not succeed",
    "CORSMethodNotFound": "Did not find method in CORS header ‘Access-Control-Allow-Methods’",
    "CORSInvalidAllowMethod": "invalid token ‘{token}’ in CORS header ‘Access-Control-Allow-Methods’",
    "CORSInvalidAllowHeader": "invalid token ‘{token}’ in CORS header ‘Access-Control-Allow-Headers’",
    "CORSMissingAllowHeaderFromPreflight2": "header ‘{header}’ is not allowed according to header "
    "‘Access-Control-Allow-Headers’ from CORS preflight response",
}
"""Firefox's reason texts by their key."""


def fill(template: str, values: Mapping[str, str]) -> str:
    """Fill a text of the catalogue; a KeyError names the value that a rule forgot."""
    return template.format_map(values)
