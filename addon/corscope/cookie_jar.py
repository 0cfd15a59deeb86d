"""A client's cookies as its traffic tells them: which would travel with a credentialed request, and why others do not.

Names and attributes only: a cookie's value is never kept. Section numbers are those of RFC 6265bis
(https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html). What scripts and users do to cookies is not on
the wire, so a cookie that should travel may be gone.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from corscope.headers import text
from corscope.memory import bound
from corscope.model import BrowserFamily
from corscope.origins import host_of, is_potentially_trustworthy

HOSTS, PATHS = 1024, 64
"""Hosts of which the registrable domain is kept, and paths of cookies."""

AREAS, CAPACITY = 256, 512
"""Registrable domains remembered, and cookies of each. The oldest go first: browsers keep 180 and more, apart for each
page, and those that were refused are remembered here as well."""

NAMELESS = "(without a name)"
"""What a cookie is called that has a value and no name, as in `Set-Cookie: abc`."""

MAX_OCTETS = 4096
"""A longer name and value are refused, section 5.6 step 5."""

MAX_ATTRIBUTE_OCTETS = 1024
"""A longer attribute is ignored, section 5.6 step 6 of the attributes."""

MAX_AGE = 400 * 86_400
"""No cookie lives longer, in seconds: section 5.5."""

EXPIRY_MARGIN = 2.0
"""How far, in seconds, the browser's idea of when a cookie expires may be from what the proxy sees of it."""


# -- Set-Cookie --------------------------------------------------------------------------------------------------------


class SameSite(StrEnum):
    """A cookie's same-site flag, section 5.6.7; DEFAULT where there is no attribute, or one that nobody knows."""

    NONE = "None"
    LAX = "Lax"
    STRICT = "Strict"
    DEFAULT = "Default"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCookie:
    """A Set-Cookie line without the cookie's value."""

    name: str
    domain: str | None = None
    """The Domain attribute without its leading dot, lower case; None makes the cookie host-only."""
    path: str | None = None
    """The Path attribute; None where the default path applies."""
    same_site: SameSite = SameSite.DEFAULT
    secure: bool = False
    partitioned: bool = False
    http_only: bool = False
    expires: float | None = None
    """Seconds since the epoch; None for a session cookie. A time that has passed removes the cookie."""


def parse_set_cookie(line: bytes, now: float) -> SetCookie | None:
    """Parse a Set-Cookie line received at `now`, section 5.6; None where browsers ignore the whole line."""
    # 1. A control character other than a tab.
    if _CONTROL.search(line):
        return None
    # 2. to 4. name-value-pair: everything up to the first semicolon; without `=` all of it is the value.
    pair, _, unparsed = line.partition(b";")
    before, equals, after = pair.partition(b"=")
    name, value = (before.strip(_WSP), after.strip(_WSP)) if equals else (b"", pair.strip(_WSP))
    # 5. Too long.
    if len(name) + len(value) > MAX_OCTETS:
        return None
    if not name:
        # Section 5.7, steps 2 and 22: nothing at all, and a value that a server would read as a name with a prefix.
        if not value or value.lower().startswith(tuple(prefix.encode() for prefix, *_ in PREFIXES)):
            return None
        return replace(_attributes(unparsed, now), name=NAMELESS)
    return replace(_attributes(unparsed, now), name=text(name))


_WSP = b" \t"
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_SAME_SITE = {b"none": SameSite.NONE, b"lax": SameSite.LAX, b"strict": SameSite.STRICT}
_DELTA = re.compile(rb"-?[0-9]+")


def _attributes(unparsed: bytes, now: float) -> SetCookie:
    """Parse a line's attributes, sections 5.6.1 to 5.6.7: of each the last one that can be understood counts."""
    domain: str | None = None
    path: str | None = None
    same_site = SameSite.DEFAULT
    max_age: float | None = None
    expires: float | None = None
    flags = set[bytes]()
    for part in unparsed.split(b";"):
        key, _, setting = part.partition(b"=")
        key, setting = key.strip(_WSP).lower(), setting.strip(_WSP)
        if len(setting) > MAX_ATTRIBUTE_OCTETS:
            continue
        match key:
            case b"domain":
                domain = text(setting).removeprefix(".").lower() or None
            case b"path":
                path = text(setting) if setting.startswith(b"/") else None
            case b"samesite":
                same_site = _SAME_SITE.get(setting.lower(), SameSite.DEFAULT)
            case b"max-age" if _DELTA.fullmatch(setting):
                max_age = now + min(int(setting), MAX_AGE) if int(setting) > 0 else 0.0
            case b"expires":
                date = parse_date(setting)
                expires = expires if date is None else min(date, now + MAX_AGE)
            case b"secure" | b"httponly" | b"partitioned":
                flags.add(key)
    return SetCookie(
        name="",
        domain=domain,
        path=path,
        same_site=same_site,
        secure=b"secure" in flags,
        partitioned=b"partitioned" in flags,
        http_only=b"httponly" in flags,
        # Section 5.7 step 3: Max-Age goes before Expires.
        expires=expires if max_age is None else max_age,
    )


_DELIMITERS = re.compile(rb"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(rb"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[^0-9].*)?", re.DOTALL)
_DAY = re.compile(rb"([0-9]{1,2})(?:[^0-9].*)?", re.DOTALL)
_YEAR = re.compile(rb"([0-9]{2,4})(?:[^0-9].*)?", re.DOTALL)
_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")


def parse_date(value: bytes) -> float | None:
    """Parse a cookie-date to seconds since the epoch, section 5.1.1; None where it is no date."""
    time: tuple[int, int, int] | None = None
    day = month = year = -1
    # 1. and 2. Each token is the first of time, day, month and year that it looks like and that was not found yet.
    for token in _DELIMITERS.split(value):
        if time is None and (found := _TIME.fullmatch(token)):
            time = (int(found[1]), int(found[2]), int(found[3]))
        elif day < 0 and (found := _DAY.fullmatch(token)):
            day = int(found[1])
        elif month < 0 and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year < 0 and (found := _YEAR.fullmatch(token)):
            year = int(found[1])
    # 3. and 4. Two digits.
    if 70 <= year <= 99:
        year += 1900
    elif 0 <= year <= 69:
        year += 2000
    # 5. and 6. What is missing or can't be.
    if time is None or month < 0 or year < 1601 or not 1 <= day <= _days_of(month, year):
        return None
    hour, minute, second = time
    if hour > 23 or minute > 59 or second > 59:
        return None
    return _days_since_epoch(year, month, day) * 86_400.0 + hour * 3600 + minute * 60 + second


def _days_of(month: int, year: int) -> int:
    following = (year + 1, 1) if month == 12 else (year, month + 1)
    return _days_since_epoch(*following, 1) - _days_since_epoch(year, month, 1)


def _days_since_epoch(year: int, month: int, day: int) -> int:
    """Count the days from 1970-01-01; the year is taken to begin in March, so that a leap day is its last."""
    year -= month <= 2
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * ((month - 3) % 12) + 2) // 5 + day - 719_469


# -- matching ----------------------------------------------------------------------------------------------------------


def domain_matches(host: str, domain: str) -> bool:
    """Tell whether a host domain-matches a cookie's domain, section 5.1.3."""
    return host == domain or (bool(domain) and host.endswith(f".{domain}") and not _is_address(host))


def path_matches(path: str, cookie_path: str) -> bool:
    """Tell whether a request's path (without its query) path-matches a cookie's, section 5.1.4."""
    return path == cookie_path or (
        path.startswith(cookie_path) and (cookie_path.endswith("/") or path[len(cookie_path)] == "/")
    )


def default_path(path: str) -> str:
    """Return the path that a cookie gets from the request's, where it names none, section 5.1.4."""
    path = path.partition("?")[0]
    return path.rpartition("/")[0] or "/" if path.startswith("/") else "/"


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


PREFIXES = (
    ("__host-http-", True, True),
    ("__http-", False, True),
    ("__host-", True, False),
    ("__secure-", False, False),
)
"""Cookie name prefixes, section 5.4 and the newer `Http` ones: whether they tie to a host, and want HttpOnly."""


def _breaks_prefix(cookie: SetCookie, *, of_host: bool, path: str | None) -> bool:
    """Tell whether a cookie is not what its name promises; `path` is the one that counts for that."""
    name = cookie.name.lower()
    for prefix, ties, wants_http_only in PREFIXES:
        if name.startswith(prefix):
            return (
                not cookie.secure
                or (ties and not (of_host and path == "/"))
                or (wants_http_only and not cookie.http_only)
            )
    return False


# -- browsers and requests ---------------------------------------------------------------------------------------------


class Reason(StrEnum):
    """Why a cookie is refused when set, or withheld from a request. In the order in which they should be mended."""

    PREFIX_VIOLATED = "cookie-prefix-violated"
    SAMESITE_NONE_WITHOUT_SECURE = "cookie-samesite-none-without-secure"
    PARTITIONED_WITHOUT_SECURE = "cookie-partitioned-without-secure"
    DOMAIN_MISMATCH = "cookie-domain-mismatch"
    """Refused: the Domain is not one of the host's. Withheld: the cookie is for another host."""
    PATH_MISMATCH = "cookie-path-mismatch"
    SECURE_OVER_HTTP = "cookie-secure-over-http"
    OVERWRITES_SECURE = "cookie-overwrites-secure"
    """Refused: plain http may not replace a cookie that has Secure."""
    EXPIRED = "cookie-expired"
    SAMESITE_STRICT = "cookie-samesite-strict"
    SAMESITE_LAX = "cookie-samesite-lax"
    SAMESITE_DEFAULT = "cookie-samesite-default"
    PARTITIONED_ELSEWHERE = "cookie-partitioned-elsewhere"
    """Withheld: it is kept for this host below another top-level site."""
    THIRD_PARTY_BLOCKED = "cookie-third-party-blocked"
    """It belongs to no partition, and third parties have no access to those. In Firefox it is not refused for that,
    but put into a partition of its own."""


_ORDER = {reason: number for number, reason in enumerate(Reason)}
_OF_SAME_SITE = {
    SameSite.STRICT: Reason.SAMESITE_STRICT,
    SameSite.LAX: Reason.SAMESITE_LAX,
    SameSite.DEFAULT: Reason.SAMESITE_DEFAULT,
}


class _Rules(NamedTuple):
    """In what browsers differ."""

    default_is_lax: bool
    """Whether a cookie without SameSite counts as Lax; otherwise as None."""
    none_requires_secure: bool
    schemeful: bool
    """Whether two schemes make two sites, as far as cookies go."""
    partitioned: bool
    """Whether the attribute Partitioned means anything."""
    partitions_all: bool
    """Whether what third parties set goes to a partition, attribute or not."""
    default_path_ties: bool
    """Whether the prefix `__Host-` is content with the path `/` where that is only the default one (measured)."""


_RULES = {
    BrowserFamily.CHROMIUM: _Rules(True, True, True, True, False, False),
    BrowserFamily.FIREFOX: _Rules(False, True, False, True, True, True),
    BrowserFamily.OTHER: _Rules(False, False, False, True, False, False),
    # Partitioned has a specification of its own, and section 7.1 leaves third parties to the browser.
    BrowserFamily.SPEC: _Rules(True, True, True, False, False, False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The request in whose response a cookie is set, or with which it would be sent. It has to be credentialed."""

    scheme: str
    host: str
    """In ASCII, lower case, IPv6 without brackets."""
    path: str
    """Path and query as sent."""
    now: float
    """Seconds since the epoch: of the response where it sets cookies, of the request where it would carry them."""
    family: BrowserFamily
    site: bytes = b""
    """Sec-Fetch-Site, empty where there is none."""
    origin: bytes = b""
    """The origin of whoever asks: Origin, or what the Referer tells of it; empty where that is not known. It stands in
    for Sec-Fetch-Site on plain http, and Firefox goes by its host alone."""
    navigation: bool = False
    """Whether this is a top-level navigation, and thus first-party by itself."""
    top_level_site: str | None = None
    """The schemeful site of the page in the tab, if known, such as `https://a.test`."""
    storage_access: bytes = b""
    """Sec-Fetch-Storage-Access, empty where there is none."""
    certain: bool = True
    """Whether the request is known to be credentialed: without, a browser neither takes cookies nor sends any."""
    offered: bool = False
    """Where that is not known: whether the response allows credentials, so that its cookies are meant to be taken."""

    @property
    def trustworthy(self) -> bool:
        """Whether Secure cookies may come and go: over https, and to loopback hosts."""
        return is_potentially_trustworthy(self.scheme, self.host)


FRAMED = " in a frame of another site"
"""Marks the partition of a page's own site where a frame of another site is between them."""


class _Surroundings(NamedTuple):
    """What a context means for cookies; None where the wire does not tell."""

    same_site: bool | None
    third_party: bool | None
    unpartitioned: bool | None
    """Whether cookies that belong to no partition come and go."""
    partition: str | None
    """The top-level site; None where it is not known."""


# -- the jar -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A cookie that the browser does not store."""

    cookie: SetCookie
    reasons: tuple[Reason, ...]
    """All of them, first the one to mend first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a cookie on a request."""

    name: str
    travels: bool | None
    """None where the wire does not tell."""
    reasons: tuple[Reason, ...] = ()
    """Why it does not travel, first the one to mend first; empty otherwise."""
    refused: bool = False
    """Whether the reasons are those for which it was refused when set; otherwise those for which it is withheld."""
    cookie: SetCookie | None = None
    """Its attributes; None where it was only seen to travel."""
    flow_id: str = ""
    """The flow that set it, or in which it was seen to travel last."""
    mode_open: bool = False
    """Whether it is not known to be held, or to travel, only because the credentials mode of the request that set it is
    not known.
    """
    since: float = 0.0
    """Since when there has been such a cookie, seconds since the epoch; 0 where that is not known."""


@dataclass(slots=True)
class _Known:
    """A cookie that was set, or refused, or only seen."""

    cookie: SetCookie
    domain: str
    """Its domain, or its host where it is host-only."""
    host_only: bool
    path: str
    partition: str | None
    """The top-level site below which it is kept; empty for none, None where that is not known."""
    area: str
    """The registrable domain."""
    flow_id: str
    refused: tuple[Reason, ...] = ()
    certain: bool = True
    """Whether it is known to have been stored."""
    mode_open: bool = False
    """Whether it is not, only because the credentials mode of the request that set it is not known."""
    since: float = 0.0
    """Since when there has been such a cookie, seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A cookie that was seen to travel, but not to be set: by a script, or before the capture."""

    name: str
    host: str
    area: str
    flow_id: str


SEEN = "seen"

type _Key = tuple[str, str, bool, str, str | None]
"""What makes two cookies the same, section 5.7 step 23: name, domain, host-only-flag, path; and the partition."""


def _is_label(domain: str) -> bool:
    return "." not in domain


type _Area = OrderedDict[_Key | tuple[str, str] | tuple[str, str, str], _Known | _Seen]
"""Cookies by what makes them the same; refused ones by name and host, seen ones by that and a word."""

_EMPTY: _Area = OrderedDict()


class CookieJar:
    """The cookies of one client, as its traffic shows them."""

    __slots__ = ("_areas", "_is_public_suffix", "_paths", "_registrable", "_unpartitioned", "changes", "tells")

    def __init__(self, is_public_suffix: Callable[[str], bool] = _is_label) -> None:
        """`is_public_suffix` tells names under which anybody can register; those of one label always count."""
        self._areas: OrderedDict[str, _Area] = OrderedDict()
        """The cookies of each registrable domain."""
        self._is_public_suffix = is_public_suffix
        self._unpartitioned: bool | None = None
        """Whether third parties were last seen to have their unpartitioned cookies."""
        self._paths: dict[str, None] = {}
        """Every path but `/` that a cookie has or had."""
        self._registrable: dict[str, str] = {}
        self.changes = 0
        """Grows when something changes that `travel` may say; not when a cookie is merely set again."""
        self.tells = False
        """Whether it saw a cookie set: of those that were merely seen to travel there is nothing to be told."""

    def __len__(self) -> int:
        return sum(map(len, self._areas.values()))

    def set_cookie(self, lines: Iterable[bytes], context: Context, flow_id: str) -> tuple[Refusal, ...]:
        """Take the Set-Cookie lines of a response to a credentialed request; return those that are refused."""
        around = self._surroundings(context)
        refusals = []
        for line in lines:
            cookie = parse_set_cookie(line, context.now)
            if cookie is None:
                continue
            reasons = self._store(cookie, context, around, flow_id)
            if reasons:
                refusals.append(Refusal(cookie=cookie, reasons=reasons))
        return tuple(refusals)

    def matching_paths(self, path: str) -> tuple[str, ...]:
        """Return the paths of cookies that match a request's path: where these are the same, so is what travels."""
        if not self._paths:
            return ()
        path = path.partition("?")[0]
        return tuple([known for known in self._paths if path_matches(path, known)])

    def travelled(self, names: Iterable[str], context: Context, flow_id: str) -> None:
        """Take note of the cookies that a request carried."""
        around = self._surroundings(context)
        area = self.registrable(context.host)
        matching: dict[str, list[_Known]] = {name: [] for name in names}
        for known in self._areas.get(area, _EMPTY).values():
            if (
                isinstance(known, _Known)
                and known.cookie.name in matching
                and not known.refused
                and self._withheld(known, context, around)[0] is not False
            ):
                matching[known.cookie.name].append(known)
        for name, found in matching.items():
            if not found:
                self._keep((name, context.host, SEEN), _Seen(name, context.host, area, flow_id))
            elif len(found) == 1:
                self.changes += not found[0].certain
                found[0].certain = True
                if around.third_party and found[0].partition == "":
                    self._see_access(unpartitioned=True)

    def travel(self, context: Context) -> tuple[Fate, ...]:
        """Tell which cookies travel with a credentialed request, and why others of its site do not; one fate a name.

        A cookie that is said not to travel and does was set by a script, or before the capture.
        """
        around = self._surroundings(context)
        area = self.registrable(context.host)
        fates: dict[str, Fate] = {}
        for known in self._areas.get(area, _EMPTY).values():
            if isinstance(known, _Seen):
                if known.host != context.host:
                    continue
                # Its attributes are not known, nor when it expires.
                fate = Fate(name=known.name, travels=None, flow_id=known.flow_id)
            elif known.refused:
                # Without a partition to speak of: whatever the request, there is no such cookie.
                if known.domain != context.host:
                    continue
                fate = Fate(
                    name=known.cookie.name,
                    travels=False,
                    reasons=known.refused,
                    refused=known.refused != (Reason.EXPIRED,),
                    cookie=known.cookie,
                    flow_id=known.flow_id,
                )
            else:
                travels, reasons, mode_open = self._withheld(known, context, around)
                fate = Fate(
                    name=known.cookie.name,
                    travels=travels,
                    reasons=reasons,
                    cookie=known.cookie,
                    flow_id=known.flow_id,
                    mode_open=mode_open,
                    since=known.since,
                )
            before = fates.get(fate.name)
            # The latest says most of a name, but for one that travels.
            if before is None or _WEIGHT[fate.travels] >= _WEIGHT[before.travels]:
                fates[fate.name] = fate
        return tuple(fates.values())

    def note_storage_access(self, storage_access: bytes) -> None:
        """Learn from a request's Sec-Fetch-Storage-Access whether third parties have their unpartitioned cookies."""
        self._see_access(unpartitioned=storage_access == b"active")

    def registrable(self, host: str) -> str:
        """Return the registrable domain of a host, or the host itself where it has none."""
        known = self._registrable.get(host)
        if known is None:
            if len(self._registrable) >= HOSTS:
                self._registrable.clear()
            known = self._registrable[host] = self._find_registrable(host)
        return known

    def _find_registrable(self, host: str) -> str:
        if _is_address(host):
            return host
        labels = host.split(".")
        for number in range(len(labels) - 2, -1, -1):
            domain = ".".join(labels[number:])
            if not self._is_public_suffix(domain):
                return domain
        return host

    # ------------------------------------------------------------------ storage and retrieval

    def _store(self, cookie: SetCookie, context: Context, around: _Surroundings, flow_id: str) -> tuple[Reason, ...]:
        """Store a cookie, section 5.7; return why not."""
        rules, host = _RULES[context.family], context.host
        reasons = set[Reason]()
        # Whether nothing but the credentials mode is in doubt.
        sure = True
        # 8. and 9. The domain; a public suffix may only be the host's own, and then makes it host-only.
        domain, host_only = host, True
        if cookie.domain is not None and not (cookie.domain == host and self._is_suffix(host)):
            if self._is_suffix(cookie.domain) or not domain_matches(host, cookie.domain):
                reasons.add(Reason.DOMAIN_MISMATCH)
            else:
                domain, host_only = cookie.domain, False
        # 10. The path.
        path = cookie.path or default_path(context.path)
        # 11. and 12. Secure.
        if cookie.secure and not context.trustworthy:
            reasons.add(Reason.SECURE_OVER_HTTP)
        # 17. and 18. SameSite.
        same_site = cookie.same_site
        if same_site is SameSite.DEFAULT and not rules.default_is_lax:
            same_site = SameSite.NONE
        if same_site is not SameSite.NONE and not context.navigation:
            if around.same_site is False:
                reasons.add(_OF_SAME_SITE[cookie.same_site])
            elif around.same_site is None:
                sure = False
        # 19. None wants Secure.
        if cookie.same_site is SameSite.NONE and not cookie.secure and rules.none_requires_secure:
            reasons.add(Reason.SAMESITE_NONE_WITHOUT_SECURE)
        # 20. to 22. The prefixes.
        of_host = cookie.domain is None or (cookie.domain == host and self._is_host(context))
        if _breaks_prefix(cookie, of_host=of_host, path=path if rules.default_path_ties else cookie.path):
            reasons.add(Reason.PREFIX_VIOLATED)
        # https://www.ietf.org/archive/id/draft-cutler-httpbis-partitioned-cookies-01.html
        partitioned = cookie.partitioned and rules.partitioned
        if partitioned and not cookie.secure:
            reasons.add(Reason.PARTITIONED_WITHOUT_SECURE)
        partition: str | None = ""
        if partitioned:
            partition = around.partition
        elif around.third_party is not False and around.unpartitioned is not True:
            if rules.partitions_all:
                if around.unpartitioned is False:
                    partition = around.partition
                else:
                    partition, sure = None, False
            elif around.third_party and around.unpartitioned is False:
                reasons.add(Reason.THIRD_PARTY_BLOCKED)
            else:
                sure = False
        # 14. Plain http leaves secure cookies alone.
        if not cookie.secure and not context.trustworthy and self._has_secure(cookie.name, domain, path, partition):
            reasons.add(Reason.OVERWRITES_SECURE)
        area = self.registrable(host)
        cookies = self._areas.get(area, _EMPTY)
        key: _Key = (cookie.name, domain, host_only, path, partition)
        known = _Known(cookie, domain, host_only, path, partition, area, flow_id, since=context.now)
        known.certain = sure and context.certain
        known.mode_open = sure and not context.certain and context.offered
        old = cookies.get(key)
        if known.certain and isinstance(old, _Known) and old.certain and not _has_expired(old.cookie, context.now):
            known.since = old.since
        keys = (key, (cookie.name, host), (cookie.name, host, SEEN))
        before = [_signature(cookies.get(one), context.now) for one in keys]
        refused = self._put(cookies, key, known, reasons, context)
        cookies = self._areas.get(area, _EMPTY)
        self.changes += before != [_signature(cookies.get(one), context.now) for one in keys]
        return refused

    def _put(
        self, cookies: _Area, key: _Key, known: _Known, reasons: set[Reason], context: Context
    ) -> tuple[Reason, ...]:
        """Put a cookie where it belongs among those of its domain; return why it is refused."""
        cookie, host, certain, partition = known.cookie, context.host, known.certain, known.partition
        if not reasons and _has_expired(cookie, context.now):
            # 24. It removes an equal one. That is no refusal, but explains why it travels no more.
            if certain:
                cookies.pop(key, None)
                if known.path == "/":
                    # One that was only seen to travel may have a path of its own, but hardly this name too.
                    cookies.pop((cookie.name, host, SEEN), None)
                known.refused, known.domain = (Reason.EXPIRED,), host
                self._keep((cookie.name, host), known)
            if not certain or partition is None:
                for old in cookies.values():
                    if isinstance(old, _Known) and old.cookie.name == cookie.name and old.domain == known.domain:
                        self.changes += old.certain or old.mode_open
                        old.certain = old.mode_open = False
            return ()
        if reasons:
            known.refused, known.domain = _in_order(reasons), host
            self._keep((cookie.name, host), known)
            return known.refused
        if certain:
            cookies.pop((cookie.name, host), None)
        if certain and partition == "":
            # What was seen is most likely what this replaces.
            cookies.pop((cookie.name, host, SEEN), None)
        self._keep(key, known)
        return ()

    def _withheld(
        self, known: _Known, context: Context, around: _Surroundings
    ) -> tuple[bool | None, tuple[Reason, ...], bool]:
        """Tell whether a stored cookie travels, section 5.8.3, why it does not, and whether only its mode is open."""
        cookie, rules = known.cookie, _RULES[context.family]
        reasons = set[Reason]()
        certain = True
        if context.host != known.domain if known.host_only else not domain_matches(context.host, known.domain):
            reasons.add(Reason.DOMAIN_MISMATCH)
        if not path_matches(context.path.partition("?")[0], known.path):
            reasons.add(Reason.PATH_MISMATCH)
        if cookie.secure and not context.trustworthy:
            reasons.add(Reason.SECURE_OVER_HTTP)
        if cookie.expires is not None and cookie.expires - EXPIRY_MARGIN <= context.now:
            if cookie.expires + EXPIRY_MARGIN <= context.now:
                reasons.add(Reason.EXPIRED)
            certain = False
        is_none = cookie.same_site is SameSite.NONE or (
            cookie.same_site is SameSite.DEFAULT and not rules.default_is_lax
        )
        if not is_none and around.same_site is not True:
            if around.same_site is False and (not context.navigation or cookie.same_site is SameSite.STRICT):
                reasons.add(_OF_SAME_SITE[cookie.same_site])
            else:
                # A cross-site navigation takes Lax cookies along, if its method is a safe one.
                certain = False
        if known.partition == "":
            if around.third_party is not False:
                if around.third_party and around.unpartitioned is False:
                    reasons.add(Reason.THIRD_PARTY_BLOCKED)
                elif around.unpartitioned is not True:
                    certain = False
        elif known.partition is None or around.partition is None:
            certain = False
        elif known.partition != around.partition:
            reasons.add(Reason.PARTITIONED_ELSEWHERE)
        if reasons:
            return False, _in_order(reasons), known.mode_open
        if certain and known.certain:
            return True, (), False
        return None, (), certain and known.mode_open

    def _surroundings(self, context: Context) -> _Surroundings:
        rules, area = _RULES[context.family], self.registrable(context.host)
        own = f"{context.scheme}://{area}"
        same_site = self._is_same_site(context, rules, area)
        if context.navigation:
            return _Surroundings(same_site, False, True, own)
        top = context.top_level_site
        here = top is not None and self._is_here(top, context, area, schemeful=rules.schemeful)
        third_party: bool | None = None
        if context.storage_access or (top is not None and not (here and same_site is not False)):
            # Sec-Fetch-Storage-Access is there in third-party contexts only. A frame of another site is one even if it
            # asks for the page's own.
            third_party = True
        elif same_site:
            third_party = False
        partition = context.top_level_site
        if partition is None:
            partition = own if third_party is False else None
        elif third_party and self._is_here(partition, context, area, schemeful=False):
            # Browsers keep what such a frame gets apart from the page itself; of any other site, a page and its frames
            # have the same partition (measured).
            partition += FRAMED
        if third_party is None:
            # With access to them, it makes no difference whether it is one.
            return _Surroundings(same_site, None, self._has_access(context) or None, partition)
        if not third_party:
            return _Surroundings(same_site, False, True, partition)
        return _Surroundings(same_site, True, self._has_access(context), partition)

    def _is_same_site(self, context: Context, rules: _Rules, area: str) -> bool | None:
        """Tell whether a request is "same-site", section 5.2."""
        if context.storage_access:
            return False
        if context.site == b"none":
            return True
        top = context.top_level_site
        framed = top is not None and not self._is_here(top, context, area, schemeful=rules.schemeful)
        if context.origin == b"null" and not context.navigation:
            # Either a redirect, which no browser counts for cookies (measured), so that it may come back to the page's
            # own site; or a sandboxed frame, which is of no site, but shows by Sec-Fetch-Storage-Access.
            return False if framed else (True if top is not None and context.trustworthy else None)
        if context.site in (b"same-origin", b"same-site"):
            return not framed or context.navigation
        if not context.origin:
            return False if framed or (context.site == b"cross-site" and rules.schemeful) else None
        if context.site == b"cross-site" and rules.schemeful:
            return False
        return self._is_here(text(context.origin), context, area, schemeful=rules.schemeful) and not framed

    def _is_here(self, origin: str, context: Context, area: str, *, schemeful: bool) -> bool:
        """Tell whether an origin, or a site, is of the site that a request goes to."""
        same_scheme = origin.partition(":")[0] == context.scheme
        same_area = self.registrable(host_of(origin.encode("latin-1", "replace"))) == area
        return same_area and (same_scheme or not schemeful)

    def _has_access(self, context: Context) -> bool | None:
        """Tell whether a third party has its unpartitioned cookies."""
        if context.storage_access:
            self.note_storage_access(context.storage_access)
            return self._unpartitioned
        match context.family:
            case BrowserFamily.SPEC:
                return True
            case BrowserFamily.OTHER:
                return False
            case BrowserFamily.FIREFOX if not context.trustworthy:
                # What third parties set has been partitioned by default since version 103.
                return bool(self._unpartitioned)
        return self._unpartitioned

    def _see_access(self, *, unpartitioned: bool) -> None:
        self.changes += unpartitioned is not self._unpartitioned
        self._unpartitioned = unpartitioned

    def _is_suffix(self, domain: str) -> bool:
        return _is_label(domain) or self._is_public_suffix(domain)

    def _is_host(self, context: Context) -> bool:
        """Tell whether a Domain that is the host itself is as good as none, to a name with the prefix `__Host-`.

        Measured: in Chromium with an address, but not with `localhost`; in Firefox with either.
        """
        return _is_address(context.host) or (
            context.family is not BrowserFamily.CHROMIUM and self._is_suffix(context.host)
        )

    def _has_secure(self, name: str, domain: str, path: str, partition: str | None) -> bool:
        """Tell whether there is a secure cookie that one from plain http would replace or hide, section 5.7 step 14."""
        return any(
            isinstance(known, _Known)
            and known.cookie.name == name
            and known.cookie.secure
            and known.certain
            and not known.refused
            and known.partition == partition
            and (domain_matches(domain, known.domain) or domain_matches(known.domain, domain))
            and path_matches(path, known.path)
            for known in self._areas.get(self.registrable(domain), _EMPTY).values()
        )

    def _keep(self, key: _Key | tuple[str, str] | tuple[str, str, str], entry: _Known | _Seen) -> None:
        cookies = self._areas.setdefault(entry.area, OrderedDict())
        self._areas.move_to_end(entry.area)
        if isinstance(entry, _Seen):
            self.changes += key not in cookies
        else:
            self.tells = True
            if entry.path != "/":
                self._paths[entry.path] = None
                if len(self._paths) > PATHS:
                    del self._paths[next(iter(self._paths))]
                    self.changes += 1
        # Out and in again: the oldest is the first.
        cookies.pop(key, None)
        cookies[key] = entry
        bound(cookies, CAPACITY)
        bound(self._areas, AREAS)


def _signature(entry: _Known | _Seen | None, now: float) -> tuple[object, ...] | None:
    """Return all of a cookie that decides whether it travels, as long as it is not about to expire."""
    if not isinstance(entry, _Known):
        return None if entry is None else ()
    expires = entry.cookie.expires
    near = expires if expires is not None and expires < now + 60 else None
    kept = entry.certain, entry.mode_open
    return replace(entry.cookie, expires=near), entry.path, entry.partition, entry.refused, kept


def _has_expired(cookie: SetCookie, now: float) -> bool:
    return cookie.expires is not None and cookie.expires <= now


_WEIGHT = {True: 2, None: 1, False: 0}


def _in_order(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    return tuple(sorted(reasons, key=_ORDER.__getitem__))
