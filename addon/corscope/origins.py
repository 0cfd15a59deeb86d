"""Origins and sites as they appear on the wire, in ASCII; nothing here resolves a name or knows a request."""

import re
from functools import lru_cache
from string import hexdigits, octdigits
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
EXTENSION_SCHEMES = (b"chrome-extension", b"moz-extension", b"safari-web-extension", b"safari-extension")

_QUERY_SAFE = "!$%&()*+,-./:;=?@[]^_`{|}~\\"
"""What the URL parser leaves alone in the query of an http(s) URL; the rest (space, quotes, non-ASCII) is
percent-encoded. https://url.spec.whatwg.org/#special-query-percent-encode-set"""

_PATH_SAFE = "!$%&'()*+,-./:;=@[]_|~"
"""The same of a path. https://url.spec.whatwg.org/#path-percent-encode-set"""

OPAQUE = b"null"
"""How an opaque origin, or one that redirects have tainted, is serialized."""


class Target(NamedTuple):
    """Where a Location leads, as a browser's URL parser reads it."""

    url: str
    """Absolute and without its fragment."""
    scheme: str
    origin: bytes
    """Serialized; `null` for anything but http(s)."""
    has_credentials: bool
    """Whether the URL names a user or a password. https://url.spec.whatwg.org/#include-credentials"""

    @property
    def port(self) -> int | None:
        """The port, None for the scheme's own."""
        port = self.origin.rpartition(b":")[2]
        return int(port) if port.isdigit() else None


def ascii_host(host: str) -> str:
    """Return a host name as browsers put it on the wire: lower case, international names in punycode.

    A name that IDNA refuses is returned as it is, lower case: the comparison with an origin then simply fails.
    """
    host = host.lower()
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


@lru_cache(maxsize=4096)
def serialize_origin(scheme: str, host: str, port: int | None) -> bytes:
    """Serialize an origin: no default port. https://html.spec.whatwg.org/#ascii-serialisation-of-an-origin

    `host` may be international; an IPv6 address may come with or without its brackets.
    """
    host = ascii_host(host)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    netloc = host if port is None or port == DEFAULT_PORTS.get(scheme) else f"{host}:{port}"
    return f"{scheme}://{netloc}".encode("utf-8", "replace")


_SPECIAL = re.compile(r"(https?):(.*)", re.IGNORECASE | re.DOTALL)


def parse_location(base: str, location: str) -> Target | None:
    """Parse a Location relative to `base`, an http(s) URL; None where a browser finds no URL in it.

    `location` is the header's value with a character for each byte: bytes above ASCII are percent-encoded as they are.
    https://fetch.spec.whatwg.org/#concept-response-location-url, https://url.spec.whatwg.org/#concept-basic-url-parser
    """
    return _plain_target(base, location) or _parse_location(base, location)


@lru_cache(maxsize=4096)
def _parse_location(base: str, location: str) -> Target | None:
    """`parse_location` of what needs care."""
    base = _NO_BYTE.sub("\ufffd", base)
    location = location.encode("latin-1", "replace").decode("utf-8", "surrogateescape")
    location = _without_passed_over(location).partition("#")[0]
    head, mark, query = location.partition("?")
    scheme, rest = base.partition(":")[0], head.replace("\\", "/")
    absolute = rest.startswith("//")
    if special := _SPECIAL.fullmatch(rest):
        # With the base's own scheme and no slashes it is relative; otherwise any number of slashes begins a host.
        absolute = special[1].lower() != scheme or special[2].startswith("//")
        scheme, rest = special[1].lower(), special[2]
    elif _OTHER_SCHEME.match(head):
        return Target(location, head.partition(":")[0].lower(), OPAQUE, False)
    try:
        parts = urlsplit(f"{scheme}://{rest.lstrip('/')}" if absolute else base.partition("?")[0])
        port, host = parts.port, unquote(parts.hostname or "")
        host.encode()
    except ValueError:
        return None
    if not host or not _FORBIDDEN_HOST.isdisjoint(host):
        return None
    path = parts.path
    if not absolute and rest:
        path = rest if rest.startswith("/") else f"{path.rpartition('/')[0]}/{rest}"
    elif not absolute and not mark:
        mark, query = base.partition("?")[1:]
    origin = serialize_origin(scheme, host, port)
    url = origin.decode() + quote(_without_dots(path), safe=_PATH_SAFE, errors="surrogateescape")
    if mark:
        # An empty query is one, too, and stays.
        url += "?" + quote(query, safe=_QUERY_SAFE, errors="surrogateescape")
    return Target(url, scheme, origin, bool(parts.username or parts.password))


_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of surrogate pairs that stand for no byte: no URL has any, https://infra.spec.whatwg.org/#scalar-value-string"""

# No port that might be its scheme's own or none at all; in the path no dot behind a slash, nothing that would be
# percent-encoded, and no empty query.
_PLAIN_ORIGIN = r"https?://[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::(?!80/|443/)[1-9][0-9]{1,3})?"
_PLAIN_BASE = re.compile(rf"{_PLAIN_ORIGIN}(?=/)")
_PLAIN_LOCATION = re.compile(
    rf"({_PLAIN_ORIGIN})?/(?!/)(?:[A-Za-z0-9_~/!$&'()*+,;=:@-]|(?<!/)\.)*(?:\?[A-Za-z0-9._~/!$&()*+,;=:@%-]+)?"
)


def _plain_target(base: str, location: str) -> Target | None:
    """Return where a Location leads that is as almost all are: there is nothing to resolve, and all is clean."""
    plain = _PLAIN_LOCATION.fullmatch(location)
    if plain is None:
        return None
    origin, url = plain[1], location
    if origin is None:
        own = _PLAIN_BASE.match(base)
        if own is None:
            return None
        origin = own[0]
        url = origin + location
    return Target(url, origin.partition(":")[0], origin.encode(), False)


_OTHER_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_FORBIDDEN_HOST = frozenset(" #%/<>?@\\^|") | frozenset(map(chr, (*range(0x20), 0x7F)))
"""https://url.spec.whatwg.org/#forbidden-domain-code-point, without what belongs to a port or an IPv6 address"""


def _without_dots(path: str) -> str:
    """Resolve `.` and `..` in a path as the URL parser does, `%2e` being a dot; empty segments stay."""
    done: list[str] = []
    segments = path.split("/")[1:]
    for index, segment in enumerate(segments):
        dots = segment.lower().replace("%2e", ".")
        if dots == "..":
            done = done[:-1]
        elif dots != ".":
            done.append(segment)
            continue
        if index == len(segments) - 1:
            done.append("")
    return "/" + "/".join(done)


_AROUND = "".join(map(chr, range(0x21)))


def _without_passed_over(url: str) -> str:
    """Leave out what the parser does, https://url.spec.whatwg.org/#concept-basic-url-parser, steps 1 to 3."""
    return url.strip(_AROUND).replace("\t", "").replace("\n", "").replace("\r", "")


@lru_cache(maxsize=4096)
def is_valid_url(value: bytes) -> bool:
    """Tell whether `value` parses as an absolute URL: what Chromium asks of an Allow-Origin value.

    services/network/public/cpp/cors/cors.cc, CheckAccess: `GURL(value).is_valid()` separates an invalid value from
    one that merely names another origin. `https://*.example` is valid, `app.example` is not, `localhost:3000` is
    (its scheme is then `localhost`).
    """
    try:
        text = _without_passed_over(value.decode("utf-8")).replace("\\", "/")
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    if not parts.scheme or any(character < " " or character == "\x7f" for character in text):
        return False
    if parts.scheme not in (*DEFAULT_PORTS, "ftp"):
        return True
    host = parts.netloc.rpartition("@")[2] or parts.path.lstrip("/").partition("/")[0]
    if not host.partition(":")[0] or set(host) & set(' <>"^`{|}%#\\'):
        return False
    labels = host.partition(":")[0].removesuffix(".").split(".")
    return _ipv4_number(labels[-1]) is None or _is_ipv4(labels)


def _ipv4_number(label: str) -> int | None:
    """Return the number that a host's label stands for, None where it is none.

    IPv4 number parser, https://url.spec.whatwg.org/#ipv4-number-parser. Digits that are no octal number though they
    begin with 0 are one for all that: a host that ends in them is no name (ends-in-a-number checker).
    """
    if label[:2] in ("0x", "0X"):
        digits = label[2:] or "0"
        return int(digits, 16) if set(digits) <= set(hexdigits) else None
    if not (label.isascii() and label.isdigit()):
        return None
    if len(label) > 1 and label[0] == "0":
        return int(label, 8) if set(label) <= set(octdigits) else _NO_ADDRESS
    return int(label[:_LONGEST_NUMBER])


_LONGEST_NUMBER = 20
_NO_ADDRESS = 1 << 32
"""More than any part of an address may be."""


def _is_ipv4(labels: list[str]) -> bool:
    """Tell whether the labels of a host that ends in a number are an address: if not, no URL has such a host.

    IPv4 parser, https://url.spec.whatwg.org/#concept-ipv4-parser
    """
    numbers = [_ipv4_number(label) for label in labels]
    *first, last = [number if number is not None else _NO_ADDRESS for number in numbers]
    return len(first) < 4 and all(number < 256 for number in first) and last < 256 ** (4 - len(first))


def origin_of(url: bytes) -> bytes:
    """Return the origin that a URL names, as it is written there; whatever it is, no user's name and no query."""
    scheme, _, rest = url.partition(b"://")
    return scheme + b"://" + _BEHIND_AUTHORITY.split(rest, maxsplit=1)[0].rpartition(b"@")[2]


_BEHIND_AUTHORITY = re.compile(rb"[/?#\\]")


def host_of(origin: bytes) -> str:
    """Return the host of a serialized origin, without port and brackets; empty for `null`."""
    rest = origin.decode("latin-1").partition("://")[2].partition("/")[0]
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest.partition(":")[0]


@lru_cache(maxsize=4096)
def site(origin: bytes) -> str:
    """Return an under-estimate of the schemeful site of an origin: scheme and the last two labels of the host.

    Without the public suffix list two hosts under `co.uk` look same-site. Use it only where "maybe the same site"
    is the careful answer; that two hosts are cross-site is said by Sec-Fetch-Site, never by this.
    """
    scheme, _, _ = origin.partition(b"://")
    host = host_of(origin)
    if ":" in host or host.replace(".", "").isdigit():
        return f"{scheme.decode('latin-1')}://{host}"
    return f"{scheme.decode('latin-1')}://{'.'.join(host.rsplit('.', 2)[-2:])}"


LOOPBACK_HOSTS = frozenset(("localhost", "127.0.0.1", "[::1]", "0.0.0.0"))
"""Names under which a developer's own machine is reached, as an origin serializes them."""

_PRIVATE_ADDRESS = re.compile(
    r"10\..*|127\..*|0\.0\.0\.0|169\.254\..*|192\.168\..*|172\.(?:1[6-9]|2\d|3[01])\..*|::1|f[cd][0-9a-f]{2}:.*|fe80:.*"
)
_PRIVATE_NAMES = (".localhost", ".local", ".internal", ".lan", ".intranet", ".test", ".home.arpa")


@lru_cache(maxsize=1024)
def is_private(host: str) -> bool:
    """Tell a host of this machine or of a private network, by its address or by a name that the web does not know.

    https://wicg.github.io/local-network-access/#ip-address-space, RFC 6761, RFC 6762, RFC 8375
    """
    if ":" in host or host.replace(".", "").isdigit():
        return _PRIVATE_ADDRESS.fullmatch(host) is not None
    return "." not in host or host.endswith(_PRIVATE_NAMES)


def is_loopback(host: str) -> bool:
    """Tell a host that is this machine by its name, as browsers take it.

    https://w3c.github.io/webappsec-secure-contexts/#is-origin-trustworthy
    """
    return (
        host in ("localhost", "::1", "[::1]")
        or host.endswith(".localhost")
        or (host.startswith("127.") and host.replace(".", "").isdigit())
    )


def is_potentially_trustworthy(scheme: str, host: str) -> bool:
    """Tell whether a URL is potentially trustworthy: only those get Sec-Fetch headers.

    https://w3c.github.io/webappsec-secure-contexts/#is-url-trustworthy
    """
    return scheme in ("https", "wss") or is_loopback(host)
