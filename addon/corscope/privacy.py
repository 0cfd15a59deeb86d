"""What may be shown of what was captured.

Of a URL or a sentence no user-info, and no values of parameters that carry secrets; names stay. Of any text one line,
with nothing that steers a terminal or a parser, and nothing that can't be encoded.
"""

import re
from functools import lru_cache
from urllib.parse import unquote

_SECRET = re.compile(
    r".*(?:token|bearer|refresh|ticket|secret|passw(?:or)?d|passphrase|passcode|auth|jwt|session|"
    r"sessid|signature|credential|cookie|saml|[cx]srf|code[_-]?verifier|client[_-]?assertion|"
    r"(?:api|access|admin|private|app|application|account|client|consumer|encryption|license|master|service|shared|"
    r"signing|stream|subscription|user|write)[_-]?key|"
    r"(?:reset|verif[a-z]*|invit[a-z]*|confirm[a-z]*|activation|access|login|oob|sms|device|one[_-]?time|t?otp|[m2]fa|"
    r"pin|security|recovery|backup|user)[_-]?code|"
    r"card[_-]?number|user[_-]?pass|sess[_-]?(?:id|data)).*|"
    r"(?:.*\[)?(?:key|(?:.*[._-])?sig|urlsig|sign|(?:.*[._-])?sid|ssid|sess|code|.*p(?:wd|swd?)\d*|(?:.*[._-])?pw|"
    r"(?:.*[._-])?pass\d*|pat|pin|t?otp|otac|mfa|hash|hmac|sas|assertion|"
    r".*nonce|(?:.*[._-])?creds?|hdn(?:ts|ea|tl)|cvv2?|cvc2?|(?:.*[_-])?(?:tok|tkn|tk))"
    r"\]?(?:\[\d*\])?|x-amz-[a-z-]+",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(r"(?<=[?&;#])([^=?&;#]*)=")
_VALUE = re.compile(r"[^?&;#]*")
_SECRET_VALUE, _SECRET_VALUE_IN_PATH = re.compile(r"[^&#]*"), re.compile(r"[^&;#]*")
"""In a query `;` ends no parameter to browsers."""
_NAMELESS = re.compile(r"(?<=[?&;#])[^=?&;#]*%[^=?&;#]*(?=[&;#]|\Z)")
_SEGMENT = re.compile(r"[^/?#]+")
_BEYOND_PATH = re.compile(r"[?#]|\Z")
_USER_INFO = re.compile(r"^(\s*[a-z][a-z0-9+.-]*:[/\\]*|[/\\]{2,})[^/\\?#]*@|(?<=//)()[^/\\?#&]*@", re.IGNORECASE)

_TAB_OR_NEWLINE = re.compile(r"[\t\r\n]")

HIDDEN = "…"
"""What stands for a value that is not shown."""

SHOWN = 120
"""Bytes of a header's value that evidence quotes."""


def shown_url(url: str) -> str:
    """Return a URL fit to be shown: secrets' values replaced by `…`, user name and password removed."""
    if "@" in url:
        # Browsers leave these out, wherever they stand: https://url.spec.whatwg.org/#concept-basic-url-parser
        url = without_user_info(_TAB_OR_NEWLINE.sub("", url))
    if "eyJ" in url:
        url = _DOTTED.sub(_without_token, url)
    if "%" not in url and "=" not in url:
        return url
    path, rest = _parted(url)
    path = _SEGMENT.sub(_shown_segment, path)
    url = path + _NAMELESS.sub(lambda part: HIDDEN if _encodes_a_secret(part[0]) else part[0], rest)
    shown = ""
    position = 0
    while (named := _NAME.search(url, position)) is not None:
        shown += url[position : named.end()]
        if _is_secret(named[1]):
            ends = _SECRET_VALUE if named.start() > len(path) else _SECRET_VALUE_IN_PATH
            shown, value = shown + HIDDEN, ends.match(url, named.end())
        else:
            value = _VALUE.match(url, named.end())
            assert value is not None
            shown += HIDDEN if _encodes_a_secret(value[0]) else value[0]
        assert value is not None
        position = value.end()
    return shown + url[position:]


def _parted(url: str) -> tuple[str, str]:
    """Return a URL up to the end of its path, and its query and fragment."""
    found = _BEYOND_PATH.search(url)
    assert found is not None
    return url[: found.start()], url[found.start() :]


def _shown_segment(segment: re.Match[str]) -> str:
    """Return a part of a path fit to be shown: one that begins `token=`, or is a URL that names a user."""
    if "%40" in segment[0] and _USER_INFO.search(unquote(segment[0])):
        return HIDDEN
    first, mark, rest = segment[0].partition(";")
    name, equals, value = first.partition("=")
    hidden = equals and (_is_secret(name) or _encodes_a_secret(value))
    return f"{name}={HIDDEN}{mark}{rest}" if hidden else segment[0]


# Controls, halves of surrogate pairs, what XML 1.0 refuses, and what turns the direction of writing around.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def plain(text: str) -> str:
    """Return a text in one line; each character that has no place in a report is replaced by U+FFFD."""
    return _UNFIT.sub("\ufffd", text)


def without_user_info(said: str) -> str:
    """Return a URL, or a sentence with URLs, without the names and passwords of users."""
    return _USER_INFO.sub(lambda found: f"{found[1] or ''}{HIDDEN}@", said) if "@" in said else said


@lru_cache(maxsize=128)
def shown_origin(origin: bytes) -> str:
    """Return an Origin fit to be shown: no browser sends a user's name in it, or a whole URL, others might."""
    return shown_url(origin.decode("latin-1"))


def with_shown_urls(said: str) -> str:
    """Return a sentence with its URLs fit to be shown."""
    return _URL.sub(lambda url: shown_url(url[0]), said)


def shown_text(said: str) -> str:
    """Return a sentence of somebody else's fit to be shown, such as mitmproxy's on what went wrong.

    Of bytes that it quotes nothing is shown, nor of a header: they are what came over the wire.
    """
    said = _QUOTED_BYTES.sub(f"“{HIDDEN}”", said[:LONGEST_TEXT])
    said = _QUOTED_HEADER.sub(rf"\1“{HIDDEN}”", said)
    said = _DOTTED.sub(_without_token, with_shown_urls(said))
    said = _CREDENTIALS.sub(rf"\1 {HIDDEN}", said)
    return _PAIR.sub(lambda pair: f"{pair[1]}={HIDDEN}" if _is_secret(pair[1]) else pair[0], said)


def _encodes_a_secret(value: str) -> bool:
    """Tell whether a value holds a secret of its own.

    A pair, JSON, a header, an Authorization or a token; percent-encoded, a few layers deep, a URL too.
    """
    for layer in range(5):
        if _AUTHORIZATION.match(value) or any(map(_is_secret, _INNER_NAME.findall(value))):
            return True
        if any(map(_is_secret, _HEADER_NAME.findall(value))) or (layer and _DOTTED.sub(_without_token, value) != value):
            return True
        if layer and (_USER_INFO.search(value) or any(map(_is_secret, _NAME.findall(value)))):
            return True
        if "%" not in value:
            return False
        value = unquote(value)
    return False


def _is_secret(name: str) -> bool:
    """Tell by its name, percent-encoded perhaps, a parameter whose value is not to be shown.

    Of a name that nobody would choose nothing is known; to look through it would take long.
    """
    return len(name) > LONGEST_NAME or _SECRET.fullmatch(unquote(unquote(name))) is not None


LONGEST_NAME = 250
"""Characters."""

# What is not matched from its beginning is not tried from its middle, so that the time is that of one pass.
_DOTTED = re.compile(r"(?<![\w-])[\w-]++(?:\.[\w-]*+){2,}+", re.ASCII)


def _without_token(dotted: re.Match[str]) -> str:
    """Leave out a JSON Web Token, RFC 7519, wherever it stands: it begins with `{"` in base64, and has dots."""
    before, begins, token = dotted[0].partition("eyJ")
    is_token = begins and not token.startswith(".") and token.count(".") >= 2
    return f"{before}{HIDDEN}" if is_token else dotted[0]


_AUTHORIZATION = re.compile(r"(?:bearer|basic)(?:\s|\+|%20)+[^\s+%]", re.IGNORECASE)
_INNER_NAME = re.compile(r"""(?:\A|(?<=["']))([^"'=&%:]{1,60})(?:=|["']\s*[:,])""")
# As in `Authorization:…`, or `login(password:…)`.
_HEADER_NAME = re.compile(r"""(?:\A|(?<=[\s"'+,;{(\[]))([A-Za-z][\w.-]{0,60}):(?!//)""")
_QUOTED_BYTES = re.compile(r"\bb(?:'(?:[^'\\]|\\.)*(?:'|$)|\"(?:[^\"\\]|\\.)*(?:\"|$))", re.DOTALL)
"""As Python writes them."""
_QUOTED_HEADER = re.compile(
    r"(\b(?:headers?|line|value|cookie|token)\b[^'\"]{0,40})(?:'(?:[^'\\]|\\.)*(?:'|$)|\"(?:[^\"\\]|\\.)*(?:\"|$))",
    re.IGNORECASE | re.DOTALL,
)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
LONGEST_TEXT = 2_000
"""Characters of a sentence that are shown."""

_CREDENTIALS = re.compile(
    r"\b(bearer|basic|ntlm|negotiate(?=\s+\S{16})|digest(?=\s+\S+=))\s+(?!auth|realm|constraint)[^\s,;]{3,}",
    re.IGNORECASE,
)
_PAIR = re.compile(r"([^\s=,;&?'\"]+)=[^\s,;&]+")
