"""Whether a page's Content-Security-Policy lets its scripts connect to an origin. Told from the policy's text alone."""

from functools import lru_cache

from corscope.headers import text
from corscope.origins import DEFAULT_PORTS


@lru_cache(maxsize=128)
def connect_sources(policies: tuple[bytes, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the source list for connections of each policy that has one; every one of them has to be met.

    connect-src, and default-src where that is missing: https://w3c.github.io/webappsec-csp/#directive-connect-src
    """
    lists: list[tuple[str, ...]] = []
    for policy in (one for line in policies for one in text(line).split(",")):
        directives: dict[str, tuple[str, ...]] = {}
        for directive in policy.split(";"):
            name, *sources = directive.split() or [""]
            directives.setdefault(name.lower(), tuple(sources))
        connect = directives.get("connect-src", directives.get("default-src"))
        if connect is not None:
            lists.append(connect)
    return tuple(lists)


def allows(sources: tuple[str, ...], target: str, page: str) -> bool:
    """Tell whether a source list lets a page of origin `page` connect to origin `target`, after a redirect.

    Paths are left out of account then: https://w3c.github.io/webappsec-csp/#match-url-to-source-list
    """
    return any(_matches(source.lower(), target, page) for source in sources)


def _matches(source: str, target: str, page: str) -> bool:
    """Match an origin with a source expression, https://w3c.github.io/webappsec-csp/#match-url-to-source-expression"""
    scheme, _, host = target.partition("://")
    if source == "*":
        return True
    if source == "'self'":
        own_scheme, _, own_host = page.partition("://")
        return target == page or (host == own_host and _covers(own_scheme, scheme))
    if source.startswith("'"):
        return False
    if source.endswith(":") and "/" not in source:
        return _covers(source[:-1], scheme)
    named, separator, rest = source.partition("://")
    if not separator:
        named, rest = page.partition("://")[0], source
    if not _covers(named, scheme):
        return False
    # `*` may stand for the whole host, or for all that is before a dot.
    wanted, _, wanted_port = _split(rest.partition("/")[0])
    name, _, port = _split(host)
    default = str(DEFAULT_PORTS.get(scheme, ""))
    port = port or default
    # A source for port 80 covers 443 too, for https covers http.
    if wanted_port != "*" and port not in (wanted_port or default, default if wanted_port == "80" else wanted_port):
        return False
    return name.endswith(wanted[1:]) if wanted == "*" or wanted.startswith("*.") else name == wanted


def _covers(wanted: str, scheme: str) -> bool:
    """Match schemes, https://w3c.github.io/webappsec-csp/#match-schemes"""
    return scheme in _SCHEMES.get(wanted, (wanted,))


_SCHEMES = {"http": ("http", "https"), "ws": ("ws", "wss", "http", "https"), "wss": ("wss", "https")}


def _split(host: str) -> tuple[str, str, str]:
    """Split a host from its port."""
    name, separator, port = host.rpartition(":")
    return (name, separator, port) if separator and "]" not in port else (host, "", "")
