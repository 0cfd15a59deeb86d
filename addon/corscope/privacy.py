"""What may be shown of a URL: no user-info, no values of parameters that carry secrets. Names stay."""

import re

_SECRET = (
    r"(?:[a-z0-9_.-]*(?:token|secret|passw(?:or)?d|passphrase|api[_-]?key|apikey|access[_-]?key|auth|jwt|session|"
    r"signature|credential|cookie|saml)[a-z0-9_.-]*|key|sig|sid|code|pwd|pass|otp|assertion|nonce|x-amz-[a-z-]+)"
)
_PARAMETER = re.compile(rf"(?<=[?&;#])({_SECRET})=[^&;#]*", re.IGNORECASE)
_USER_INFO = re.compile(r"^([a-z][a-z0-9+.-]*:)?(//)[^/?#@]*@", re.IGNORECASE)

HIDDEN = "…"
"""What stands for a value that is not shown."""


def shown_url(url: str) -> str:
    """Return a URL fit to be shown: secrets' values replaced by `…`, user name and password removed."""
    if "@" in url:
        url = _USER_INFO.sub(rf"\1\2{HIDDEN}@", url)
    if "=" in url:
        url = _PARAMETER.sub(rf"\1={HIDDEN}", url)
    return url
