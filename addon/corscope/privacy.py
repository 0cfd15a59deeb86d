"""What may be shown of a URL: no user-info, no values of parameters that carry secrets. Names stay."""

import re
from urllib.parse import unquote

_SECRET = re.compile(
    r".*(?:token|bearer|refresh|ticket|secret|passw(?:or)?d|passphrase|passcode|auth|jwt|session|"
    r"sessid|signature|credential|cookie|saml|[cx]srf|code[_-]?verifier|client[_-]?assertion|"
    r"(?:api|access|private|app|application|account|client|consumer|license|master|shared|subscription|user|write)"
    r"[_-]?key|"
    r"(?:reset|verif[a-z]*|invit[a-z]*|confirm[a-z]*|activation|access|login|oob|sms|device|one[_-]?time)[_-]?code).*|"
    r"(?:.*\[)?(?:key|sig|(?:.*[._-])?sid|code|pwd|pw|pass|pin|t?otp|mfa|hash|hmac|sas|assertion|nonce|"
    r"(?:.*[_-])?(?:tok|tkn|tk))"
    r"\]?|x-amz-[a-z-]+",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(r"(?<=[?&;#])([^=?&;#]*)=")
_VALUE = re.compile(r"[^?&;#]*")
_SECRET_VALUE = re.compile(r"[^&;#]*")
_USER_INFO = re.compile(r"^(\s*[a-z][a-z0-9+.-]*:[/\\]*|[/\\]{2,})[^/\\?#]*@|(?<=//)()[^/\\?#&]*@", re.IGNORECASE)

HIDDEN = "…"
"""What stands for a value that is not shown."""

SHOWN = 120
"""Bytes of a header's value that evidence quotes."""


def shown_url(url: str) -> str:
    """Return a URL fit to be shown: secrets' values replaced by `…`, user name and password removed."""
    if "@" in url:
        url = _USER_INFO.sub(lambda found: f"{found[1] or ''}{HIDDEN}@", url)
    if "eyJ" in url:
        url = _JSON_WEB_TOKEN.sub(HIDDEN, url)
    if "=" not in url:
        return url
    shown = ""
    position = 0
    while (named := _NAME.search(url, position)) is not None:
        shown += url[position : named.end()]
        if _SECRET.fullmatch(unquote(named[1])):
            shown, value = shown + HIDDEN, _SECRET_VALUE.match(url, named.end())
        else:
            value = _VALUE.match(url, named.end())
            assert value is not None
            shown += HIDDEN if _encodes_a_secret(value[0]) else value[0]
        assert value is not None
        position = value.end()
    return shown + url[position:]


def _encodes_a_secret(value: str) -> bool:
    """Tell whether a value holds a secret of its own.

    A pair, JSON, or an Authorization; percent-encoded, a few layers deep, a URL too.
    """
    for layer in range(5):
        if _AUTHORIZATION.match(value) or any(map(_SECRET.fullmatch, _INNER_NAME.findall(value))):
            return True
        if layer and (_USER_INFO.search(value) or any(_SECRET.fullmatch(unquote(one)) for one in _NAME.findall(value))):
            return True
        if "%" not in value:
            return False
        value = unquote(value)
    return False


_JSON_WEB_TOKEN = re.compile(r"eyJ[\w-]+(?:\.[\w-]*){2,4}", re.ASCII)
"""Wherever it stands: it begins with `{"` in base64. RFC 7519"""
_AUTHORIZATION = re.compile(r"(?:bearer|basic)(?:\s|\+|%20)+[^\s+%]", re.IGNORECASE)
_INNER_NAME = re.compile(r"""(?:\A|(?<=["']))([^"'=&%:]{1,60})(?:=|["']\s*:)""")
