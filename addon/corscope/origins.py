"""Origins and sites as they appear on the wire, in ASCII; nothing here resolves a name or knows a request."""

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
EXTENSION_SCHEMES = (b"chrome-extension", b"moz-extension", b"safari-web-extension", b"safari-extension")

_URL_SAFE = "!#$%&'()*+,-./:;=?@[]^_`{|}~\\"
"""What the URL parser leaves alone in a path or query; the rest (space, quotes, non-ASCII) is percent-encoded."""

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


@lru_cache(maxsize=4096)
def parse_location(base: str, location: str) -> Target | None:
    """Parse a Location relative to `base`; None where a browser finds no URL in it.

    https://fetch.spec.whatwg.org/#concept-response-location-url
    """
    location = location.strip("\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f ")
    location = location.replace("\t", "").replace("\n", "").replace("\r", "")
    try:
        head, separator, query = location.partition("?")
        if urlsplit(base).scheme in DEFAULT_PORTS:
            location = head.replace("\\", "/") + separator + query
        parts = urlsplit(urljoin(base, location))
        port = parts.port
        host = parts.hostname or ""
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https"):
        return Target(urljoin(base, location), scheme, OPAQUE, False)
    if not host:
        return None
    origin = serialize_origin(scheme, host, port)
    path = parts.path or "/"
    prefix = origin.decode("utf-8", "replace")
    url = urljoin(f"{prefix}/", path) + (f"?{parts.query}" if parts.query else "")
    return Target(quote(url, safe=_URL_SAFE), scheme, origin, bool(parts.username or parts.password))


@lru_cache(maxsize=4096)
def is_valid_url(value: bytes) -> bool:
    """Tell whether `value` parses as an absolute URL: what Chromium asks of an Allow-Origin value.

    services/network/public/cpp/cors/cors.cc, CheckAccess: `GURL(value).is_valid()` separates an invalid value from
    one that merely names another origin. `https://*.example` is valid, `app.example` is not, `localhost:3000` is
    (its scheme is then `localhost`).
    """
    try:
        text = value.decode("utf-8")
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    if not parts.scheme or any(character < " " or character == "\x7f" for character in text):
        return False
    if parts.scheme not in (*DEFAULT_PORTS, "ftp"):
        return True
    host = parts.netloc.rpartition("@")[2] or parts.path.lstrip("/").partition("/")[0]
    return bool(host.partition(":")[0]) and not set(host) & set(' <>"^`{|}%#\\')


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


def is_potentially_trustworthy(scheme: str, host: str) -> bool:
    """Tell whether a URL is potentially trustworthy: only those get Sec-Fetch headers.

    https://w3c.github.io/webappsec-secure-contexts/#is-url-trustworthy
    """
    return (
        scheme in ("https", "wss")
        or host in ("localhost", "::1", "[::1]")
        or host.endswith(".localhost")
        or (host.startswith("127.") and host.replace(".", "").isdigit())
    )
