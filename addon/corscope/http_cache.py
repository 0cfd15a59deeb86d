"""Which answers a cache keeps and gives again, as far as that decides whether a page is blocked: RFC 9111."""

import re

from corscope.engine import varies_with_origin
from corscope.headers import Fields, Headers, get, get_all
from corscope.model import Exchange


def is_cacheable(exchange: Exchange) -> bool:
    """Tell whether a cache may keep an answer, as far as Vary matters: https://www.rfc-editor.org/rfc/rfc9111#section-3"""
    if exchange.method not in (b"GET", b"HEAD"):
        return False
    return b"no-store" not in (get(exchange.response_headers, b"cache-control") or b"").lower()


_CREDENTIALS = frozenset((b"cookie", b"authorization"))

_POSITIVE_AGE = re.compile(rb"(?:^|[\s,])(?:s-maxage|max-age)\s*=\s*\"?0*[1-9]")


def _is_reused(fields: Fields) -> bool:
    """Tell whether caches use an answer again without asking the server: https://www.rfc-editor.org/rfc/rfc9111#section-4.2

    Without an expiration time they do so with what has a Last-Modified (section 4.2.2).
    """
    control = (get(fields, b"cache-control") or b"").lower()
    if b"no-store" in control or b"no-cache" in control:
        return False
    if b"max-age" in control or b"s-maxage" in control:
        return _POSITIVE_AGE.search(control) is not None
    return get(fields, b"expires") is None and get(fields, b"last-modified") is not None


def stands_in(headers: Headers, fields: Fields, asked: Headers) -> bool:
    """Tell whether a cache may give an opaque answer to a CORS request, which it fails then.

    `headers` are those of the request that got it, `fields` its own, `asked` those of the CORS request.

    https://www.rfc-editor.org/rfc/rfc9111#section-4.1: the request headers that Vary names are the same. Those that
    are not read come the same with every request of a browser; credentials may be out of sight.
    """
    if get(fields, b"access-control-allow-origin") is not None or not _is_reused(fields):
        return False
    vary = get_all(fields, b"vary")
    if varies_with_origin(vary):
        return False
    members = {member.strip().lower() for line in vary for member in line.split(b",")}
    return members.isdisjoint(_CREDENTIALS) and all(headers.get(name) == asked.get(name) for name in members)
