"""What a preflight allowed and for how long: a model of the browsers' preflight caches. Remembers nothing by itself."""

from dataclasses import dataclass
from functools import lru_cache

from corscope.engine import (
    CORS_SAFELISTED_METHODS,
    is_header_allowed,
    is_method_allowed,
    max_age,
)
from corscope.headers import Headers, extract_tokens
from corscope.model import BrowserFamily, Credentials
from corscope.stories import Record, Story

FORGETTING_SECONDS = 0.1
"""How long Firefox may take to forget, once an answer has failed: one of its processes has to tell another."""


@dataclass(slots=True, eq=False, kw_only=True)
class Permission:
    """One entry of a browser's preflight cache, https://fetch.spec.whatwg.org/#cache-entry

    It only ever explains why an actual request came without a preflight: what is missing from it accuses nobody, for
    browsers drop entries when they like.
    """

    flow_id: str
    story: Story
    """The preflight's: an entry serves no request with more credentials than its own."""
    only_omit: bool
    """Whether the preflight passed only if it was for an uncredentialed request: otherwise there is no entry."""
    expires: float
    """Seconds since the epoch."""
    methods: tuple[bytes, ...]
    headers: frozenset[bytes]
    """In lower case."""
    failed: float = float("inf")
    """When the request that certainly followed got an answer that fails the CORS check, seconds since the epoch."""

    def covers(self, method: bytes, names: tuple[bytes, ...], family: BrowserFamily, started: float) -> bool:
        """Tell whether a browser may spare an uncredentialed request its preflight, which it would have `started` then.

        Firefox never reuses `*`, asks again for every HEAD, keeps credentialed requests apart, and drops an entry when
        the request that it was made for fails, as the standard says (nsCORSListenerProxy.cpp); Chromium asks again for
        Authorization that only `*` covers (preflight_result.cc), and keeps entries of requests that fail.
        """
        if self.expires < started:
            return False
        credentials = self.story.credentials
        if self.only_omit and credentials is not Credentials.OMIT:
            return False
        if credentials is Credentials.INCLUDE and family is BrowserFamily.FIREFOX:
            return False
        methods, headers = self.methods, self.headers
        if family is BrowserFamily.FIREFOX:
            if method == b"HEAD" or started > self.failed + FORGETTING_SECONDS:
                return False
            methods = tuple(allowed for allowed in methods if allowed != b"*")
            headers = headers - {b"*"}
        elif b"authorization" in names and b"authorization" not in headers:
            return False
        include = False
        return is_method_allowed(method, methods, include=include) and all(
            is_header_allowed(name, headers, include=include, family=family) for name in names
        )


def permission(record: Record, method: bytes, response: Headers, family: BrowserFamily) -> Permission | None:
    """Return what a preflight for `method` that may have passed leaves in the cache, None where nothing.

    https://fetch.spec.whatwg.org/#cors-preflight-fetch, steps 7.9 to 7.15
    """
    age = max_age(response, family)
    if age == 0:
        return None
    methods, names = _allowed(
        response.get(b"access-control-allow-methods"), response.get(b"access-control-allow-headers")
    )
    if method in CORS_SAFELISTED_METHODS:
        methods = (*methods, method)
    return Permission(
        flow_id=record.exchange.id,
        story=record.story,
        only_omit=bool(record.if_include),
        expires=record.exchange.answered + age,
        methods=methods,
        headers=names,
    )


@lru_cache(maxsize=256)
def _allowed(methods: bytes | None, headers: bytes | None) -> tuple[tuple[bytes, ...], frozenset[bytes]]:
    """Return the methods, and the header names in lower case, that two combined values list."""
    names = extract_tokens(headers) or ()
    return extract_tokens(methods) or (), frozenset(name.lower() for name in names)
