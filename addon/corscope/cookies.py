"""Which cookies were seen to travel where, so that their absence can tell something. Names and paths, no values."""

from collections import OrderedDict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from corscope.headers import Fields, get_all, text
from corscope.memory import bound

REMEMBERED_SECONDS = 300.0
"""How long a cookie that was seen to travel is expected to travel again. Longer, and scripts or expiry may have
removed it unseen."""

CAPACITY = 512
"""Routes remembered for one client."""

COOKIES_PER_ROUTE = 256
"""Cookies remembered of one route; browsers keep fewer for a site."""


def cookie_names(cookie: bytes) -> tuple[str, ...]:
    """Return the names of the cookies in a combined Cookie header.

    A cookie without `=` has a value and no name (RFC 6265bis, section 5.8.3), so it is no name to be shown.
    """
    pairs = [pair.strip().partition(b"=") for pair in cookie.split(b";") if pair.strip()]
    return tuple([text(name) if equals else "(without a name)" for name, equals, _ in pairs])


class Route(NamedTuple):
    """From where to where a cookie travels: the same route means the same SameSite and third-party conditions."""

    origin: bytes
    """The request's Origin, never `null`."""
    scheme: str
    host: str
    """Ports do not separate cookies, RFC 6265 section 8.5."""
    site: bytes
    """Sec-Fetch-Site, empty where there is none."""


@dataclass(slots=True)
class _Traveller:
    """A cookie on a route."""

    flow_id: str
    seen: float
    below: str
    """Every path that starts with this was proven to be covered by the cookie's Path."""


class TravelLog:
    """The cookies that one client sent on its credentialed requests."""

    __slots__ = ("_fleeting", "_routes", "_served")

    def __init__(self) -> None:
        self._routes: OrderedDict[Route, dict[str, _Traveller]] = OrderedDict()
        self._fleeting: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Cookies, by the site of who set them, that expire before they would be forgotten here: they prove nothing."""
        self._served: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Cookies, likewise, that a server was seen to set: a script is less likely to remove them than its own."""

    def __bool__(self) -> bool:
        return bool(self._routes)

    def travelled(self, route: Route, names: Iterable[str], path: str, now: float, flow_id: str) -> None:
        """Note that the cookies `names` were sent to `path` (query included) at `now`, in flow `flow_id`."""
        known = self._routes.setdefault(route, {})
        self._routes.move_to_end(route)
        if len(self._routes) > CAPACITY:
            self._routes.popitem(last=False)
        path = path.partition("?")[0]
        if self._fleeting:
            site = _near(route.host)
            names = [name for name in names if (site, name) not in self._fleeting]
        for name in names:
            # Out and in again: what was seen longest ago is the first.
            traveller = known.pop(name, None)
            if traveller is None:
                traveller = _Traveller(flow_id, now, path)
            else:
                traveller.flow_id, traveller.seen = flow_id, now
                if not is_below(path, traveller.below):
                    traveller.below = common_directory(traveller.below, path)
            known[name] = traveller
        while len(known) > COOKIES_PER_ROUTE:
            del known[next(iter(known))]

    def expected(self, route: Route, path: str, now: float) -> tuple[str, str, bool] | None:
        """Return a cookie that a credentialed request on `route` to `path` would carry, one that a server was seen to
        set if there is one: its name, the flow in which it travelled last, and whether a server was.
        """
        known = self._routes.get(route)
        if not known:
            return None
        path = path.partition("?")[0]
        found: tuple[str, str, bool] | None = None
        for name, traveller in known.items():
            fresh = 0 <= now - traveller.seen <= REMEMBERED_SECONDS
            if fresh and is_below(path, traveller.below):
                if (_near(route.host), name) in self._served:
                    return name, traveller.flow_id, True
                found = found or (name, traveller.flow_id, False)
        return found

    def set_cookie(self, host: str, fields: Fields, fleeting: Container[str] = ()) -> None:
        """Forget the cookies that Set-Cookie lines from `host` remove, on whichever host of its site, whatever path.

        Of those set, the names of the `fleeting` ones expire within REMEMBERED_SECONDS.
        """
        site = _near(host)
        for line in get_all(fields, b"set-cookie"):
            name, removed = _removal(line)
            if removed:
                for route, known in self._routes.items():
                    if _near(route.host) == site:
                        known.pop(name, None)
            if name in fleeting:
                self._fleeting[site, name] = None
                bound(self._fleeting, CAPACITY)
            else:
                self._fleeting.pop((site, name), None)
            self._served[site, name] = None
            bound(self._served, CAPACITY)


def _near(host: str) -> str:
    """Return what hosts that may share cookies have in common: an over-estimate, by the last two labels."""
    return ".".join(host.rsplit(".", 2)[-2:])


def common_directory(one: str, other: str) -> str:
    """Return the longest Path that a cookie which matched both may have, RFC 6265 section 5.1.4.

    That is one of the two where the other is below it, and otherwise the directory that both are in, with its slash.
    """
    if is_below(other, one):
        return one or "/"
    if is_below(one, other):
        return other or "/"
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return one[: one.rfind("/", 0, length) + 1] or "/"


def is_below(path: str, below: str) -> bool:
    """Tell whether a cookie that travelled to every path in directory `below` (or to that path) travels to `path`."""
    return path == below or (below.endswith("/") and path.startswith(below)) or path.startswith(f"{below}/")


def _removal(line: bytes) -> tuple[str, bool]:
    """Return a Set-Cookie line's cookie name, and whether the line may remove or restrict the cookie.

    An empty value, or any expiry but a Max-Age that outlasts this log's own memory, counts: a date is not worth
    parsing to keep evidence that the next credentialed request brings back.
    """
    pair, _, attributes = line.partition(b";")
    name, _, value = pair.partition(b"=")
    ages = [
        setting.strip()
        for key, _, setting in (attribute.strip().partition(b"=") for attribute in attributes.split(b";"))
        if key.strip().lower() == b"max-age"
    ]
    lasts = bool(ages) and ages[-1].isdigit() and int(ages[-1][:12]) >= REMEMBERED_SECONDS
    removed = not value.strip() or ((bool(ages) or b"expires" in attributes.lower()) and not lasts)
    return text(name.strip()), removed
