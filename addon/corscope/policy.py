"""What a server has to allow for a story to pass: the data that header sets and server configurations are made from.

Everything in it may have come from the network. `sound` leaves out what has no place in a
configuration that people copy.
"""

import re
from typing import NamedTuple

from corscope.origins import parse_location

DEFAULT_MAX_AGE = 600
"""Seconds that a server should let a preflight's answer be kept: less than any browser's limit."""


class Policy(NamedTuple):
    """One server's CORS policy, as far as the traffic shows what is needed."""

    origins: tuple[str, ...]
    """Serialized origins, `null` possibly among them; never `*`."""
    credentials: bool
    """Whether requests with credentials are to pass."""
    methods: tuple[str, ...] = ("GET",)
    request_headers: tuple[str, ...] = ()
    """For Access-Control-Allow-Headers, in lower case."""
    exposed_headers: tuple[str, ...] = ()
    """For Access-Control-Expose-Headers."""
    max_age: int = DEFAULT_MAX_AGE
    """Seconds."""
    path: str = "/"
    """Path of the URL that was asked for, without query."""


_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")


def is_listable(origin: str) -> bool:
    """Tell a plain http(s) origin, written as browsers send it, from everything else: `*`, `null`, a URL, a list."""
    if not origin.startswith(("http://", "https://")) or not _ORIGIN.fullmatch(origin):
        return False
    target = parse_location("https://base/", origin)
    return target is not None and target.origin.decode() == origin


def sound(policy: Policy) -> Policy:
    """Return a policy of plain names only: no quote, `$` or control character of a stranger's enters a configuration.

    Tokens allow more than that (RFC 9110, section 5.6.2); what nobody uses is left out. A path with anything unusual in
    it becomes `/`.
    """
    return policy._replace(
        origins=tuple(origin for origin in policy.origins if _ORIGIN.fullmatch(origin)),
        methods=tuple(method for method in policy.methods if _NAME.fullmatch(method)),
        request_headers=tuple(name for name in policy.request_headers if _NAME.fullmatch(name)),
        exposed_headers=tuple(name for name in policy.exposed_headers if _NAME.fullmatch(name)),
        path=policy.path if _PATH.fullmatch(policy.path) else "/",
    )
