"""Which origins rewriting may let in: the option `cors_allow_origins`, parsed and matched. Values in, values out."""

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from corscope.headers import text
from corscope.origins import DEFAULT_PORTS, ascii_host, serialize_origin
from corscope.privacy import shown_url

ANY = "*"
"""Lets in every origin, by its name."""


class OriginPatternError(ValueError):
    """An entry that is no origin and no pattern; the message shows the corrected entry where there is one."""


@dataclass(frozen=True, slots=True)
class AllowedOrigins:
    """The origins that may be let in."""

    exact: frozenset[bytes] = frozenset()
    """Serialized origins, `null` among them where it was listed."""
    patterns: tuple[re.Pattern[str], ...] = ()
    any: bool = False

    def __bool__(self) -> bool:
        return self.any or bool(self.exact) or bool(self.patterns)

    def allows(self, origin: bytes) -> bool:
        """Tell whether a request's Origin, as it was sent, may be let in."""
        return self.any or origin in self.exact or any(pattern.fullmatch(text(origin)) for pattern in self.patterns)


def parse_allowed_origins(entries: Iterable[str], is_public_suffix: Callable[[str], bool]) -> AllowedOrigins:
    """Parse entries: origins, `https://*.example.com`, `~regex` or `*`; commas and spaces part entries, but no regex.

    Raises OriginPatternError.
    """
    exact: set[bytes] = set()
    patterns: list[re.Pattern[str]] = []
    anyone = False
    for entry in entries:
        for one in [entry] if entry.startswith("~") else re.split(r"[,\s]+", entry):
            if one == ANY:
                anyone = True
            elif one.lower() == "null":
                exact.add(b"null")
            elif one.startswith("~"):
                patterns.append(_parse_regex(one))
            elif "*" in one:
                patterns.append(_parse_wildcard(one, is_public_suffix))
            elif one:
                exact.add(parse_origin(one))
    return AllowedOrigins(frozenset(exact), tuple(patterns), anyone)


def _parse_regex(entry: str) -> re.Pattern[str]:
    if not entry[1:].strip():
        raise OriginPatternError(rf"{entry!r} is empty: an example is ~https://app[0-9]+\.example\.com")
    try:
        return re.compile(entry[1:])
    except re.error as error:
        raise OriginPatternError(
            f"{entry!r} is no regular expression: {error}. It has to match a whole origin, as "
            r"~https://app[0-9]+\.example\.com does"
        ) from error


_LABEL = r"[a-z0-9_-]+"


def _parse_wildcard(entry: str, is_public_suffix: Callable[[str], bool]) -> re.Pattern[str]:
    # The star stands for labels that a host may have, so the rest is read as an origin is.
    before, star, after = entry.partition("*.")
    if not star or "*" in after or not (before == "" or before.endswith("://")):
        raise OriginPatternError(
            f"{shown_url(entry)!r}: a star stands for all that is below a domain, as in https://*.example.com; for "
            r"anything else write a regular expression, such as ~https://app-[a-z]+\.example\.com"
        )
    origin, complaint = _read(before + after)
    scheme, _, rest = origin.partition("://")
    host = urlsplit(origin).hostname or ""
    if ":" in host or host.replace(".", "").isdigit():
        raise OriginPatternError(
            f"{shown_url(entry)!r}: an address has nothing below it, name it without the star: {origin}"
        )
    if is_public_suffix(host):
        raise OriginPatternError(
            f"{shown_url(entry)!r} would let in everybody who has a name below {host}: name a domain of your own, as "
            f"in {scheme}://*.example.{host}"
        )
    if complaint:
        raise OriginPatternError(f"{shown_url(entry)!r} {complaint}: write {scheme}://*.{rest}")
    return re.compile(rf"{re.escape(scheme)}://(?:{_LABEL}\.)+{re.escape(rest)}")


def parse_origin(entry: str) -> bytes:
    """Parse an origin as browsers send it, in whatever case and script; raises OriginPatternError."""
    origin, complaint = _read(entry)
    if complaint:
        raise OriginPatternError(f"{shown_url(entry)!r} {complaint}: write {origin}")
    return origin.encode()


_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.IGNORECASE)
_TOO_FEW_SLASHES = re.compile(r"(https?):/?(?=[^/0-9])", re.IGNORECASE)
_UNSURE = frozenset("\u00df\u03c2\u200c\u200d")
"""What IDNA 2003, which Python knows, and IDNA 2008, which browsers follow, put into punycode in different ways."""
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]*")


def _read(entry: str) -> tuple[str, str]:
    """Return the origin that an entry means, and what is wrong with how it says so; empty where nothing is."""
    scheme, found, rest = entry.partition("://")
    complaint = ""
    slip = None if found else _TOO_FEW_SLASHES.match(entry)
    if slip is not None:
        scheme, rest, complaint = slip[1], entry[slip.end() :], "has too few slashes"
    elif not found:
        scheme, rest, complaint = "", entry, "has no scheme"
    elif not _SCHEME.fullmatch(scheme):
        raise OriginPatternError(f"{entry!r} is no origin: {scheme!r} is no scheme; an example is https://app.example")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = ascii_host(parts.hostname or ""), parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if not _UNSURE.isdisjoint(rest):
        raise OriginPatternError(f"{shown_url(entry)!r}: browsers differ on this name, write it in punycode (xn--…)")
    if not _HOST.fullmatch(host):
        raise OriginPatternError(
            f"{shown_url(entry)!r} is no origin; an example is https://app.example, another {_LOCAL}"
        )
    named = _as_browsers_name(host)
    if named != host:
        host, complaint = named, complaint or "names an address in another way than browsers do"
    local = host in ("localhost", "::1") or host.endswith(".localhost") or host.replace(".", "").isdigit()
    scheme = scheme.lower() or ("http" if local else "https")
    if parts.username is not None:
        complaint = "names a user"
    elif rest.endswith("/") and rest.count("/") == 1:
        complaint = complaint or "ends with a slash, which no origin does"
    elif parts.path or parts.query or parts.fragment or rest[-1:] in "?#":
        complaint = complaint or "has a path, which no origin has"
    elif port is not None and port == DEFAULT_PORTS.get(scheme):
        complaint = complaint or f"names the default port of {scheme}, which browsers leave out"
    elif rest.endswith(":"):
        complaint = complaint or "ends with a colon, which no origin does"
    return serialize_origin(scheme, host, port).decode(), complaint


def _as_browsers_name(host: str) -> str:
    """Return a host as browsers serialize it, https://url.spec.whatwg.org/#host-serializing: addresses have many names.

    What is no address, or none that a browser takes, is returned as it is.
    """
    try:
        if ":" in host:
            return ipaddress.IPv6Address(host).compressed
        if "_" in host:
            return host
        *parts, last = [int(part, _base(part)) for part in host.split(".")]
        if len(parts) > 3 or any(part > 255 for part in parts) or last >= 256 ** (4 - len(parts)):
            return host
        return str(ipaddress.IPv4Address(last + sum(part << 8 * (3 - place) for place, part in enumerate(parts))))
    except ValueError:
        return host


def _base(number: str) -> int:
    """Return the base of a number in an IPv4 address, https://url.spec.whatwg.org/#ipv4-number-parser"""
    if number[:2].lower() == "0x":
        return 16
    return 8 if number[:1] == "0" and len(number) > 1 else 10


_LOCAL = "http://localhost:3000"
