"""Header lists as bytes: the Fetch standard's operations on them, and nothing about CORS.

A header list is a tuple of (name, value) pairs as mitmproxy stores them: bytes, in the order of the wire.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

type Fields = tuple[tuple[bytes, bytes], ...]
"""A header list, https://fetch.spec.whatwg.org/#concept-header-list."""

type Headers = Mapping[bytes, bytes]
"""Combined values by lower-case name, as `pick` returns them."""

HTTP_WHITESPACE = b" \t\r\n"
"""HTTP whitespace bytes: neither form feed nor vertical tab is one. https://fetch.spec.whatwg.org/#http-whitespace"""

# RFC 9110, 5.6.2: token = 1*tchar
_TCHAR = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def normalize(value: bytes) -> bytes:
    """Strip leading and trailing HTTP whitespace. https://fetch.spec.whatwg.org/#concept-header-value-normalize"""
    return value.strip(HTTP_WHITESPACE)


class Names(dict[bytes, bytes | None]):
    """Header names of interest: what each spelling on the wire stands for, in lower case, or None for the others.

    Browsers and servers spell the few names they use in the same way every time, so that each spelling is lower-cased
    once. Spellings beyond a bound are not kept.
    """

    def __init__(self, names: Iterable[bytes]) -> None:
        """`names` in lower case."""
        self.wanted = frozenset(names)
        super().__init__({name: name for name in self.wanted})

    def is_wanted(self, lower: bytes) -> bool:
        """Tell whether a name, in lower case, is of interest."""
        return lower in self.wanted

    def __missing__(self, spelled: bytes) -> bytes | None:
        lower = spelled.lower()
        name = lower if self.is_wanted(lower) else None
        if len(self) < 1024:
            self[spelled] = name
        return name


def pick(fields: Fields, names: Names) -> dict[bytes, bytes]:
    """Get the combined value of each of `names` that is present, in one pass.

    Repeated fields are joined with `, ` in order: https://fetch.spec.whatwg.org/#concept-header-list-get
    """
    found: dict[bytes, bytes] = {}
    for spelled, value in fields:
        name = names[spelled]
        if name is not None:
            value = value.strip(HTTP_WHITESPACE)
            if name in found:
                # HTTP/2 may split a Cookie into several lines, RFC 9113 section 8.2.3.
                value = found[name] + (b"; " if name == b"cookie" else b", ") + value
            found[name] = value
    return found


def lines_of(fields: Fields, names: Names) -> Fields:
    """Return the lines of `names`, as they stand."""
    return tuple([line for line in fields if names[line[0]] is not None])


def get(fields: Fields, name: bytes) -> bytes | None:
    """Get the combined value of one header, or None where it is absent (`name` in lower case)."""
    lines = get_all(fields, name)
    return b", ".join(lines) if lines else None


def get_all(fields: Fields, name: bytes) -> list[bytes]:
    """Return the normalized value of each line of one header (`name` in lower case)."""
    return [normalize(value) for key, value in fields if key.lower() == name]


def is_token(value: bytes) -> bool:
    """Tell whether `value` is a token, RFC 9110 section 5.6.2."""
    return bool(value) and _TCHAR.issuperset(value)


@lru_cache(maxsize=1024)
def extract_tokens(value: bytes | None) -> tuple[bytes, ...] | None:
    """Extract the members of a combined `#token` value; () when absent, None when any member is no token.

    Empty members are skipped, RFC 9110 section 5.6.1.2; one bad member fails the whole header:
    https://fetch.spec.whatwg.org/#extract-header-list-values
    """
    if value is None:
        return ()
    # A line may be folded between two of them, which browsers take for a space.
    members = tuple(member for item in value.split(b",") if (member := item.strip(HTTP_WHITESPACE)))
    return members if all(map(is_token, members)) else None


def text(value: bytes) -> str:
    """Decode isomorphically: one character a byte, so that no value is lost or raises."""
    return value.decode("latin-1")


def names(fields: Fields) -> Iterable[bytes]:
    """Yield the names of a header list in lower case, as often as they occur."""
    return (name.lower() for name, _ in fields)
