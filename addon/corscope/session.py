"""The session: joins preflights, actual requests and redirects into stories, and what they prove of each other.

An exchange enters with `judge` (or `pass_by` where it is none of CORS's business); verdicts come out, first its own,
then those of earlier exchanges that it settles. Time comes in with the exchanges: live and replayed traffic are judged
alike. State is kept per client and bounded everywhere; nothing here knows mitmproxy.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from corscope import console
from corscope.cookies import Route, TravelLog
from corscope.credentials import (
    Evidence,
    Strength,
    absence_evidence,
    authorization_evidence,
    cookie_names,
    font_evidence,
    recognise,
    request_evidence,
)
from corscope.engine import (
    CORS_SAFELISTED_METHODS,
    REDIRECT_STATUS,
    RESPONSE_HEADERS,
    Fault,
    Faults,
    Headers,
    cors_check,
    cors_preflight_fetch,
    cors_preflight_reason,
    http_redirect_fetch,
    origin_after_redirect,
    script_set_names,
)
from corscope.findings import conditional_findings, fault_findings, preflight_findings
from corscope.headers import Fields, names, pick, text
from corscope.model import (
    Browser,
    BrowserFamily,
    Credentials,
    Exchange,
    Finding,
    Kind,
    Outcome,
    RequestMode,
    Verdict,
)
from corscope.modes import REQUEST_HEADERS, Subject, is_cors_preflight, post_mode, request_mode
from corscope.origins import (
    Target,
    host_of,
    is_potentially_trustworthy,
    parse_location,
    serialize_origin,
    site,
)
from corscope.preflights import Permission, permission

FOLLOW_UP_SECONDS = 10.0
"""A browser sends what a preflight permits, or follows a redirect, at once; what comes later is another request."""

DEFAULT_GRACE = 3.0
"""Seconds after which a preflight that nothing followed is taken to have failed in the browser."""

ACTIVITY_SECONDS = 0.5
"""At the end of a capture: for how long a client must have gone on after such a preflight."""

CLIENTS, CONNECTIONS, FOLLOW_UPS, PERMISSIONS, WAITING, STORED = 256, 512, 2048, 1024, 4096, 1024
"""How much is remembered: clients, and of each its connections, unfollowed steps, preflights' permissions, undecided
stories of a connection, stored responses. The oldest go first."""


@dataclass(slots=True, eq=False)
class _Story:
    """Exchanges that share one credentials mode: a preflight, what it permitted, the hops of a redirect."""

    credentials: Credentials = Credentials.UNKNOWN
    strength: Strength = Strength.WEAK
    evidence: tuple[str, ...] = ()
    contradicted: bool = False
    undecided: list["_Record"] = field(default_factory=list)
    """Exchanges whose verdict the credentials mode changes."""
    connections: list["_Connection"] = field(default_factory=list)
    redirects: int = 0


@dataclass(slots=True, eq=False)
class _Connection:
    """A client connection and the class of requests on it.

    Chromium never mixes credentialed and uncredentialed requests on one connection (net/socket: the privacy mode is
    part of ClientSocketPool::GroupId), preflights being among the latter; Firefox on HTTP/1.1 (the anonymous flag of
    nsHttpConnectionInfo). https://fetch.spec.whatwg.org/#concept-connection-obtain
    """

    credentials: Credentials = Credentials.UNKNOWN
    evidence: str = ""
    mixed: bool = False
    """Both kinds were seen: something other than a browser's own connection, so it says nothing."""
    waiting: deque[_Story] = field(default_factory=lambda: deque(maxlen=WAITING))


@dataclass(slots=True, eq=False)
class _Record:
    """An exchange that was judged, with what is needed to judge it again."""

    exchange: Exchange
    kind: Kind
    subject: Subject
    origin: bytes
    url: str
    browser: Browser
    story: _Story
    if_include: Faults
    if_omit: Faults
    findings: tuple[Finding, ...] = ()
    preflight: str | None = None
    preflight_reason: str | None = None
    redirected_from: str | None = None
    first_url: str | None = None
    """Where the redirect chain began, None outside one."""
    dest: bytes = b""
    accept: bytes = b""
    stored_unknown: bool = False


@dataclass(slots=True, eq=False)
class _Group:
    """Steps that look alike to what followed them, so that it can't be told which one was followed."""

    members: list["_FollowUp"]
    claims: int = 0
    uncertain: bool = False
    """Something else (a warm preflight cache) may have let the follower go without any of them."""


@dataclass(slots=True, eq=False)
class _FollowUp:
    """A step after which the browser sends another request, unless it was blocked."""

    record: _Record | None
    """None for a hop on the page's own origin, which no CORS check applies to."""
    flow_id: str
    answered: float
    origins: frozenset[bytes | None]
    methods: tuple[bytes, ...]
    asked: frozenset[bytes]
    """For a preflight, the header names it asked for."""
    is_preflight: bool
    dest: bytes
    first_url: str | None
    redirects: int
    claimed: bool = False
    group: _Group | None = None


@dataclass(frozen=True, slots=True)
class _Link:
    """What a request was found to follow."""

    step: _FollowUp | None
    certain: bool
    """Whether it follows that very step, and not maybe another one that looks alike."""
    credentials: Evidence | None


_NO_LINK = _Link(None, False, None)


@dataclass(slots=True, eq=False)
class _Client:
    """What is remembered of one client."""

    browser: Browser
    last_started: float = 0.0
    connections: OrderedDict[str, _Connection] = field(default_factory=OrderedDict)
    follow_ups: OrderedDict[str, list[_FollowUp]] = field(default_factory=OrderedDict)
    permissions: OrderedDict[tuple[bytes, str], list[Permission]] = field(default_factory=OrderedDict)
    stored: OrderedDict[str, dict[bytes, bytes]] = field(default_factory=OrderedDict)
    top_level_sites: set[str] = field(default_factory=set)
    cookies: TravelLog = field(default_factory=TravelLog)
    links: OrderedDict[str, _Link] = field(default_factory=OrderedDict)
    """What requests that have begun, but not been answered, follow; by exchange id."""


def _keep[K, V](cache: OrderedDict[K, V], capacity: int) -> None:
    while len(cache) > capacity:
        cache.popitem(last=False)


class Session:
    """Judges the exchanges of a proxy's life, or of a capture, in the order in which their responses came."""

    def __init__(self, *, browser: str = "auto", grace: float = DEFAULT_GRACE) -> None:
        """`browser` is `auto`, `chromium`, `firefox` or `spec`; `grace` in seconds."""
        self.browser = browser
        self.grace = grace
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._unfollowed: deque[tuple[_Client, _FollowUp]] = deque()
        self._settled: list[_Record] = []
        self._now = 0.0

    # ------------------------------------------------------------------ what comes in

    def pass_by(
        self, client: str, connection: str | None, started: float, fields: Fields, response: Fields, status: int
    ) -> bool:
        """Take note of an ordinary exchange; False when it needs `judge` (it has an Origin, is a navigation or 3xx).

        This is the path of most traffic, so it reads the headers once and builds nothing.
        """
        if 300 <= status < 400:
            return False
        credentialed = ""
        for name, value in fields:
            length = len(name)
            if length == 6:
                lower = name.lower()
                if lower == b"origin":
                    return False
                if lower == b"cookie":
                    credentialed = "cookies"
            elif length == 14 and value == b"navigate" and name.lower() == b"sec-fetch-mode":
                return False
            elif length == 24 and name.lower() == b"sec-fetch-storage-access":
                credentialed = "Sec-Fetch-Storage-Access"
        known = self._clients.get(client)
        if known is None:
            return False
        if started > known.last_started:
            known.last_started = started
        if known.cookies:
            for name, _ in response:
                if len(name) == 10 and name.lower() == b"set-cookie":
                    known.cookies.set_cookie(response)
                    break
        if credentialed and connection is not None:
            link = known.connections.get(connection)
            if link is None or (link.credentials is not Credentials.INCLUDE and not link.mixed):
                self._learn_connection(self._connection(known, connection), Credentials.INCLUDE, credentialed)
        return True

    def begin(self, exchange: Exchange) -> list[Verdict]:
        """Take note of a request before its response, so that a slow answer does not look like no request at all."""
        request = pick(exchange.request_headers, REQUEST_HEADERS)
        client = self._client(exchange, request)
        target, url = _target(exchange)
        preflight = is_cors_preflight(exchange.method, request)
        subject = request_mode(exchange.method, request, exchange.request_headers, target)
        if preflight or subject.exempt is None:
            client.links[exchange.id] = self._link(client, exchange, request, url, preflight)
            _keep(client.links, FOLLOW_UPS)
        return self._drain()

    def judge(self, exchange: Exchange) -> list[Verdict]:
        """Judge an exchange with its response: its verdict, then those of earlier exchanges that it settles."""
        if exchange.status is None:
            return self.begin(exchange)
        request = pick(exchange.request_headers, REQUEST_HEADERS)
        response = pick(exchange.response_headers, RESPONSE_HEADERS)
        client = self._client(exchange, request)
        if client.cookies and b"set-cookie" in response:
            client.cookies.set_cookie(exchange.response_headers)
        target, url = _target(exchange)
        preflight = is_cors_preflight(exchange.method, request)
        subject = request_mode(exchange.method, request, exchange.request_headers, target)
        if preflight:
            subject = Subject(RequestMode.CORS, None)
        link = client.links.pop(exchange.id, None)
        if link is None:
            link = _NO_LINK
            if subject.exempt is None:
                link = self._link(client, exchange, request, url, preflight)
        if subject == Subject(RequestMode.UNKNOWN, None):
            # Only a CORS request has a preflight, or an origin that redirects have tainted.
            follows_cors = link.step is not None and (link.step.is_preflight or request.get(b"origin") == b"null")
            subject = Subject(RequestMode.CORS, None) if follows_cors else post_mode(request, response)
        if subject.exempt is not None:
            first = self._judge_exempt(client, exchange, request, response, target, url, subject)
            self._pass_time(exchange.answered)
            return [first, *self._drain()]
        record = self._judge_cors(client, exchange, request, response, target, url, subject, preflight, link)
        self._pass_time(exchange.answered)
        # What it proved may have settled the exchange itself: its verdict is then the first one already.
        self._settled = [other for other in self._settled if other is not record]
        return [self._verdict(record), *self._drain()]

    def settle(self, now: float) -> list[Verdict]:
        """Return the verdicts that the passing of time settles; `now` in seconds since the epoch."""
        self._pass_time(now)
        return self._drain()

    def finish(self) -> list[Verdict]:
        """Return the verdicts that the end of a capture settles: nothing more will follow."""
        for client, step in self._unfollowed:
            if client.last_started - step.answered >= ACTIVITY_SECONDS:
                self._not_followed(step)
        self._unfollowed.clear()
        return self._drain()

    def clear(self) -> None:
        """Forget everything."""
        self.__init__(browser=self.browser, grace=self.grace)  # type: ignore[misc]

    # ------------------------------------------------------------------ judging

    def _judge_exempt(
        self,
        client: _Client,
        exchange: Exchange,
        request: Headers,
        response: Headers,
        target: bytes,
        url: str,
        subject: Subject,
    ) -> Verdict:
        mode = subject.mode
        if mode is RequestMode.NAVIGATE and request.get(b"sec-fetch-dest") == b"document":
            if len(client.top_level_sites) < CONNECTIONS:
                client.top_level_sites.add(site(target))
        if exchange.connection is not None and self._is_partitioned(client, exchange):
            if b"cookie" in request or b"sec-fetch-storage-access" in request or mode is RequestMode.NAVIGATE:
                what = "cookies" if b"cookie" in request else "a navigation"
                self._learn_connection(self._connection(client, exchange.connection), Credentials.INCLUDE, what)
        kind, faults = Kind.ACTUAL, ()
        origin = request.get(b"origin")
        assert exchange.status is not None
        if exchange.status in REDIRECT_STATUS and b"location" in response:
            kind = Kind.REDIRECT
            if mode in (RequestMode.CORS, RequestMode.UNKNOWN):
                to = parse_location(url, text(response[b"location"]))
                if to is not None and to.scheme in ("http", "https"):
                    if mode is RequestMode.CORS:
                        faults = self._redirect_faults(exchange, request, origin, target, to, 0)
                    self._expect_redirect(client, exchange, request, None, origin, target, to, url, 0)
        outcome = Outcome.BLOCKED if faults else Outcome.EXEMPT
        fault = faults[0] if faults else None
        page = text(origin or target)
        return Verdict(
            flow_id=exchange.id,
            timestamp=exchange.started,
            method=text(exchange.method),
            url=url,
            status=exchange.status,
            kind=kind,
            mode=mode,
            origin=text(origin) if origin is not None else None,
            credentials=Credentials.UNKNOWN,
            credentials_evidence=(),
            outcome=outcome,
            devtools_error=console.devtools_error(fault, preflight=False) if fault else None,
            failed_parameter=fault.parameter if fault else None,
            console=console.sentence(fault, kind="fetch", url=url, first_url=None, origin=page, preflight=False)
            if fault
            else None,
            findings=fault_findings(faults),
            note=subject.exempt or "",
            browser=client.browser.family.value,
        )

    def _judge_cors(
        self,
        client: _Client,
        exchange: Exchange,
        request: Headers,
        response: Headers,
        target: bytes,
        url: str,
        subject: Subject,
        preflight: bool,
        link: _Link,
    ) -> _Record:
        status = exchange.status
        assert status is not None
        origin = request.get(b"origin", b"")
        step = link.step
        story = step.record.story if step is not None and link.certain and step.record is not None else _Story()
        record = _Record(
            exchange=exchange,
            kind=Kind.PREFLIGHT if preflight else Kind.ACTUAL,
            subject=subject,
            origin=origin,
            url=url,
            browser=client.browser,
            story=story,
            if_include=(),
            if_omit=(),
            dest=request.get(b"sec-fetch-dest", b""),
            accept=request.get(b"accept", b""),
        )
        if step is not None:
            if step.is_preflight:
                record.preflight = step.flow_id
                record.redirected_from = step.record.redirected_from if step.record else None
            else:
                record.redirected_from = step.flow_id
            record.first_url = step.first_url
            story.redirects = max(story.redirects, step.redirects)
        if preflight:
            self._judge_preflight(client, record, request, response)
        else:
            self._judge_actual(client, record, request, response, target, step)
        # ---- what this exchange proves
        if link.credentials is not None:
            self._learn(story, link.credentials)
        self._learn_from_request(client, record, request, target, step)
        if self._is_open(record):
            story.undecided.append(record)
        self._join_connection(client, record, preflight)
        return record

    def _judge_preflight(self, client: _Client, record: _Record, request: Headers, response: Headers) -> None:
        exchange = record.exchange
        status = exchange.status or 0
        method = request[b"access-control-request-method"]
        asked = request.get(b"access-control-request-headers", b"")
        unsafe = tuple(name.strip().lower() for name in asked.split(b",") if name.strip())
        family = client.browser.family
        fields = exchange.response_headers
        record.if_omit = cors_preflight_fetch(
            record.origin, method, unsafe, status, response, include=False, family=family, fields=fields
        )
        record.if_include = cors_preflight_fetch(
            record.origin, method, unsafe, status, response, include=True, family=family, fields=fields
        )
        record.preflight_reason = cors_preflight_reason(method, unsafe, ())
        if record.if_omit:
            return
        record.findings = preflight_findings(unsafe, response)
        step = _FollowUp(
            record=record,
            flow_id=exchange.id,
            answered=exchange.answered,
            origins=frozenset((record.origin, b"null") if family is BrowserFamily.FIREFOX else (record.origin,)),
            methods=(method,),
            asked=frozenset(unsafe),
            is_preflight=True,
            dest=record.dest,
            first_url=record.first_url,
            redirects=record.story.redirects,
        )
        self._expect(client, record.url, step)
        if record.if_include:
            self._unfollowed.append((client, step))
        kept = permission(
            exchange.id, method, response, exchange.answered, family, for_include=not record.if_include
        )
        if kept is not None:
            entries = client.permissions.setdefault((record.origin, record.url), [])
            entries[:] = [entry for entry in entries if entry.expires > exchange.answered][-15:]
            entries.append(kept)
            client.permissions.move_to_end((record.origin, record.url))
            _keep(client.permissions, PERMISSIONS)

    def _judge_actual(
        self,
        client: _Client,
        record: _Record,
        request: Headers,
        response: Headers,
        target: bytes,
        step: _FollowUp | None,
    ) -> None:
        exchange = record.exchange
        status = exchange.status or 0
        family = client.browser.family
        checked: Headers = response
        if status == 304 and (b"if-none-match" in request or b"if-modified-since" in request):
            # The browser checks the stored response's headers, overlaid with those of the 304.
            stored = client.stored.get(record.url)
            if stored is not None:
                checked = {**stored, **response}
            elif b"access-control-allow-origin" not in response:
                record.stored_unknown = True
        elif b"etag" in response or b"last-modified" in response:
            client.stored[record.url] = dict(response)
            client.stored.move_to_end(record.url)
            _keep(client.stored, STORED)
        fields = exchange.response_headers
        omit = cors_check(record.origin, checked, include=False, family=family, fields=fields)
        include = cors_check(record.origin, checked, include=True, family=family, fields=fields)
        if status in REDIRECT_STATUS and b"location" in response:
            record.kind = Kind.REDIRECT
            story = record.story
            to = parse_location(record.url, text(response[b"location"]))
            if to is None:
                then: Faults = (Fault("redirect-location", "", {"location": text(response[b"location"])}),)
            else:
                then = self._redirect_faults(exchange, request, record.origin, target, to, story.redirects)
            omit, include = omit + then, include + then
            upgraded = bool(then) and then[0].id == "redirect-mixed-content"
            if to is not None and (not omit or upgraded):
                first = record.first_url or record.url
                count = story.redirects + 1
                self._expect_redirect(client, exchange, request, record, record.origin, target, to, first, count)
        record.if_omit, record.if_include = omit, include
        if step is None or not step.is_preflight:
            self._explain_missing_preflight(client, record)

    def _redirect_faults(
        self,
        exchange: Exchange,
        request: Headers,
        origin: bytes | None,
        current: bytes,
        to: Target,
        redirects: int,
    ) -> Faults:
        secure_page = (origin or current).startswith(b"https://") or (
            origin == b"null" and request.get(b"referer", b"").startswith(b"https://")
        )
        trustworthy = to.scheme not in ("http",) or is_potentially_trustworthy(to.scheme, host_of(to.origin))
        return http_redirect_fetch(
            origin, current, to, secure_page=secure_page, redirects=redirects, trustworthy=trustworthy
        )

    def _explain_missing_preflight(self, client: _Client, record: _Record) -> None:
        """Say how an actual request could go without a preflight of its own. It never accuses: caches are unseen."""
        exchange = record.exchange
        unsafe = script_set_names(exchange.request_headers)
        if exchange.method in CORS_SAFELISTED_METHODS and not unsafe:
            return
        covering = [entry for entry in self._permissions(client, record) if self._covers(client, entry, exchange)]
        if covering:
            record.preflight = covering[-1].flow_id
            record.preflight_reason = "its preflight was answered before and is in the browser's preflight cache"
        else:
            record.preflight_reason = "its preflight was not seen: answered before, or from the browser's cache"

    def _permissions(self, client: _Client, record: _Record) -> list[Permission]:
        return self._valid_permissions(client, record.origin, record.url, record.exchange.started)

    @staticmethod
    def _valid_permissions(client: _Client, origin: bytes, url: str, now: float) -> list[Permission]:
        return [entry for entry in client.permissions.get((origin, url), ()) if entry.expires >= now]

    @staticmethod
    def _covers(client: _Client, entry: Permission, exchange: Exchange) -> bool:
        unsafe = script_set_names(exchange.request_headers)
        return entry.covers(exchange.method, unsafe, client.browser.family)

    # ------------------------------------------------------------------ follow-ups

    def _expect_redirect(
        self,
        client: _Client,
        exchange: Exchange,
        request: Headers,
        record: _Record | None,
        origin: bytes | None,
        current: bytes,
        to: Target,
        first_url: str,
        redirects: int,
    ) -> None:
        method = exchange.method
        if (exchange.status == 303 and method not in (b"GET", b"HEAD")) or (
            exchange.status in (301, 302) and method == b"POST"
        ):
            method = b"GET"
        following = origin_after_redirect(origin, current, to.origin)
        origins: set[bytes | None] = {following}
        if client.browser.family is BrowserFamily.FIREFOX and origin is not None:
            # Firefox sends the preflight of a tainted hop with the real origin (browser bug, nsCORSListenerProxy.cpp).
            origins.add(origin)
        step = _FollowUp(
            record=record,
            flow_id=exchange.id,
            answered=exchange.answered,
            origins=frozenset(origins),
            methods=(method,),
            asked=frozenset(),
            is_preflight=False,
            dest=request.get(b"sec-fetch-dest", b""),
            first_url=first_url,
            redirects=redirects,
        )
        self._expect(client, to.url, step)
        if to.scheme == "http":
            # HSTS may turn it into https without a trace on the wire.
            self._expect(client, f"https{to.url[4:]}", step)

    @staticmethod
    def _expect(client: _Client, url: str, step: _FollowUp) -> None:
        steps = client.follow_ups.setdefault(url, [])
        steps[:] = [old for old in steps if step.answered - old.answered <= FOLLOW_UP_SECONDS][-31:]
        steps.append(step)
        client.follow_ups.move_to_end(url)
        _keep(client.follow_ups, FOLLOW_UPS)

    def _link(
        self, client: _Client, exchange: Exchange, request: Headers, url: str, preflight: bool
    ) -> _Link:
        """Find the step that a request follows, and what having been followed proves."""
        steps = client.follow_ups.get(url)
        if not steps:
            return _NO_LINK
        candidates = [step for step in steps if self._can_follow(step, exchange, request, preflight)]
        if not candidates:
            return _NO_LINK
        mode = self._known_credentials(client, exchange, request, preflight)
        if mode is Credentials.INCLUDE:
            candidates = [step for step in candidates if not self._only_omit(step)]
        elif mode is Credentials.OMIT:
            candidates = [step for step in candidates if self._mode_of(step) is not Credentials.INCLUDE]
        preflights = [step for step in candidates if step.is_preflight]
        candidates = preflights or candidates
        if not candidates:
            return _NO_LINK
        return self._claim(client, candidates, exchange, request)

    def _can_follow(self, step: _FollowUp, exchange: Exchange, request: Headers, preflight: bool) -> bool:
        if step.claimed or not 0 <= exchange.started - step.answered <= FOLLOW_UP_SECONDS:
            return False
        if request.get(b"origin") not in step.origins or request.get(b"sec-fetch-dest", b"") != step.dest:
            return False
        if step.is_preflight:
            if preflight or exchange.method not in step.methods:
                return False
            return step.asked.issuperset(script_set_names(exchange.request_headers)) and step.asked.issubset(
                names(exchange.request_headers)
            )
        method = request[b"access-control-request-method"] if preflight else exchange.method
        return method in step.methods

    def _claim(self, client: _Client, candidates: list[_FollowUp], exchange: Exchange, request: Headers) -> _Link:
        chosen = candidates[0]
        chosen.claimed = True
        cached = chosen.is_preflight and self._could_be_cached(client, candidates, exchange, request)
        if len(candidates) == 1 and not cached and chosen.group is None:
            self._followed(chosen)
            return _Link(chosen, True, None)
        # Which of several was followed can't be told, unless each of them is in the end.
        group = _Group([])
        for step in candidates:
            if step.group is not None and step.group is not group:
                group.claims += step.group.claims
                group.uncertain |= step.group.uncertain
                group.members += [member for member in step.group.members if member not in group.members]
                for member in step.group.members:
                    member.group = group
            if step not in group.members:
                group.members.append(step)
            step.group = group
        group.claims += 1
        group.uncertain |= cached
        if group.claims == len(group.members) and not group.uncertain:
            for step in group.members:
                self._followed(step)
        evidence = None
        if all(map(self._only_omit, candidates)) and not cached:
            evidence = Evidence(Credentials.OMIT, Strength.CERTAIN, "follows a step that credentials would have stopped")
        return _Link(chosen, False, evidence)

    def _could_be_cached(
        self, client: _Client, candidates: list[_FollowUp], exchange: Exchange, request: Headers
    ) -> bool:
        """Tell whether the preflight cache may have let a request go, so that it need not follow any candidate.

        A fetch in cache mode "no-store" or "reload", which shows as Cache-Control: no-cache, always asks anew.
        """
        if request.get(b"cache-control") == b"no-cache" and request.get(b"pragma") == b"no-cache":
            return False
        own = {step.flow_id for step in candidates}
        entries = self._valid_permissions(client, request.get(b"origin", b""), _target(exchange)[1], exchange.started)
        return any(entry.flow_id not in own and self._covers(client, entry, exchange) for entry in entries)

    @staticmethod
    def _only_omit(step: _FollowUp) -> bool:
        return step.record is not None and bool(step.record.if_include)

    @staticmethod
    def _mode_of(step: _FollowUp) -> Credentials:
        return step.record.story.credentials if step.record is not None else Credentials.UNKNOWN

    def _known_credentials(
        self, client: _Client, exchange: Exchange, request: Headers, preflight: bool
    ) -> Credentials:
        """Tell a request's credentials mode before anything is joined, as far as it goes."""
        if b"sec-fetch-storage-access" in request or (b"cookie" in request and not preflight):
            return Credentials.INCLUDE
        if not preflight and exchange.connection is not None:
            link = client.connections.get(exchange.connection)
            if link is not None and self._is_partitioned(client, exchange):
                return link.credentials
        return Credentials.UNKNOWN

    def _followed(self, step: _FollowUp) -> None:
        record = step.record
        if record is None or not record.if_include:
            return
        what = "the preflight was" if step.is_preflight else "the redirect was"
        text_ = f"{what} followed, which credentials would have stopped"
        self._learn(record.story, Evidence(Credentials.OMIT, Strength.CERTAIN, text_))

    def _not_followed(self, step: _FollowUp) -> None:
        record = step.record
        if record is None or step.claimed or record.story.credentials is not Credentials.UNKNOWN:
            return
        if step.group is not None and (step.group.claims or step.group.uncertain):
            return
        text_ = "without credentials the preflight would have passed, yet nothing followed it"
        self._learn(record.story, Evidence(Credentials.INCLUDE, Strength.STRONG, text_))

    def _pass_time(self, now: float) -> None:
        self._now = max(self._now, now)
        while self._unfollowed and self._now - self._unfollowed[0][1].answered >= self.grace:
            self._not_followed(self._unfollowed.popleft()[1])

    # ------------------------------------------------------------------ credentials

    def _learn_from_request(
        self, client: _Client, record: _Record, request: Headers, target: bytes, step: _FollowUp | None
    ) -> None:
        exchange = record.exchange
        preflight = record.kind is Kind.PREFLIGHT
        story = record.story
        direct = request_evidence(
            request,
            exchange.request_headers,
            preflight=preflight,
            client_certificate=exchange.client_certificate,
            browser=client.browser,
        )
        untainted = record.origin != b"null" and (step is None or step.is_preflight)
        route = Route(record.origin, exchange.scheme, exchange.host, request.get(b"sec-fetch-site", b""))
        if direct is not None:
            self._learn(story, direct)
            if untainted and not preflight and b"cookie" in request:
                sent = cookie_names(exchange.request_headers)
                client.cookies.travelled(route, sent, exchange.path, exchange.started, exchange.id)
            return
        if preflight or exchange.sanitized:
            return
        asked = tuple(step.asked) if step is not None and step.is_preflight else None
        for evidence in (
            authorization_evidence(request, asked),
            absence_evidence(
                request,
                origin=record.origin,
                target=target,
                browser=client.browser,
                top_level_sites=client.top_level_sites,
            ),
            font_evidence(request),
        ):
            if evidence is not None:
                self._learn(story, evidence)
        if untainted and story.credentials is Credentials.UNKNOWN and client.cookies:
            expected = client.cookies.expected(route, exchange.path, exchange.started)
            if expected is not None:
                name, flow_id = expected
                text_ = f"no cookie {name}, which travelled on this route before (flow {flow_id})"
                self._learn(story, Evidence(Credentials.OMIT, Strength.STRONG, text_))

    def _learn(self, story: _Story, evidence: Evidence) -> None:
        if evidence.strength is Strength.WEAK or evidence.credentials is Credentials.UNKNOWN:
            if evidence.text not in story.evidence:
                story.evidence += (evidence.text,)
            return
        if story.contradicted:
            return
        if story.credentials is evidence.credentials:
            story.strength = max(story.strength, evidence.strength)
            if evidence.text not in story.evidence and len(story.evidence) < 4:
                story.evidence += (evidence.text,)
            return
        if story.credentials is not Credentials.UNKNOWN:
            if evidence.strength < story.strength:
                return
            if evidence.strength == story.strength:
                # Two proofs against each other: something is not what it seems, so nothing is said.
                story.contradicted = True
                story.credentials = Credentials.UNKNOWN
                story.evidence += (f"contradicted by: {evidence.text}",)
                self._settled += story.undecided
                return
            story.evidence = ()
        story.credentials, story.strength = evidence.credentials, evidence.strength
        story.evidence += (evidence.text,)
        self._settled += story.undecided
        for connection in story.connections:
            self._learn_connection(connection, story.credentials, evidence.text)

    def _learn_connection(self, connection: _Connection, credentials: Credentials, evidence: str) -> None:
        if connection.mixed or connection.credentials is credentials:
            return
        if connection.credentials is not Credentials.UNKNOWN:
            connection.mixed = True
            connection.credentials = Credentials.UNKNOWN
            return
        connection.credentials, connection.evidence = credentials, evidence
        waiting = list(connection.waiting)
        connection.waiting.clear()
        for story in waiting:
            self._learn(story, _connection_evidence(connection))

    def _join_connection(self, client: _Client, record: _Record, preflight: bool) -> None:
        exchange = record.exchange
        if exchange.connection is None or not self._is_partitioned(client, exchange):
            return
        connection = self._connection(client, exchange.connection)
        if preflight:
            self._learn_connection(connection, Credentials.OMIT, "a preflight")
            return
        story = record.story
        if story.credentials is not Credentials.UNKNOWN:
            if not any("connection" in evidence for evidence in story.evidence[:1]):
                self._learn_connection(connection, story.credentials, story.evidence[0])
        elif connection.credentials is not Credentials.UNKNOWN:
            self._learn(story, _connection_evidence(connection))
        elif not connection.mixed:
            connection.waiting.append(story)
            story.connections.append(connection)

    @staticmethod
    def _is_partitioned(client: _Client, exchange: Exchange) -> bool:
        family = client.browser.family
        return family is BrowserFamily.CHROMIUM or (family is BrowserFamily.FIREFOX and exchange.http_version == 1)

    # ------------------------------------------------------------------ state

    def _client(self, exchange: Exchange, request: Headers) -> _Client:
        client = self._clients.get(exchange.client)
        if client is None:
            if self.browser == "auto":
                browser = recognise(request.get(b"user-agent", b""))
            else:
                seen = recognise(request.get(b"user-agent", b""))
                family = BrowserFamily(self.browser)
                browser = Browser(family=family, version=seen.version if seen.family is family else 0)
            client = self._clients[exchange.client] = _Client(browser)
            _keep(self._clients, CLIENTS)
        else:
            self._clients.move_to_end(exchange.client)
        client.last_started = max(client.last_started, exchange.started)
        return client

    @staticmethod
    def _connection(client: _Client, connection_id: str) -> _Connection:
        connection = client.connections.get(connection_id)
        if connection is None:
            connection = client.connections[connection_id] = _Connection()
            _keep(client.connections, CONNECTIONS)
        else:
            client.connections.move_to_end(connection_id)
        return connection

    # ------------------------------------------------------------------ what goes out

    @staticmethod
    def _is_open(record: _Record) -> bool:
        """Tell whether the credentials mode changes anything that is said."""
        include, omit = record.if_include, record.if_omit
        return bool(include) != bool(omit) or (bool(include) and include[0].id != omit[0].id)

    def _drain(self) -> list[Verdict]:
        settled, self._settled = self._settled, []
        seen: set[int] = set()
        verdicts = []
        for record in settled:
            if id(record) not in seen:
                seen.add(id(record))
                verdicts.append(self._verdict(record))
        return verdicts

    def _verdict(self, record: _Record) -> Verdict:
        story = record.story
        exchange = record.exchange
        credentials = story.credentials
        preflight = record.kind is Kind.PREFLIGHT
        faults = record.if_include if credentials is Credentials.INCLUDE else record.if_omit
        findings = record.findings
        page = text(record.origin)
        note = ""
        settled = True
        if record.stored_unknown or (credentials is Credentials.UNKNOWN and not record.if_omit and record.if_include):
            outcome = Outcome.CONDITIONAL
            settled = False
        elif not faults:
            outcome = Outcome.ALLOWED
        elif record.subject.mode is RequestMode.UNKNOWN:
            outcome = Outcome.CONDITIONAL
        else:
            outcome = Outcome.BLOCKED
        fault = faults[0] if outcome is Outcome.BLOCKED else None
        kind = console.initiator(record.dest, record.accept)
        sentence = None
        if fault is not None:
            sentence = console.sentence(
                fault, kind=kind, url=record.url, first_url=record.first_url, origin=page, preflight=preflight
            )
            findings = fault_findings(faults, proxy_made=exchange.proxy_made) + findings
        elif outcome is Outcome.CONDITIONAL:
            why = faults or record.if_include
            findings = conditional_findings(record.stored_unknown, record.subject.mode, why, page) + findings
            note = findings[0].values.get("missing", "")
        return Verdict(
            flow_id=exchange.id,
            timestamp=exchange.started,
            method=text(exchange.method),
            url=record.url,
            status=exchange.status or 0,
            kind=record.kind,
            mode=record.subject.mode,
            origin=page,
            credentials=credentials,
            credentials_evidence=story.evidence,
            outcome=outcome,
            devtools_error=console.devtools_error(fault, preflight=preflight) if fault else None,
            failed_parameter=fault.parameter if fault and console.devtools_error(fault, preflight=preflight) else None,
            console=sentence,
            findings=findings,
            note=note,
            preflight=record.preflight,
            redirected_from=record.redirected_from,
            preflight_reason=record.preflight_reason,
            browser=record.browser.family.value,
            settled=settled,
        )

    def open_records(self) -> Iterator[str]:
        """Yield the ids of exchanges still waiting for what follows them."""
        return (step.flow_id for _, step in self._unfollowed if not step.claimed)


def _connection_evidence(connection: _Connection) -> Evidence:
    kind = "credentialed" if connection.credentials is Credentials.INCLUDE else "uncredentialed"
    return Evidence(
        connection.credentials,
        Strength.STRONG,
        f"on a connection of {kind} requests, which this browser never mixes (it also carried: {connection.evidence})",
    )


def _target(exchange: Exchange) -> tuple[bytes, str]:
    """Return the serialized origin of an exchange's URL, and the URL."""
    origin = serialize_origin(exchange.scheme, exchange.host, exchange.port)
    return origin, origin.decode("ascii", "replace") + exchange.path
