"""The catalogue of findings: all wording lives here, each entry under a permanent id. Rules say only an id and values.

Adding a finding is adding an entry here and a case in tests/cases: see "Adding a finding" in the README.
Braces in a text are filled from the finding's values. Sentences of browsers are quoted verbatim, from Chromium's
third_party/blink/renderer/platform/loader/cors/cors_error_string.cc and Firefox's
dom/locales/en-US/chrome/security/security.properties.
"""

from collections.abc import Mapping

from corscope.catalogue.causes import CAUSES
from corscope.catalogue.entry import Entry
from corscope.catalogue.faults import FAULTS
from corscope.catalogue.hints import HINTS

CATALOGUE: Mapping[str, Entry] = {entry.id: entry for entry in (*FAULTS, *CAUSES, *HINTS)}
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

WHAT_WOULD_TELL = (
    "a cookie on the request, another request on its connection, or what the page does next would tell. In the page's "
    "code look for credentials: “include” or withCredentials."
)
"""What is missing where nothing says whether a request was sent with credentials."""

NO_ORIGIN = "Send an Origin that is scheme, host and port alone, as browsers do: no other can be allowed."
"""The remedy of all that is wrong with an Origin that no browser sends."""


def fill(template: str, values: Mapping[str, str]) -> str:
    """Fill a text of the catalogue; a KeyError names the value that a rule forgot."""
    return template.format_map(values)
