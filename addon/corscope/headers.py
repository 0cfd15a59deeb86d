"""Header lists as bytes: the Fetch standard's operations on them, and nothing about CORS.

A header list is a tuple of (name, value) pairs as mitmproxy stores them: bytes, in the order of the wire.
"""

from collections.abc import Iterable

type Fields = tuple[tuple[bytes, bytes], ...]
"""A header list, https://fetch.spec.whatwg.org/#concept-header-list."""

HTTP_WHITESPACE = b" \t\r\n"
"""HTTP whitespace bytes: neither form feed nor vertical tab is one. https://fetch.spec.whatwg.org/#http-whitespace"""

# RFC 9110, 5.6.2: token = 1*tchar
_TCHAR = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def normalize(value: bytes) -> bytes:
    """Strip leading and trailing HTTP whitespace. https://fetch.spec.whatwg.org/#concept-header-value-normalize"""
    return value.strip(HTTP_WHITESPACE)


def pick(fields: Fields, names: frozenset[bytes]) -> dict[bytes, bytes]:
    """Get the combined value of each of `names` (lower case) that is present, in one pass.

    Repeated fields are joined with `, ` in order: https://fetch.spec.whatwg.org/#concept-header-list-get
    """
    found: dict[bytes, bytes] = {}
    for name, value in fields:
        key = name.lower()
        if key in names:
            value = value.strip(HTTP_WHITESPACE)
            found[key] = found[key] + b", " + value if key in found else value
    return found


def get(fields: Fields, name: bytes) -> bytes | None:
    """Get the combined value of one header, or None where it is absent (`name` in lower case)."""
    return pick(fields, frozenset((name,))).get(name)


def get_all(fields: Fields, name: bytes) -> list[bytes]:
    """Return the normalized value of each line of one header (`name` in lower case)."""
    return [normalize(value) for key, value in fields if key.lower() == name]


def is_token(value: bytes) -> bool:
    """Tell whether `value` is a token, RFC 9110 section 5.6.2."""
    return bool(value) and _TCHAR.issuperset(value)


def extract_tokens(value: bytes | None) -> tuple[bytes, ...] | None:
    """Extract the members of a combined `#token` value; () when absent, None when any member is no token.

    Empty members are skipped, RFC 9110 section 5.6.1.2; one bad member fails the whole header:
    https://fetch.spec.whatwg.org/#extract-header-list-values
    """
    if value is None:
        return ()
    members = tuple(member for item in value.split(b",") if (member := item.strip(b" \t")))
    return members if all(map(is_token, members)) else None


def text(value: bytes) -> str:
    """Decode isomorphically: one character a byte, so that no value is lost or raises."""
    return value.decode("latin-1")


def names(fields: Fields) -> Iterable[bytes]:
    """Yield the names of a header list in lower case, as often as they occur."""
    return (name.lower() for name, _ in fields)
