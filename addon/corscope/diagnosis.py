"""What is behind a verdict, and what will hurt later: hints from an exchange and from what one client saw before.

Hints never change a verdict; what is known of tabs and of cookies may serve as evidence. What is told of an exchange
may depend on its credentials mode, which may become known later, so that all is worked out at once. State is bounded
everywhere; cookies are known by name only.
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from corscope.causes import looks_like_login
from corscope.content_security_policy import allows, connect_sources
from corscope.cookie_jar import Context, CookieJar, Fate, Reason, SameSite, parse_set_cookie
from corscope.credentials import BROWSER_SCHEMES, authentication_scheme
from corscope.engine import DEFAULT_MAX_AGE, OK_STATUS, REDIRECT_STATUS, RESPONSE_HEADERS, Fault, varies_with_origin
from corscope.findings import finding
from corscope.follow_ups import Step
from corscope.headers import Fields, Headers, extract_tokens, get, get_all, text
from corscope.http_cache import is_cacheable, stands_in
from corscope.intermediaries import cache_says, intermediary, is_of_a_layer
from corscope.memory import bound, entry
from corscope.model import NO_HINTS, BrowserFamily, Exchange, Finding, Hints, RequestMode, Severity
from corscope.modes import Request
from corscope.origins import OPAQUE, Target, host_of, is_loopback, is_private, origin_of
from corscope.privacy import SHOWN, shown_url
from corscope.stories import Record

ENDPOINTS, ORIGINS, PREFLIGHTS, PAGES, TABS, ANSWERS = 1024, 8, 1024, 128, 512, 512
"""How much is remembered of a client: endpoints, of each the origins that asked, preflights, pages with a policy,
origins of pages, and URLs with an answer to an element's request, or to a CORS request that passed."""

SITUATIONS, OUTLOOK_SECONDS = 512, 30.0
"""For how many kinds of requests the cookie jar's answers are kept, and for how long: cookies expire."""

REPEATED, APART = 3, 600.0
"""How many preflights are worth a word, and what seconds between two of them a reasonable Access-Control-Max-Age would
have covered."""

STALE = 3600.0
"""Seconds after which another origin's answer proves nothing any more of how a server answers now."""

RECENT = 600.0
"""The same for what was answered to a request without Origin, between which and a CORS request of the same URL a server
may have been changed for everybody."""


type _Answer = tuple[bytes, bytes, bytes | None, str, float, bool, bool]
"""What a CORS request got: its origin and method; Allow-Origin, the flow, when (seconds since the epoch); whether it is
an error or a redirect without CORS headers, which tells nothing of how the endpoint treats origins; and whether cookies
came along. A plain tuple, as `_Opaque` and `_Passed` are: most exchanges make one."""


@dataclass(slots=True)
class _Endpoint:
    """What was seen of a URL without its query, where one answer is not all."""

    answers: dict[bytes, tuple[bytes | None, str, float]] = field(default_factory=dict)
    """The Allow-Origin that each origin got last, with the flow, and when, seconds since the epoch."""
    wildcard: dict[tuple[bytes, bytes], str] = field(default_factory=dict)
    """The flow in which a method of an origin was answered `*` although, or because, no cookie came."""
    named: dict[tuple[bytes, bytes], str] = field(default_factory=dict)
    """The flow in which it was answered its origin, with cookies."""

    def take(self, answer: _Answer, response: Headers) -> None:
        """Take note of an answer, with its headers."""
        origin, method, allowed, flow_id, at, failed, with_cookies = answer
        if failed:
            return
        answers = self.answers
        # Only answers to the same method can take each other's place.
        if method in (b"GET", b"HEAD"):
            if answers and (len(answers) > 1 or origin not in answers) and _varies(response):
                # The server has been mended, or some of its answers say it: what was before proves nothing.
                answers.clear()
            answers[origin] = (allowed, flow_id, at)
            if len(answers) > ORIGINS:
                del answers[next(iter(answers))]
        # The latest answer counts: a server may have been mended.
        asked = (origin, method)
        seen, sought = (self.named, origin) if with_cookies else (self.wildcard, b"*")
        if allowed == sought:
            seen[asked] = flow_id
            if len(seen) > ORIGINS:
                del seen[next(iter(seen))]
        else:
            seen.pop(asked, None)


type _Opaque = tuple[str, float, Headers, Fields]
"""What an element of another origin's page got, asking without Origin: flow, when, the request's and the response's
headers."""


type _Passed = tuple[str, float, Headers, bytes, bytes]
"""What a CORS request got that passed: flow, when (seconds since the epoch), the request's headers, its origin, and
Allow-Origin."""


@dataclass(slots=True)
class _Asked:
    """Preflights of one page for one URL."""

    count: int = 0
    spent: float = 0.0
    """Seconds."""
    at: float = 0.0
    """When the latest began, seconds since the epoch."""
    latest: str = ""
    """Its flow: one that is judged again does not count again."""


type _Key = tuple[bytes, tuple[str, ...], bytes | None, bytes | None, bytes | None, tuple[str, ...]]


class _Outlook(NamedTuple):
    """What the cookie jar says of a request, which holds until the jar changes."""

    changes: int
    until: float
    """Seconds since the epoch."""
    withheld: tuple[Finding, ...]
    """Why cookies did not travel: warnings, as if they had been missed."""
    held: tuple[Fate, ...]
    """Cookies that would have travelled with credentials, and did not."""
    unsure: str
    """Cookies that would have travelled unless third-party ones are blocked here, which is not known."""
    mode_open: str
    """Cookies that would have travelled with credentials, if they were set with credentials, which is not known."""
    since: float
    """When the latest of these cookies was set, seconds since the epoch: it holds for no earlier request."""


@dataclass(slots=True)
class _Situation:
    """What is the same for requests that the same cookies travel with."""

    sent: tuple[str, ...]
    """The names of those that did."""
    noted: int = -1
    """The jar's changes when it learned of these: it learns nothing new before there are more."""
    outlook: _Outlook | None = None


class Diagnosis:
    """What one client saw, and what that explains."""

    __slots__ = (
        "_changes",
        "_echoes",
        "_endpoints",
        "_is_platform",
        "_latest",
        "_opaque",
        "_passed",
        "_policies",
        "_preflights",
        "_records_credentials",
        "_situations",
        "_tabs",
        "_vetted",
        "jar",
    )

    def __init__(
        self,
        is_public_suffix: Callable[[str], bool] | None = None,
        is_platform: Callable[[str], bool] | None = None,
    ) -> None:
        """`is_platform` tells a domain below which a company gives names to anybody."""
        self.jar = CookieJar(is_public_suffix) if is_public_suffix is not None else CookieJar()
        self._is_platform = is_platform or (lambda _: False)
        self._records_credentials = False
        """Whether a capture that may be sanitized holds cookies or Authorization after all."""
        self._changes = 0
        """How often it has changed what is known of pages; the jar counts its own changes."""
        self._situations: OrderedDict[_Key, _Situation] = OrderedDict()
        self._latest: tuple[Request, _Situation] | None = None
        """The latest request, for it is looked at more than once."""
        self._endpoints: OrderedDict[tuple[bytes, str], _Answer | _Endpoint] = OrderedDict()
        """By the URL's origin and its path; of most there is but one answer."""
        self._opaque: OrderedDict[str, _Opaque] = OrderedDict()
        """By URL, query included: only answers to the same one take each other's place in a cache."""
        self._passed: OrderedDict[str, _Passed] = OrderedDict()
        """Likewise; those that have been compared with an opaque answer are left out."""
        self._echoes: OrderedDict[bytes, dict[bytes, str]] = OrderedDict()
        """By target: origins that were let in by name and with credentials, with the flow."""
        self._vetted: OrderedDict[tuple[bytes, bytes, int | None], int] = OrderedDict()
        """Targets and origins in which no risk was found, by status, with how many origins were let in by then."""
        self._preflights: OrderedDict[tuple[bytes, str, bytes], _Asked] = OrderedDict()
        """By origin, URL and method: preflights without Access-Control-Max-Age."""
        self._policies: OrderedDict[bytes, tuple[bytes, ...]] = OrderedDict()
        """Content-Security-Policy of pages, by origin."""
        self._tabs: OrderedDict[bytes, str | None] = OrderedDict()
        """Origins of pages that were opened, with their schemeful site; None for those that were seen in a frame."""

    # ------------------------------------------------------------------ what comes in

    def preflight(self, request: Request, record: Record, response: Headers) -> tuple[Finding, ...]:
        """Diagnose a preflight that passes, at least without credentials."""
        age = response.get(b"access-control-max-age", b"")
        if age.isdigit() and int(age[:9]) > DEFAULT_MAX_AGE:
            return ()
        exchange = record.exchange
        method = request.headers.get(b"access-control-request-method", b"")
        asked = entry(self._preflights, (record.origin, record.url, method), PREFLIGHTS, _Asked)
        if asked.latest != exchange.id:
            if exchange.started - asked.at > APART:
                asked.count, asked.spent = 0, 0.0
            asked.latest, asked.at = exchange.id, exchange.started
            asked.count += 1
            asked.spent += exchange.answered - exchange.started
        if asked.count < REPEATED:
            return ()
        said = f"Access-Control-Max-Age: {text(age)}" if age else "no Access-Control-Max-Age"
        values = {"count": str(asked.count), "spent": f"{asked.spent * 1000:.0f}", "said": said}
        return (finding("preflights-repeated", **values),)

    def actual(self, request: Request, record: Record, response: Headers, step: Step | None) -> Hints:
        """Diagnose an actual request or a hop of a redirect chain; `step` is what it follows."""
        origin, exchange = record.origin, record.exchange
        # Refused, perhaps for want of a cookie.
        refused = exchange.status in (401, 403)
        if exchange.sanitized:
            self._look_for_credentials(request, response)
        allowed, hints = response.get(b"access-control-allow-origin"), NO_HINTS
        if not response.keys() <= _WITHOUT_HINTS:
            hints = _answer_hints(
                origin,
                allowed,
                response.get(b"access-control-allow-credentials"),
                response.get(b"access-control-expose-headers"),
                tuple([name for name in response if name not in RESPONSE_HEADERS.wanted]),
                record.dest,
                record.accept,
                bool(record.if_include),
                bool(record.if_omit),
            )
        always: tuple[Finding, ...] = ()
        behind: tuple[Finding, ...] = ()
        if record.if_include or refused:
            if b"authorization" in request.headers:
                behind = _authorization(request, step, text(origin))
            if record.if_omit:
                always = self._behind(request, record, response)
            if record.if_omit or refused:
                always, behind = behind + always, ()
        always += self._compared(request, record, response, allowed)
        if allowed == origin and response.get(b"access-control-allow-credentials") == b"true":
            always += self._risks(request, record)
        elif allowed == b"*":
            always += _private_network(exchange, origin, "any page, for it sends `*`")
        elif not exchange.proxy_made:
            always += _local_network_access(exchange.host, origin)
        if exchange.scheme == "http" and origin.startswith(b"https:") and not is_private(exchange.host):
            always += (finding("mixed-content", origin=text(origin)),)
        if record.before is not None and record.before.hints.always:
            always += tuple([one for one in record.before.hints.always if one.id == "login-redirect"])
        if exchange.status in REDIRECT_STATUS and b"location" in response:
            location = text(response[b"location"])
            # What is part of a login itself goes from one step of it to the next.
            if looks_like_login(location) and not looks_like_login(_path(exchange.path)):
                values = {"status": str(exchange.status), "location": shown_url(location)}
                always += (finding("login-redirect", **values),)
        login = bool(always) and any(one.id == "login-redirect" for one in always)
        include, omit, withheld = self._cookies(request, record, response, hints, login=login)
        if behind:
            include = behind + include
        unknown: tuple[Finding, ...] = ()
        if exchange.sanitized and not self._records_credentials:
            missed = refused or login
            decides = bool(record.if_include) and not record.if_omit
            unknown = (finding("capture-sanitized"),) if decides or missed else ()
        elif refused or login:
            # If it was sent with credentials, this is why none of these came; if not, that is why.
            either = (*include, *[one for one in omit if one not in include])
            unknown = tuple([one for one in either if one.id.startswith(_OF_COOKIES)])
            unknown = self._unsure(request, record, unknown)
        if not (always or withheld or unknown) and include is hints.include and omit is hints.omit:
            return hints
        return Hints(always, include, omit, withheld, unknown)

    def _look_for_credentials(self, request: Request, response: Headers) -> None:
        """Notice that a capture holds what sanitized ones leave out."""
        if b"cookie" in request.headers or b"authorization" in request.headers or b"set-cookie" in response:
            self._records_credentials = True

    @staticmethod
    def refused(record: Record) -> tuple[Finding, ...]:
        """Diagnose an error that is blocked either way: whether the request ever reached the application."""
        exchange = record.exchange
        if (exchange.status or 0) < 400 or exchange.proxy_made:
            return ()
        layer = intermediary(exchange.response_headers, exchange.status or 0)
        return (finding("answered-by-intermediary", evidence=layer),) if layer else ()

    def redirected(self, record: Record, to: Target) -> tuple[Finding, ...]:
        """Diagnose a redirect that passes: whether the page's own policy lets it go on."""
        page = record.page or record.origin
        policies = self._policies.get(page)
        if policies is None or record.dest not in (b"", b"empty"):
            return ()
        for sources in connect_sources(policies):
            if not allows(sources, text(to.origin), text(page)):
                values = {"value": f"connect-src {' '.join(sources) or "'none'"}", "location": to.url}
                return (finding("csp-connect-src", **values),)
        return ()

    def exempt(self, request: Request, mode: RequestMode) -> tuple[Finding, ...]:
        """Diagnose what is none of CORS's business, and may look as if it were."""
        exchange, headers = request.exchange, request.headers
        fields = exchange.response_headers
        if mode is RequestMode.NAVIGATE:
            dest = headers.dest
            if b"sec-fetch-dest" in headers:
                self._opened(request, in_tab=dest == b"document")
            if dest in (b"document", b"iframe", b"frame") and not exchange.proxy_made:
                policies = tuple(get_all(fields, b"content-security-policy"))
                if policies:
                    self._policies[request.target] = policies
                    bound(self._policies, PAGES)
                else:
                    self._policies.pop(request.target, None)
            return ()
        if mode is not RequestMode.NO_CORS:
            return ()
        where, found = headers.site, self._element(request)
        policy = get(fields, b"cross-origin-resource-policy")
        if (policy == b"same-origin" and where in (b"cross-site", b"same-site")) or (
            policy == b"same-site" and where == b"cross-site"
        ):
            said = "origin" if policy == b"same-origin" else "site"
            return (finding("cross-origin-resource-policy", value=text(policy), said=said), *found)
        dest, kind = headers.dest, get(fields, b"content-type")
        answered = exchange.status in OK_STATUS and exchange.status != 204
        if answered and where in CROSS_ORIGIN and dest in ELEMENTS and kind is not None and is_data(kind):
            return (finding("opaque-response-blocking", dest=text(dest), value=text(kind)), *found)
        return found

    def opaque(self, url: str, flow_id: str, at: float, headers: Headers, fields: Fields) -> bool:
        """Note what an element of another origin's page got, asking without Origin; the latest answer counts.

        Returns False where `exempt` has to compare it with what a CORS request got.
        """
        known = self._opaque
        known[url] = flow_id, at, headers, fields
        known.move_to_end(url)
        if len(known) > ANSWERS:
            known.popitem(last=False)
        return url not in self._passed

    def _element(self, request: Request) -> tuple[Finding, ...]:
        """Note what an element's request without Origin got, and compare it with the answer to an earlier CORS request.

        It takes that one's place in a cache; when a page then is blocked, nothing is on the wire.
        """
        exchange, headers, url = request.exchange, request.headers, request.url
        if (
            exchange.method != b"GET"
            or b"origin" in headers
            or headers.site not in CROSS_ORIGIN
            or headers.dest not in ELEMENTS
        ):
            return ()
        fields = exchange.response_headers
        if exchange.status not in OK_STATUS:
            if exchange.status == 304 and varies_with_origin(get_all(fields, b"vary")):
                # That is part of the stored answer now.
                self._opaque.pop(url, None)
            return ()
        answer = exchange.id, exchange.started, headers, fields
        self.opaque(url, *answer)
        passed = self._passed.get(url)
        if passed is None:
            return ()
        flow_id, at, asked, origin, allowed = passed
        if exchange.started - at > RECENT or not stands_in(headers, fields, asked):
            return ()
        evidence = (
            f"{text(origin)} got {_quoted(allowed)} (flow {flow_id}), this request, without "
            "Origin, got neither Allow-Origin nor Vary: Origin: where a cache keeps this answer, that page is blocked"
        )
        return (finding("vary-origin-missing", evidence=evidence),)

    def top_level_site(self, origin: bytes) -> str | None:
        """Return the schemeful site of the page in whose tab an origin's requests are made, None where that is open.

        It is the origin's own where its pages were opened in tabs, and never in a frame. (Caches of frames are kept
        apart for each top-level site, so that the first one in each is on the wire.)
        """
        return self._tabs.get(origin)

    def use_rules(self) -> None:
        """Forget what was worked out by the rules of a browser, for from now on another's apply."""
        self._situations.clear()
        self._latest = None

    def held(self, request: Request, family: BrowserFamily) -> Fate | None:
        """Return a cookie that would have travelled with a request, had it been sent with credentials, and did not."""
        held = self._outlook(request, family).held if self.jar.tells else ()
        return held[0] if held else None

    def travelled(self, request: Request, family: BrowserFamily, names: tuple[str, ...]) -> None:
        """Note that cookies went with a request."""
        situation = self._situation(request)
        if situation.noted == self.jar.changes:
            return
        self.jar.travelled(names, self._context(request, family), request.exchange.id)
        situation.noted = self.jar.changes

    def set_cookie(
        self,
        request: Request,
        family: BrowserFamily,
        *,
        navigation: bool = False,
        top_level_site: str | None = None,
        certain: bool = True,
    ) -> tuple[Finding, ...]:
        """Take the cookies that a response sets into the jar; return why some are refused.

        `certain`: whether the request is known to have been sent with credentials, without which none are taken.
        """
        exchange = request.exchange
        lines = get_all(exchange.response_headers, b"set-cookie")
        context = self._context(request, family, navigation=navigation, top_level_site=top_level_site)
        # Browsers count Max-Age from when the answer is there.
        offered = not certain and get(exchange.response_headers, b"access-control-allow-credentials") == b"true"
        context = replace(context, now=exchange.answered, certain=certain, offered=offered)
        refused: dict[Reason, list[str]] = {}
        for refusal in self.jar.set_cookie(lines, context, exchange.id):
            for reason in refusal.reasons if not is_of_a_layer(refusal.cookie.name) else ():
                refused.setdefault(reason, []).append(refusal.cookie.name)
        return tuple([finding(str(reason), cookies=", ".join(names)) for reason, names in refused.items()])

    def _opened(self, request: Request, *, in_tab: bool) -> None:
        """Note that a page was opened, in a tab of its own or in a frame."""
        target = request.target
        known = self._tabs.get(target, "")
        if target in self._tabs:
            self._tabs.move_to_end(target)
        where = f"{request.exchange.scheme}://{self.jar.registrable(request.exchange.host)}" if in_tab else None
        if known == where or known is None:
            return
        self._tabs[target] = where
        bound(self._tabs, TABS)
        self._changes += 1

    # ------------------------------------------------------------------ what is behind it

    def _context(
        self, request: Request, family: BrowserFamily, *, navigation: bool = False, top_level_site: str | None = None
    ) -> Context:
        exchange, headers = request.exchange, request.headers
        origin = headers.origin or b""
        if top_level_site is None and not navigation:
            top_level_site = self._tabs.get(origin)
        return Context(
            scheme=exchange.scheme,
            host=exchange.host,
            path=exchange.path,
            now=exchange.started,
            family=family,
            site=headers.site or b"",
            origin=origin,
            navigation=navigation,
            top_level_site=top_level_site,
            storage_access=headers.get(b"sec-fetch-storage-access", b""),
        )

    def _cookies(
        self, request: Request, record: Record, response: Headers, hints: Hints, *, login: bool
    ) -> tuple[tuple[Finding, ...], tuple[Finding, ...], tuple[Finding, ...]]:
        """Add to hints what the jar tells: which cookies did not travel, and why; which would have.

        `login` says that the answer leads to a login. Returns the hints for a request with credentials, for one
        without, and why cookies that nobody seems to miss did not travel.
        """
        include, omit = hints.include, hints.omit
        exchange = record.exchange
        if b"set-cookie" in response:
            lines = get_all(exchange.response_headers, b"set-cookie")
            parsed = [parse_set_cookie(line, exchange.answered) for line in lines]
            cookies = ", ".join(one.name for one in parsed if one is not None and not is_of_a_layer(one.name))
            if cookies or not any(parsed):
                client = client_line(record.dest, record.accept)
                # Whoever allows credentials meant the cookie to be taken.
                meant = response.get(b"access-control-allow-credentials") == b"true"
                values = {"cookies": cookies or "none that is well-formed", "client": client}
                ignored = finding("set-cookie-ignored", None if meant else Severity.INFO, **values)
                omit = (*(one for one in omit if one.id != "allow-credentials-unused"), ignored)
        if exchange.sanitized and not self._records_credentials:
            return include, omit, ()
        if not self.jar.tells:
            if access := request.headers.get(b"sec-fetch-storage-access"):
                self.jar.note_storage_access(access)
            return include, omit, ()
        outlook = self._outlook(request, record.browser.family)
        if outlook.held and response.get(b"access-control-allow-credentials") == b"true":
            shown = ", ".join(f"{fate.name}, set in flow {fate.flow_id}" for fate in outlook.held[:4])
            # Who sends a token means that, and not cookies.
            wanted = exchange.status in (401, 403) and b"authorization" not in request.headers
            severity = Severity.WARNING if wanted or b"set-cookie" in response else Severity.INFO
            client = client_line(record.dest, record.accept)
            opt_in = finding("client-did-not-opt-in", severity, cookies=shown, client=client)
            omit = (*(one for one in omit if one.id != "allow-credentials-unused"), opt_in)
        elif outlook.mode_open and _misses_credentials(request, record, response, login=login):
            values = {"cookies": outlook.mode_open, "client": client_line(record.dest, record.accept)}
            once = finding("client-did-not-always-opt-in", **values)
            # If it was sent with credentials, that which set the cookies was not.
            include = (*include, once)
            omit = (*(one for one in omit if one.id != "allow-credentials-unused"), once)
        if not outlook.withheld:
            return include, omit, ()
        refused = exchange.status in (401, 403) or login
        if b"cookie" in request.headers and not refused:
            # Others did travel, and the server was content with them.
            return include, omit, outlook.withheld
        # That a cookie has another domain or path, or has expired, is meant mostly.
        told = tuple([one for one in outlook.withheld if one.id in _SETTINGS])
        rest = tuple([one for one in outlook.withheld if one.id not in _SETTINGS])
        if refused and b"cookie" not in request.headers:
            return include + told + tuple([replace(one, severity=Severity.INFO) for one in rest]), omit, ()
        return include + tuple([replace(one, severity=Severity.INFO) for one in told]), omit, rest

    def _unsure(self, request: Request, record: Record, found: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """Say of cookies that never came back all that may be the reason, where the credentials mode is not known."""
        unsure = self._outlook(request, record.browser.family).unsure if self.jar.tells else ""
        if not unsure or b"authorization" in request.headers:
            return found
        client = client_line(record.dest, record.accept)
        either = finding("client-or-third-party", cookies=unsure, client=client)
        return (either, *(one for one in found if one.id != Reason.THIRD_PARTY_BLOCKED))

    def _situation(self, request: Request) -> _Situation:
        """Return the situation that a request is in: what decides which cookies travel with it, and those that did."""
        if self._latest is not None and self._latest[0] is request:
            return self._latest[1]
        headers, paths = request.headers, self.jar.matching_paths(request.exchange.path)
        sent = headers.cookie_names
        key = request.target, paths, headers.origin, headers.site, headers.get(b"sec-fetch-storage-access"), sent
        situation = self._situations.get(key)
        if situation is None:
            situation = self._situations[key] = _Situation(sent)
            bound(self._situations, SITUATIONS)
        self._latest = request, situation
        return situation

    def _outlook(self, request: Request, family: BrowserFamily) -> _Outlook:
        """Return what the jar says of a request."""
        now, situation = request.exchange.started, self._situation(request)
        sent, known = situation.sent, situation.outlook
        if (
            known is not None
            and known.changes == self._changes + self.jar.changes
            and known.since <= now
            and known.until > now
        ):
            return known
        told = [
            fate
            for fate in self.jar.travel(self._context(request, family))
            if fate.name not in sent and not is_of_a_layer(fate.name)
        ]
        # What this very answer set is known when it is judged once more, and had no part in its request.
        fates = [fate for fate in told if fate.flow_id != request.exchange.id]
        mode_open: list[str] = []
        withheld: dict[Reason, list[str]] = {}
        never: list[str] = []
        for fate in fates:
            if fate.travels is False:
                how = f"{'refused' if fate.refused else 'set'} in flow {fate.flow_id}"
                if fate.mode_open:
                    how += ", if that was sent with credentials"
                for reason in fate.reasons:
                    withheld.setdefault(reason, []).append(f"{fate.name} ({how})")
            elif fate.mode_open:
                if fate.since <= now:
                    mode_open.append(f"{fate.name}, set in flow {fate.flow_id}")
            elif fate.travels is None and _meant_for_third_parties(fate, request):
                never.append(f"{fate.name} (set in flow {fate.flow_id}, and never came back)")
                withheld.setdefault(Reason.THIRD_PARTY_BLOCKED, []).append(never[-1])
        found = tuple([finding(str(reason), cookies=", ".join(names[:4])) for reason, names in withheld.items()])
        # One that another answer set after this request was on its way could not come along.
        held = tuple([fate for fate in fates if fate.travels and fate.since <= now])
        since = max(
            [fate.since for fate in told if fate.travels or (fate.travels is None and fate.mode_open)], default=0.0
        )
        outlook = _Outlook(
            self._changes + self.jar.changes,
            now + OUTLOOK_SECONDS,
            found,
            held,
            ", ".join(never[:4]),
            ", ".join(mode_open[:4]),
            since,
        )
        if len(fates) == len(told) and since <= now:
            situation.outlook = outlook
        return outlook

    def _behind(self, request: Request, record: Record, response: Headers) -> tuple[Finding, ...]:
        """Tell what an exchange that is blocked either way failed for besides the header that is missing."""
        exchange, status, fault = record.exchange, record.exchange.status or 0, record.if_omit[0]
        found: tuple[Finding, ...] = ()
        missing = fault.id == "allow-origin-missing"
        copy = cache_says(exchange.response_headers) if missing and status < 400 and not _varies(response) else ""
        if copy:
            found += (finding("cached-without-origin", evidence=copy),)
        if missing and status >= 400 and not exchange.proxy_made:
            said = _STATUS_SAYS.get(status, "")
            found += (finding("error-page-without-cors", status=str(status), said=f": {said}" if said else ""),)
            found += self.refused(record)
        if fault.id == "allow-origin-mismatch":
            found += self._cached(request, record, response, fault)
        return found

    def _cached(self, request: Request, record: Record, response: Headers, fault: Fault) -> tuple[Finding, ...]:
        value, exchange = fault.values["value"], record.exchange
        if "://" not in value or _varies(response):
            return ()
        named, evidence = value.encode("latin-1"), ""
        key = (request.target, _path(exchange.path))
        known = self._endpoints.get(key)
        answers = self._endpoint(key, known).answers if known is not None else {}
        before = answers.get(named)
        # Who was seen to answer nobody else may be configured to name this one origin always.
        if before is not None and before[0] == named and any(got not in (named, None) for got, *_ in answers.values()):
            evidence = f"{value} itself asked before, and got this answer (flow {before[1]})"
        copy = cache_says(exchange.response_headers)
        if copy:
            evidence += f"{' and ' if evidence else ''}the answer says of itself that it is a copy ({copy})"
        return (finding("cached-for-another-origin", value=value, evidence=evidence),) if evidence else ()

    def _endpoint(self, key: tuple[bytes, str], known: _Answer | _Endpoint) -> _Endpoint:
        """Return an endpoint of which something is known: one answer may be all so far."""
        if isinstance(known, _Endpoint):
            return known
        endpoint = self._endpoints[key] = _Endpoint()
        # Before the first answer nothing is known that its headers might call into question.
        endpoint.take(known, {})
        return endpoint

    def _compared(
        self, request: Request, record: Record, response: Headers, allowed: bytes | None
    ) -> tuple[Finding, ...]:
        """Compare an answer with what the same endpoint answered to others."""
        exchange, origin = record.exchange, record.origin
        method, key = exchange.method, (request.target, _path(exchange.path))
        failed = allowed is None and (exchange.status or 0) >= 300
        answer = origin, method, allowed, exchange.id, exchange.started, failed, b"cookie" in request.headers
        beside = self._beside_opaque(request, record, allowed) if method == b"GET" else ()
        known = self._endpoints.get(key)
        if known is None:
            self._endpoints[key] = answer
            if len(self._endpoints) > ENDPOINTS:
                self._endpoints.popitem(last=False)
            return beside
        endpoint = self._endpoint(key, known)
        endpoint.take(answer, response)
        found, answers = beside, endpoint.answers
        if not beside and not failed and len(answers) > 1 and is_cacheable(exchange):
            found = _vary_origin_missing(answers, origin, allowed, exchange.started)
        wildcard, named = endpoint.wildcard.get((origin, method)), endpoint.named.get((origin, method))
        if wildcard is not None and named is not None and exchange.id in (wildcard, named):
            evidence = f"flow {wildcard} without and flow {named} with cookies"
            found += (finding("wildcard-until-login", evidence=evidence, origin=text(origin)),)
        return found

    def _beside_opaque(self, request: Request, record: Record, allowed: bytes | None) -> tuple[Finding, ...]:
        """Compare an answer with what an element got at the same URL, asking without Origin."""
        exchange, url = record.exchange, record.url
        if allowed is None:
            # Where another one passes later, the server has been changed meanwhile, perhaps for everybody.
            self._opaque.pop(url, None)
            self._passed.pop(url, None)
            return ()
        if record.if_omit or exchange.status not in OK_STATUS:
            return ()
        answer = self._opaque.get(url)
        if answer is None or exchange.started - answer[1] > RECENT or not stands_in(*answer[2:], request.headers):
            self._passed[url] = exchange.id, exchange.started, request.headers, record.origin, allowed
            self._passed.move_to_end(url)
            if len(self._passed) > ANSWERS:
                self._passed.popitem(last=False)
            return ()
        # Told here, and not of the element's next answer once more.
        self._passed.pop(url, None)
        evidence = (
            f"A request without Origin got neither Allow-Origin nor Vary: Origin (flow {answer[0]}), "
            f"{text(record.origin)} got {_quoted(allowed)} (this flow), and is blocked where a cache keeps the former"
        )
        return (finding("vary-origin-missing", evidence=evidence),)

    def _risks(self, request: Request, record: Record) -> tuple[Finding, ...]:
        """Tell who is let in with credentials that perhaps should not be."""
        origin, exchange = record.origin, record.exchange
        key = (request.target, origin, exchange.status)
        vetted, echoes = self._vetted.get(key), self._echoes.get(request.target)
        by_hand = self._sent_by_hand(request, origin)
        if vetted is not None and by_hand is None and echoes is not None and len(echoes) == vetted:
            return ()
        severity, said = _answered(exchange)
        if origin == OPAQUE:
            return (finding("null-origin-trusted", severity, said=said),)
        who = f"{text(origin)}, whose name may be one of the public web"
        found = _private_network(exchange, origin, who)
        if exchange.scheme == "https" and origin.startswith(b"http://") and not is_private(host_of(origin)):
            found += (finding("http-origin-trusted", severity, origin=text(origin), said=said),)
        echoes = entry(self._echoes, request.target, ENDPOINTS, dict[bytes, str])
        if origin not in echoes:
            echoes[origin] = exchange.id
            if len(echoes) > ORIGINS:
                del echoes[next(iter(echoes))]
        if len(echoes) < 2 and by_hand is None:
            return self._vet(key, found)
        own, asking = self._site(request.target), self._site(origin)
        if asking != own and not _is_developers(host_of(origin)):
            others = [
                other
                for other in echoes
                if self._site(other) not in (asking, own) and not _is_developers(host_of(other))
            ]
            evidence = None
            if others:
                evidence = f"{text(others[0])} in flow {echoes[others[0]]}, {text(origin)} in this one"
            elif by_hand is not None:
                evidence = f"{text(origin)}, named by hand: {by_hand}"
            if evidence is not None:
                found += (finding("origin-reflected-with-credentials", severity, evidence=evidence, said=said),)
        suffix = host_of(origin).partition(".")[2]
        if "." in suffix and self._is_platform(suffix):
            siblings = [other for other in echoes if other != origin and host_of(other).partition(".")[2] == suffix]
            if siblings:
                evidence = f"{text(siblings[0])} in flow {echoes[siblings[0]]}, {text(origin)} in this one"
                values = {"suffix": suffix, "evidence": evidence, "said": said}
                found += (finding("platform-origins-trusted", severity, **values),)
        return self._vet(key, found)

    def _sent_by_hand(self, request: Request, origin: bytes) -> str | None:
        """Tell how it shows that an Origin of another site is none of a browser's making: somebody tries."""
        headers = request.headers
        where = headers.site
        if where == b"same-site":
            asking = origin_of(headers.get(b"referer", b""))
            # In reverse mode the URL is the upstream server's, and tells nothing of what the browser asked.
            if asking != origin and self._site(asking) == self._site(request.target):
                return f"the browser said that {text(asking)} asks"
            return None
        if where is not None:
            return None
        agent = headers.get(b"user-agent", b"Mozilla/")
        if agent.startswith((b"Mozilla/", b"Opera/")) or not origin.startswith(b"http"):
            return None
        # A page's script may say that it is something else, and so does a web view or a CDN; not without all of these.
        names = [name.lower() for name, _ in request.exchange.request_headers]
        if not _OF_BROWSERS_OR_GATEWAYS.isdisjoint(names) or any(name.startswith(b"sec-") for name in names):
            return None
        return "the User-Agent is no browser's"

    def _site(self, origin: bytes) -> tuple[bytes, str]:
        """Return the schemeful site of an origin; of one of a platform's, which is told apart, the platform."""
        host = host_of(origin)
        suffix = host.partition(".")[2]
        whose = suffix if "." in suffix and self._is_platform(suffix) else self.jar.registrable(host)
        return origin.partition(b":")[0], whose

    def _vet(self, key: tuple[bytes, bytes, int | None], found: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """Remember that there is no risk, until another origin is let in."""
        if not found:
            self._vetted[key] = len(self._echoes[key[0]])
            bound(self._vetted, ENDPOINTS)
        return found


# ---------------------------------------------------------------------- rules without memory


def _meant_for_third_parties(fate: Fate, request: Request) -> bool:
    """Tell a cookie that is meant for other sites' pages, in a browser that does not say whether those get any."""
    cookie, headers = fate.cookie, request.headers
    return (
        cookie is not None
        and cookie.same_site is SameSite.NONE
        and cookie.secure
        and cookie.expires is None
        and headers.site == b"cross-site"
        and b"sec-fetch-storage-access" not in headers
    )


def _misses_credentials(request: Request, record: Record, response: Headers, *, login: bool) -> bool:
    """Tell a request that was refused for want of credentials, by a server that would have taken a page's."""
    status, headers = record.exchange.status, request.headers
    return (
        # What follows a redirect to a login has nothing to miss.
        (status in (401, 403) or (login and status in REDIRECT_STATUS))
        and b"cookie" not in headers
        and b"authorization" not in headers
        and response.get(b"access-control-allow-credentials") == b"true"
        and response.get(b"access-control-allow-origin") == record.origin
        and record.dest != b"font"
    )


def client_line(dest: bytes, accept: bytes) -> str:
    """Return what to write in the client so that a request of this kind is sent with credentials."""
    if accept == b"text/event-stream":
        return "In the client write: new EventSource(url, { withCredentials: true })"
    if dest == b"font":
        return "Fonts are always asked for without credentials; there is nothing to opt in with."
    if dest in ELEMENTS:
        return 'In the page write crossorigin="use-credentials" on the element.'
    return (
        'In the client write: fetch(url, { credentials: "include" }), with XMLHttpRequest xhr.withCredentials = true, '
        "with axios { withCredentials: true }."
    )


CROSS_ORIGIN = frozenset((b"cross-site", b"same-site"))
"""Sec-Fetch-Site of requests to another origin."""

ELEMENTS = frozenset((b"audio", b"image", b"manifest", b"script", b"style", b"track", b"video"))


_WITHOUT_HINTS = RESPONSE_HEADERS.wanted - {b"access-control-allow-credentials", b"access-control-expose-headers"}
"""An answer that has no others but these says nothing that `_answer_hints` has a word on."""


@lru_cache(maxsize=256)
def _answer_hints(
    origin: bytes,
    allowed: bytes | None,
    credentials: bytes | None,
    exposed: bytes | None,
    names: tuple[bytes, ...],
    dest: bytes,
    accept: bytes,
    include_blocked: bool,
    omit_blocked: bool,
) -> Hints:
    """Return what an answer's own headers tell; the same ones come with every response of a server."""
    listed = [name.lower() for name in extract_tokens(exposed) or ()]
    hidden = [name for name in names if name not in listed]
    include: tuple[Finding, ...] = ()
    omit: tuple[Finding, ...] = ()
    if b"*" in listed and hidden:
        # Said of what is blocked as well: it is what the page would meet next.
        shown = ", ".join(text(name) for name in (*(one for one in listed if one != b"*"), *hidden))
        include += (finding("expose-headers-wildcard-with-credentials", headers=shown),)
    if omit_blocked:
        return Hints((), include) if include else NO_HINTS
    if hidden and b"*" not in listed:
        values = {
            "headers": ", ".join(map(text, hidden)),
            "exposed": ", ".join(map(text, dict.fromkeys((*listed, *hidden)))),
        }
        if not include_blocked:
            include += (finding("response-headers-not-exposed", **values),)
        omit += (finding("response-headers-not-exposed", **values),)
    if credentials == b"true":
        if allowed == b"*":
            omit += (finding("allow-credentials-beside-wildcard", origin=text(origin)),)
        else:
            omit += (finding("allow-credentials-unused", client=client_line(dest, accept)),)
    elif credentials is not None:
        omit += (finding("allow-credentials-meaningless", value=text(credentials)),)
    return Hints((), include, omit)


def _varies(response: Headers) -> bool:
    return varies_with_origin((response.get(b"vary", b""),))


_OF_BROWSERS_OR_GATEWAYS = frozenset((b"accept-language", b"referer", b"via", b"forwarded", b"x-forwarded-for"))


def _is_developers(host: str) -> bool:
    """Tell a host on a developer's own machine, which is on many lists."""
    return is_loopback(host) or host == "0.0.0.0"


_OF_COOKIES = ("cookie-", "client-", "set-cookie-")

_SETTINGS = frozenset(
    (
        Reason.PREFIX_VIOLATED,
        Reason.SAMESITE_NONE_WITHOUT_SECURE,
        Reason.PARTITIONED_WITHOUT_SECURE,
        Reason.SECURE_OVER_HTTP,
        Reason.OVERWRITES_SECURE,
        Reason.SAMESITE_STRICT,
        Reason.SAMESITE_LAX,
        Reason.SAMESITE_DEFAULT,
        Reason.PARTITIONED_ELSEWHERE,
        Reason.THIRD_PARTY_BLOCKED,
    )
)
"""Why a cookie may stay at home unexpectedly. That it has another domain or path, or has expired, is meant mostly."""


def _vary_origin_missing(
    answers: dict[bytes, tuple[bytes | None, str, float]], origin: bytes, allowed: bytes | None, now: float
) -> tuple[Finding, ...]:
    for other, (got, flow, at) in answers.items():
        if other == origin or now - at > STALE or got == allowed or (got in (None, b"*") and allowed in (None, b"*")):
            continue
        evidence = f"{text(other)} got {_quoted(got)} (flow {flow}), {text(origin)} got {_quoted(allowed)} (this flow)"
        if allowed == other:
            evidence += ": the answer of the other"
        return (finding("vary-origin-missing", evidence=evidence),)
    return ()


def _quoted(value: bytes | None) -> str:
    return "no Allow-Origin" if value is None else f"“{shown_url(text(value[:SHOWN]))}”"


_STATUS_SAYS = {
    401: "nobody is logged in, or the session's cookie or token did not come",
    403: "the server refuses this user or this origin",
    404: "there is nothing at this URL",
    405: "the server does not take this method here",
    413: "the request was too large",
    429: "too many requests",
    500: "the application failed",
    502: "the application could not be reached",
    503: "the application is overloaded or being restarted",
    504: "the application took too long",
}


def _authorization(request: Request, step: Step | None, origin: str) -> tuple[Finding, ...]:
    """Say who set the Authorization of a request, and how we know."""
    known = authentication_scheme(request.headers[b"authorization"])
    scheme = known or "of no known scheme"
    asked = step.asked if step is not None and step.is_preflight else None
    if asked is not None and step is not None:
        if b"authorization" in asked:
            return (finding("authorization-by-script", evidence=f"its preflight asked for it (flow {step.flow_id})"),)
        evidence = f"its preflight (flow {step.flow_id}) did not ask for it"
        if scheme.lower() not in BROWSER_SCHEMES:
            return (finding("authorization-on-the-way", scheme=scheme, evidence=evidence),)
        return (finding("authorization-by-browser", scheme=scheme, evidence=evidence, origin=origin),)
    if scheme.lower() not in BROWSER_SCHEMES:
        said = f"{scheme} credentials" if known else "credentials of no known scheme"
        return (finding("authorization-by-script", evidence=f"browsers never send {said} by themselves"),)
    return (finding("authorization-by-either", scheme=scheme, origin=origin),)


def _answered(exchange: Exchange) -> tuple[Severity, str]:
    """Return how much a risk weighs: by what was really answered."""
    status = exchange.status
    empty = status in (204, 205) or get(exchange.response_headers, b"content-length") == b"0"
    if status is not None and 200 <= status < 300 and not empty:
        return Severity.WARNING, ""
    if status is not None and 200 <= status < 300:
        return Severity.INFO, " (this answer is empty)"
    return Severity.INFO, f" (this answer has status {status}, and may hold nothing worth reading)"


def _private_network(exchange: Exchange, origin: bytes, who: str) -> tuple[Finding, ...]:
    asked = _local_network_access(exchange.host, origin)
    return (_exposed(exchange.host, who, *_answered(exchange)), *asked) if asked else ()


@lru_cache(maxsize=256)
def _exposed(host: str, who: str, severity: Severity, said: str) -> Finding:
    return finding("private-network-exposed", severity, host=host, who=who, said=said)


@lru_cache(maxsize=256)
def _local_network_access(host: str, origin: bytes) -> tuple[Finding, ...]:
    """Tell a request from the web to a private network, for which Chromium asks whatever the answer allows."""
    if origin == OPAQUE or not is_private(host) or is_private(host_of(origin)):
        return ()
    return (finding("local-network-access", host=host),)


_DATA = re.compile(rb"(?:application|text)/(?:[a-z0-9.+-]*\+)?(?:json|xml)|text/html", re.IGNORECASE)


@lru_cache(maxsize=256)
def is_data(content_type: bytes) -> bool:
    """Tell a type that opaque response blocking never lets an element have: JSON, XML (but SVG) and HTML."""
    essence = content_type.partition(b";")[0].strip().lower()
    return _DATA.fullmatch(essence) is not None and not essence.startswith(b"image/")


def _path(path: str) -> str:
    return path.partition("?")[0]
