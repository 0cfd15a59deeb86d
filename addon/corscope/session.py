"""The session: joins preflights, actual requests and redirects into stories, and what they prove of each other.

An exchange enters with `judge` (or `pass_by` where it is none of CORS's business); verdicts come out, first its own,
then those of earlier exchanges that it settles. Time comes in with the exchanges: live and replayed traffic are judged
alike. State is kept per client and bounded everywhere; nothing here knows mitmproxy.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Protocol

from corscope.causes import Answer
from corscope.cookie_jar import parse_set_cookie
from corscope.cookies import REMEMBERED_SECONDS, Route, TravelLog
from corscope.credentials import (
    BROWSER_SCHEMES,
    Evidence,
    Strength,
    absence_evidence,
    authentication_scheme,
    authorization_evidence,
    font_evidence,
    recognise,
    request_evidence,
)
from corscope.diagnosis import CROSS_ORIGIN, ELEMENTS, Diagnosis, is_data
from corscope.engine import (
    OK_STATUS,
    REDIRECT_STATUS,
    RESPONSE_HEADERS,
    Fault,
    Faults,
    as_firefox_reads,
    cors_check,
    cors_preflight_fetch,
    cors_preflight_reason,
    http_redirect_fetch,
    method_after_redirect,
    origin_after_redirect,
    requested_names,
)
from corscope.findings import (
    conditional_finding,
    devtools_error,
    fault_findings,
    finding,
    max_age_findings,
    preflight_findings,
    record_findings,
)
from corscope.follow_ups import NO_LINK, UPGRADABLE, FollowUps, Link, Step, Unfollowed, claim
from corscope.headers import Fields, Headers, get, get_all, pick, text
from corscope.memory import bound
from corscope.model import (
    NO_HINTS,
    Browser,
    BrowserFamily,
    Credentials,
    Exchange,
    Finding,
    Hints,
    Kind,
    Observed,
    Outcome,
    RequestMode,
    Severity,
    Verdict,
)
from corscope.modes import (
    BEACON,
    REPORTS,
    UNDECIDED,
    Request,
    Subject,
    is_report_upload,
    is_unseen,
    may_be_cors,
    post_mode,
    request_mode,
    url_of,
)
from corscope.origins import Target, host_of, is_potentially_trustworthy, parse_location, site
from corscope.preflights import Permission, permission
from corscope.privacy import shown_origin
from corscope.stories import Connection, Evidences, Record, Story
from corscope.verdicts import verdict_of

DEFAULT_GRACE = 3.0
"""Seconds after which a preflight that nothing followed is taken to have failed in the browser."""

ACTIVITY_SECONDS = 0.5
"""At the end of a capture: for how long a client must have gone on after such a preflight."""

CLIENTS, CONNECTIONS, SITES, PERMISSIONS, STORED, BEGUN, JUDGED, REFUSED = 256, 512, 512, 1024, 1024, 2048, 32, 64
"""How much is remembered: clients, and of each its connections, top-level sites, preflights' permissions, stored
responses, requests without a response, exchanges that may be judged again and answers after which a browser may ask
again. The oldest go first."""

PERMISSIONS_PER_URL = 16

_WITH_COOKIES, _WITH_STORAGE_ACCESS = "a request with cookies", "a request with Sec-Fetch-Storage-Access"
"""What is said of a connection on which such a request was seen."""

CONNECTIONS_PER_HOST = 8

IDLE_SECONDS = 60.0
"""After so long without a request a connection may be closed: it then no longer keeps another one to its class."""


type Known = Record | Verdict
"""What is known of an exchange that was judged: a verdict at once where nothing that follows could change it."""


type _Judged = tuple[Link, Request, Record]
"""An exchange that was judged, with what it follows. A plain tuple, for every one gets one."""


@dataclass(slots=True, eq=False)
class _Client:
    """What is remembered of one client."""

    browser: Browser
    """Whose rules apply."""
    recognised: Browser
    """Who it is."""
    last_started: float = 0.0
    """When its latest request began, seconds since the epoch."""
    connections: OrderedDict[str, Connection] = field(default_factory=OrderedDict)
    hosts: OrderedDict[bytes, list[Connection]] = field(default_factory=OrderedDict)
    """The connections to each host, by its serialized origin, where a browser may use several classes on one."""
    follow_ups: FollowUps = field(default_factory=FollowUps)
    permissions: OrderedDict[tuple[bytes, str], list[Permission]] = field(default_factory=OrderedDict)
    stored: OrderedDict[str, Headers] = field(default_factory=OrderedDict)
    """CORS headers of responses that the browser may revalidate, by URL."""
    top_level_sites: set[str] = field(default_factory=set)
    refused: OrderedDict[tuple[bytes, str, bytes], Record] = field(default_factory=OrderedDict)
    """Answers after which a browser may ask once more by itself, by origin, URL and method."""
    mixes: bool = False
    """Whether a Chromium was seen to use a connection for both classes: it does where it is set to block all cookies,
    which makes every request one of privacy mode (measured)."""
    tells_storage_access: bool = False
    """Whether it was seen to send Sec-Fetch-Storage-Access: how it treats cookies is a setting."""
    cookies: TravelLog = field(default_factory=TravelLog)
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    begun: OrderedDict[str, tuple[Link, Request]] = field(default_factory=OrderedDict)
    """Requests that have begun, but not been answered, with what they follow; by exchange id."""
    judged: OrderedDict[str, _Judged] = field(default_factory=OrderedDict)
    """The latest exchanges that were judged, by id: something on the proxy may still change their responses."""

    def connection(self, connection_id: str) -> Connection:
        connection = self.connections.get(connection_id)
        if connection is None:
            connection = self.connections[connection_id] = Connection()
            bound(self.connections, CONNECTIONS)
        else:
            self.connections.move_to_end(connection_id)
        return connection

    def is_twin(self, connection: Connection, request: Request) -> bool:
        """Tell whether Firefox uses another connection to the same host beside this uncredentialed one, over HTTP/2.

        Firefox has one such connection for each of the two classes (the anonymous flag of nsHttpConnectionInfo), but
        lets a class without one of its own join the other's. While two are in use, neither takes the other's requests:
        measured, without an exception.
        """
        now = request.exchange.started
        return any(
            other is not connection
            and other.requests > 2
            and other.credentials is not Credentials.OMIT
            and other.first < now < other.latest + IDLE_SECONDS
            for other in self.hosts.get(request.target, ())
        )

    def count(self, connection: Connection, request: Request) -> None:
        """Count a CORS request on a connection."""
        started = request.exchange.started
        if not connection.requests:
            connection.first = started
            beside = self.hosts.setdefault(request.target, [])
            beside.append(connection)
            del beside[:-CONNECTIONS_PER_HOST]
            bound(self.hosts, CONNECTIONS)
        connection.requests += 1
        connection.latest = max(connection.latest, started)

    def separates(self, exchange: Exchange) -> bool:
        """Tell whether this browser keeps credentialed and uncredentialed requests on separate connections."""
        if exchange.connection is None:
            return False
        family = self.browser.family
        if family is BrowserFamily.CHROMIUM:
            return not self.mixes
        return family is BrowserFamily.FIREFOX and exchange.http_version == 1

    def covering(self, request: Request, *, besides: Collection[str] = ()) -> list[Permission]:
        """Return the permissions that may have spared an uncredentialed request its preflight, oldest first.

        `besides` are the flows of preflights that are not asked about.
        """
        exchange = request.exchange
        known = self.permissions.get((request.headers.origin or b"", request.url), ())
        return [
            entry
            for entry in known
            if entry.flow_id not in besides
            and entry.covers(exchange.method, request.headers.unsafe_names, self.browser.family, exchange.started)
        ]


_TELLING = frozenset(
    spelled
    for name in (b"Set-Cookie", b"Cross-Origin-Resource-Policy")
    for spelled in (name, name.lower(), name.upper())
)
"""Response headers for which an ordinary exchange is looked at, in the spellings that servers use."""


_DECIDE = frozenset(
    (
        "cross-origin-resource-policy",
        "mode-unknown",
        "redirect-bad-port",
        "redirect-locations",
        "redirect-mixed-content",
        "redirect-scheme",
        "redirect-unsafe",
    )
)
"""What decides of an exchange that is none of CORS's business."""


_FOLLOWED_PREFLIGHT, _FOLLOWED_REDIRECT = (
    Evidence(
        Credentials.OMIT,
        Strength.CERTAIN,
        f"the {what} was followed, although credentials would have stopped it",
    )
    for what in ("preflight", "redirect")
)


_ASKED_AGAIN = frozenset((401, 408, 421))
"""Answers after which browsers ask once more by themselves, before any CORS check (measured)."""

AGAIN_SECONDS, LOGIN_SECONDS = 1.0, 600.0
"""How soon after such an answer, at most; and how long a login may take."""


class _Flow(Protocol):
    """What an exchange is to those who have it: an `Exchange`, or something of theirs with the same id."""

    id: str


class Session:
    """Judges the exchanges of a proxy's life, or of a capture, in the order in which their responses came."""

    def __init__(
        self,
        *,
        browser: str = "auto",
        grace: float = DEFAULT_GRACE,
        is_public_suffix: Callable[[str], bool] | None = None,
        is_platform: Callable[[str], bool] | None = None,
    ) -> None:
        """`browser` is `auto`, `chromium`, `firefox` or `spec`; `grace` in seconds.

        `is_public_suffix` tells whether names below a domain belong to different owners, for what is said of cookies;
        `is_platform` whether a company gives them to anybody, for what is said of risks.
        """
        self.browser = browser
        self.grace = grace
        self.is_public_suffix, self.is_platform = is_public_suffix, is_platform
        self.silence: frozenset[str] = frozenset()
        """Findings that are not told; what decides a verdict stays its reason."""
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._unfollowed: Unfollowed[_Client] = Unfollowed()
        self._evidences = Evidences()
        self._now = 0.0
        self._latest: _Client | None = None
        """The client that was heard of last."""

    # ------------------------------------------------------------------ what comes in

    def pass_by[F: _Flow](
        self,
        client: str,
        connection: str | None,
        started: float,
        headers: Headers,
        response: Fields,
        status: int,
        flow: F,
        url_of: Callable[[F, Headers], str],
    ) -> bool:
        """Take note of an ordinary exchange; False when it needs `judge`.

        That is when it has an Origin, is a navigation, a redirect or a report, sets a cookie, has a policy of its own,
        or is what an element of another origin's page asked for, and data or to be compared with what a CORS request
        got.

        `headers` are what `modes.read_head` reads of the request. This is the path of most traffic: it builds nothing,
        and asks for the URL (`url_of` a flow and its headers) only where that may matter.
        """
        if b"origin" in headers or 300 <= status < 400:
            return False
        known = self._clients.get(client)
        get = headers.get
        mode = get(b"sec-fetch-mode")
        if known is None or mode == b"navigate" or (mode is None and get(b"content-type") == REPORTS):
            return False
        told = dict(response)
        if not _TELLING.isdisjoint(told):
            return False
        if get(b"sec-fetch-site") in CROSS_ORIGIN and get(b"sec-fetch-dest") in ELEMENTS:
            if is_data(told.get(b"content-type") or told.get(b"Content-Type") or b""):
                return False
            # Elements only ever GET.
            if (
                mode == b"no-cors"
                and status in OK_STATUS
                and not known.diagnosis.opaque(url_of(flow, headers), flow.id, started, headers, response)
            ):
                return False
        if started > known.last_started:
            known.last_started = started
        if b"sec-fetch-storage-access" in headers:
            known.tells_storage_access = True
        if connection is not None and (b"cookie" in headers or b"sec-fetch-storage-access" in headers):
            link = known.connections.get(connection)
            if link is None or (link.credentials is not Credentials.INCLUDE and not link.mixed):
                what = _WITH_COOKIES if b"cookie" in headers else _WITH_STORAGE_ACCESS
                self._evidences.classify(known.connection(connection), Credentials.INCLUDE, what)
        return True

    def waits_for(self, path: str) -> bool:
        """Tell whether some preflight may wait for a request to `path` (query included), and its verdict with it."""
        return self._unfollowed.waits_for(path)

    def begin(self, exchange: Exchange) -> list[Verdict]:
        """Take note of a request before its response, so that a slow answer does not look like no request at all.

        That matters only while a preflight waits for it (`waits_for`): the rest is seen in time with the response.
        """
        self._begin(exchange)
        return self._drain()

    def _begin(self, exchange: Exchange) -> None:
        known = self._clients.get(exchange.client)
        if known is None:
            return
        if exchange.started > known.last_started:
            known.last_started = exchange.started
        if not known.follow_ups.awaits(url_of(exchange)):
            return
        request = Request(exchange)
        client = self._client(request)
        # One that dies comes a second time, and must not take a second step for its own.
        if exchange.id not in client.begun and (
            request_mode(request, client.browser).exempt is None or is_report_upload(request, client.browser)
        ):
            client.begun[exchange.id] = (self._link(client, request), request)
            bound(client.begun, BEGUN)

    def judge(self, exchange: Exchange) -> list[Verdict]:
        """Judge an exchange with its response: its verdict, then those of earlier exchanges that it settles.

        An exchange without a response (`status` None) is taken note of as by `begin`, unless a HAR tells of it: it may
        never have been sent. An exchange that was judged just before is judged anew: something on the proxy changed the
        response before the browser saw it.
        """
        known = self._take(exchange, maybe_again=True)
        if known is None:
            return self._drain()
        self._pass_time(exchange.answered)
        told = [self.say(known)]
        if self._evidences.settled:
            told += self._drain(besides=known)
        return told

    def take(self, exchange: Exchange) -> Known | None:
        """Judge an exchange as `judge` does, for `say` to tell later; None for one without a response.

        This is for who waits for the end of a capture: which verdicts an exchange settles is not told, and none is
        judged anew.
        """
        known = self._take(exchange)
        if known is not None:
            self._pass_time(exchange.answered)
        if self._evidences.settled:
            self._evidences.settled = []
        return known

    def say(self, known: Known) -> Verdict:
        """Say what is known of an exchange now, but for what the user does not want to hear."""
        verdict = known if isinstance(known, Verdict) else verdict_of(known)
        return self._hushed(verdict) if self.silence else verdict

    @staticmethod
    def is_plainly_allowed(known: Known, *, whatever_follows: bool = False) -> bool:
        """Tell whether an exchange is allowed and nothing is to be said of it."""
        if isinstance(known, Verdict) or known.findings or known.if_omit or (whatever_follows and known.awaits):
            return False
        hints, credentials = known.hints, known.story.credentials
        if (known.if_include and credentials is not Credentials.OMIT) or known.exchange.observed is not None:
            return False
        return hints is NO_HINTS or not hints.of(credentials)

    @staticmethod
    def let_go(known: Known) -> None:
        """Take note that an exchange that was taken will not be asked about any more."""
        if isinstance(known, Record):
            # It would hold on to the exchange, and that to it.
            known.story.told = None

    def _take(self, exchange: Exchange, *, maybe_again: bool = False) -> Known | None:
        """Judge an exchange with its response, or take note of one without.

        `maybe_again`: it may come a second time, with another response.
        """
        if exchange.status is None:
            if exchange.in_order:
                self._begin(exchange)
            else:
                self._unanswered(exchange)
            return None
        known = self._clients.get(exchange.client)
        before = begun = None
        if known is not None:
            if exchange.started > known.last_started:
                known.last_started = exchange.started
            if exchange.id in known.judged:
                before = known.judged.pop(exchange.id)
            if exchange.id in known.begun:
                begun = known.begun.pop(exchange.id)
        if before is not None and before[2].mode is RequestMode.CORS:
            return self._judge_again(exchange, before)
        if begun is not None:
            link, request = begun
            request.exchange = exchange
        else:
            link, request = None, Request(exchange)
        client = known if known is not None and known is self._latest else self._client(request)
        if b"sec-fetch-storage-access" in request.headers:
            client.tells_storage_access = True
        response = self._take_response(client, exchange)
        subject = request_mode(request, client.browser)
        if subject.exempt is None:
            if before is not None:
                link, _, taken_back = before
                self._take_back(client, taken_back)
            elif link is None:
                link = self._link(client, request)
            if subject is UNDECIDED:
                step = link.step
                follows_cors = step is not None and (
                    step.is_preflight or (step.record is not None and step.record.mode is RequestMode.CORS)
                )
                subject = post_mode(request, response, client.browser, follows_cors=follows_cors)
        if subject.exempt is not None:
            first = self._judge_exempt(client, request, response, subject)
            if is_report_upload(request, client.browser):
                link = link or self._link(client, request)
                first.preflight = link.step.flow_id if link.step is not None else None
                # It may come a second time, with another response.
                client.begun[exchange.id] = (link, request)
                bound(client.begun, BEGUN)
            return first
        link = link or NO_LINK
        record = self._judge_cors(client, request, response, subject.mode, link)
        if maybe_again:
            client.judged[exchange.id] = link, request, record
            if len(client.judged) > JUDGED:
                client.judged.popitem(last=False)
        return record

    def settle(self, now: float) -> list[Verdict]:
        """Return the verdicts that the passing of time settles; `now` in seconds since the epoch."""
        self._pass_time(now)
        return self._drain()

    def finish(self) -> list[Verdict]:
        """Return the verdicts that the end of a capture settles: nothing more will follow."""
        for client, step in self._unfollowed.pop_answered(float("inf")):
            if client.last_started - step.answered >= ACTIVITY_SECONDS:
                self._not_followed(step)
        return self._drain()

    def use_rules(self, browser: str) -> None:
        """Judge what comes from now on as `browser` would, as in the constructor; what was seen stays known."""
        self.browser = browser
        for client in self._clients.values():
            client.browser = self._rules_of(client.recognised)
            client.diagnosis.use_rules()

    def clear(self) -> None:
        """Forget everything."""
        self._clients.clear()
        self._latest = None
        self._unfollowed.clear()
        self._evidences = Evidences()
        self._now = 0.0

    # ------------------------------------------------------------------ judging

    @staticmethod
    def _take_response(client: _Client, exchange: Exchange) -> Headers:
        """Return the headers of a response as the client's browser reads them, and take note of cookies that go."""
        response: Headers = pick(exchange.response_headers, RESPONSE_HEADERS)
        if client.browser.family is BrowserFamily.FIREFOX:
            response = as_firefox_reads(response, exchange.response_headers, exchange.http_version)
        if b"set-cookie" in response:
            client.cookies.set_cookie(exchange.host, exchange.response_headers, _fleeting(exchange))
        return response

    def _judge_exempt(self, client: _Client, request: Request, response: Headers, subject: Subject) -> Verdict:
        exchange, headers, mode = request.exchange, request.headers, subject.mode
        if mode is RequestMode.NAVIGATE and headers.dest == b"document":
            if len(client.top_level_sites) >= SITES:
                client.top_level_sites.clear()
            client.top_level_sites.add(site(request.target))
        if exchange.connection is not None:
            what = None
            if b"cookie" in headers:
                what = _WITH_COOKIES
            elif b"sec-fetch-storage-access" in headers:
                what = _WITH_STORAGE_ACCESS
            elif mode is RequestMode.NAVIGATE:
                what = "a navigation"
            if what is not None:
                self._evidences.classify(client.connection(exchange.connection), Credentials.INCLUDE, what)
        origin = headers.origin
        faults: Faults = ()
        kind = Kind.ACTUAL
        before: list[Step] = []
        if exchange.status in REDIRECT_STATUS and b"location" in response:
            kind = Kind.REDIRECT
            to = _location_url(request, response)
            if mode is RequestMode.CORS or may_be_cors(subject, headers):
                faults = _several_locations(exchange, response)
            if to is not None and mode in (RequestMode.CORS, RequestMode.UNKNOWN) and not is_unseen(subject):
                first_url, redirects = request.url, 0
                # Only hops on the page's own origin lead to another one there that is exempt.
                before = [
                    step for step in client.follow_ups.candidates(request, Credentials.UNKNOWN) if step.record is None
                ]
                if before:
                    before[0].claimed = True
                    first_url, redirects = before[0].first_url or request.url, before[0].redirects
                if mode is RequestMode.CORS or (to.has_credentials and may_be_cors(subject, headers)):
                    faults = _redirect_faults(request, origin, to, redirects=redirects)
                self._expect_redirect(
                    client, request, origin, to, record=None, first_url=first_url, redirects=redirects + 1
                )
        answer = Answer(request.url, exchange.response_headers, False)
        may_fail = None
        if subject is BEACON and origin is not None:
            may_fail = cors_check(origin, response, include=False)[0]
        elif faults and mode is RequestMode.UNKNOWN:
            may_fail, faults = faults[0], ()
        findings = fault_findings(faults, answer)
        # Whoever followed a redirect to here is no fetch with `redirect: "manual"`, which would not even fail.
        if faults and (not before or faults[0].id == UPGRADABLE) and faults[0].id != "redirect-with-user-info":
            findings, faults = tuple([replace(one, severity=Severity.WARNING) for one in findings]), ()
        fault = faults[0] if faults else None
        if may_fail is not None:
            findings = (conditional_finding("mode-unknown", may_fail, answer),)
        findings += client.diagnosis.exempt(request, mode)
        if b"set-cookie" in response:
            findings += self._set_cookies(client, request, navigation=mode is RequestMode.NAVIGATE)
        outcome = Outcome.BLOCKED if fault else Outcome.EXEMPT
        note, page = subject.exempt or "", shown_origin(origin if origin is not None else request.target)
        if origin is None and exchange.asker is not None and exchange.asker.page not in ("", page):
            page = exchange.asker.page
            note += f" (asked by {page}, as {exchange.asker.evidence} tells)"
        findings += record_findings(exchange, outcome)
        return Verdict(
            flow_id=exchange.id,
            timestamp=exchange.started,
            method=text(exchange.method),
            url=request.url,
            status=exchange.status or 0,
            kind=kind,
            mode=mode,
            origin=shown_origin(origin) if origin is not None else None,
            credentials=Credentials.UNKNOWN,
            credentials_evidence=(),
            outcome=outcome,
            devtools_error=devtools_error(fault, preflight=False) if fault else None,
            failed_parameter=fault.parameter if fault else None,
            findings=findings,
            note=note,
            page=page,
            browser=str(client.browser.family),
            reason=next((one for one in findings if one.severity is Severity.ERROR or one.id in _DECIDE), None),
            story_id=exchange.id,
            exchange=exchange,
        )

    def _judge_cors(
        self, client: _Client, request: Request, response: Headers, mode: RequestMode, link: Link
    ) -> Record:
        exchange, headers, step = request.exchange, request.headers, link.step
        if link.certain and step is not None and step.record is not None:
            story = step.record.story
        else:
            story = Story(id=exchange.id)
        record = Record(
            exchange,
            Kind.PREFLIGHT if request.is_preflight else Kind.ACTUAL,
            mode,
            headers[b"origin"],
            request.url,
            client.browser,
            story,
            headers.dest,
            headers.accept,
        )
        if step is not None:
            if step.is_preflight:
                record.preflight = step.flow_id
                record.redirected_from = step.record.redirected_from if step.record else None
            else:
                record.redirected_from = step.flow_id
            record.first_url = step.first_url
            record.page = step.page
            if step.redirects > story.redirects:
                story.redirects = step.redirects
            if link.certain:
                record.before = step.record
        if request.is_preflight:
            self._judge_preflight(client, request, response, record)
        else:
            preflight = step if step is not None and step.is_preflight else None
            self._judge_actual(client, request, response, record, preflight)
        if link.only_omit:
            words = "follows a step at which credentials would have stopped it"
            self._evidences.learn(story, Evidence(Credentials.OMIT, Strength.CERTAIN, words))
        is_again = bool(client.refused) and self._ask_again(client, request, record, step)
        self._learn_from_request(client, request, record, step)
        if exchange.connection is not None:
            self._learn_from_connection(client, request, story, client.connection(exchange.connection))
        record.await_credentials()
        if b"set-cookie" in response and not request.is_preflight:
            self._take_cookies(client, request, record)
        if exchange.status in _ASKED_AGAIN and record.if_include and (exchange.status == 401 or not is_again):
            client.refused[record.origin, record.url, exchange.method] = record
            bound(client.refused, REFUSED)
            record.awaits = True
        return record

    def _ask_again(self, client: _Client, request: Request, record: Record, step: Step | None) -> bool:
        """Take back what was said of an answer that no page got to see: the browser asked once more by itself.

        Returns whether it did.
        """
        key = (record.origin, record.url, record.exchange.method)
        before = client.refused.get(key)
        asked = step.asked if step is not None and step.is_preflight else frozenset[bytes]()
        if before is None or not _is_asked_again(before.exchange, request, client.browser, asked):
            return False
        listed = (b"authorization" in entry.headers for entry in client.permissions.get(key[:2], ()))
        if before.exchange.status == 401 and any(listed):
            # A script that logs in, perhaps, and need not ask again whether it may.
            return False
        del client.refused[key]
        before.if_include = before.if_omit = ()
        before.hints, before.findings = NO_HINTS, (finding("asked-again", status=str(before.exchange.status)),)
        self._evidences.settled.append(before)
        return True

    def _learn_from_connection(self, client: _Client, request: Request, story: Story, connection: Connection) -> None:
        """Let a request and its connection tell what is known of either, as far as the browser keeps classes apart."""
        if request.is_preflight:
            if connection.credentials is not Credentials.OMIT:
                self._evidences.classify(connection, Credentials.OMIT, "a preflight")
        elif client.separates(request.exchange):
            self._evidences.join(story, connection)
        elif story.credentials is not Credentials.UNKNOWN and story.strength >= Strength.STRONG:
            self._evidences.classify(connection, story.credentials, story.evidence[0])
        elif connection.credentials is Credentials.OMIT and client.is_twin(connection, request):
            self._evidences.join(story, connection)
        if client.browser.family is BrowserFamily.FIREFOX:
            if request.exchange.http_version > 1:
                client.count(connection, request)
        elif connection.mixed:
            client.mixes = True

    def _judge_preflight(self, client: _Client, request: Request, response: Headers, record: Record) -> None:
        exchange, headers, family = request.exchange, request.headers, client.browser.family
        status, origin = exchange.status or 0, record.origin
        method = headers[b"access-control-request-method"]
        unsafe = requested_names(headers.get(b"access-control-request-headers", b""))
        record.preflight_reason = cors_preflight_reason(method, unsafe)
        if broken := _several_locations(exchange, response):
            record.if_include = record.if_omit = broken
            return
        firefox = family is BrowserFamily.FIREFOX
        own = firefox and origin == request.target
        record.if_include = cors_preflight_fetch(
            origin, method, unsafe, status, response, include=True, family=family, same_origin=own
        )
        if record.if_include:
            # Whatever passes with credentials passes without them.
            record.if_omit = cors_preflight_fetch(
                origin, method, unsafe, status, response, include=False, family=family, same_origin=own
            )
            if record.if_omit:
                if not exchange.edited:
                    record.findings = max_age_findings(response, family)
                    record.hints = Hints(client.diagnosis.refused(record))
                return
        record.findings = preflight_findings(unsafe, response, family)
        if not exchange.edited:
            record.findings += client.diagnosis.preflight(request, record, response)
        origins: tuple[bytes | None, ...] = (origin,)
        if firefox:
            # It sends the preflight of a redirect-tainted request with the real origin, the request with `null`.
            origins = (origin, b"null")
        elif b"sec-fetch-mode" not in headers:
            # What follows without Origin can only be a report.
            origins = (origin, None)
        step = Step(
            flow_id=exchange.id,
            record=record,
            started=exchange.started,
            answered=exchange.answered,
            origins=origins,
            method=method,
            asked=frozenset(unsafe),
            is_preflight=True,
            dest=record.dest,
            first_url=record.first_url,
            page=record.page or origin,
            redirects=record.story.redirects,
            storage_access=b"sec-fetch-storage-access" in headers if firefox and origin != b"null" else None,
            connection=exchange.connection,
            multiplexed=exchange.http_version > 1,
        )
        client.follow_ups.expect(record.url, step)
        # A script's own User-Agent makes the follower look like another client's.
        if record.if_include and exchange.in_order and b"user-agent" not in unsafe:
            self._unfollowed.add(client, step, exchange.path)
        kept = permission(record, method, response, family)
        if kept is not None:
            key = (origin, record.url)
            entries = client.permissions.get(key)
            if entries is None:
                client.permissions[key] = [kept]
                bound(client.permissions, PERMISSIONS)
            else:
                current = [entry for entry in entries if entry.expires > exchange.answered]
                entries[:] = *current[1 - PERMISSIONS_PER_URL :], kept
                client.permissions.move_to_end(key)

    def _judge_actual(
        self, client: _Client, request: Request, response: Headers, record: Record, preflight: Step | None
    ) -> None:
        exchange, headers, origin = request.exchange, request.headers, record.origin
        checked = response
        # A script that sets such a header (its preflight asked for it) gets the 304 itself.
        if (
            exchange.status == 304
            and (conditional := headers.keys() & {b"if-none-match", b"if-modified-since"})
            and (preflight is None or preflight.asked.isdisjoint(conditional))
        ):
            # The browser checks the headers of the response that it stored, overlaid with those of the 304.
            stored = client.stored.get(record.url)
            if stored is not None:
                checked = {**stored, **response}
            else:
                both = {b"access-control-allow-origin", b"access-control-allow-credentials"}
                record.stored_unknown = not response.keys() >= both
        elif b"etag" in response or b"last-modified" in response:
            client.stored[record.url] = response
            client.stored.move_to_end(record.url)
            bound(client.stored, STORED)
        include = cors_check(origin, checked, include=True)
        omit = cors_check(origin, checked, include=False) if include else ()
        if broken := _several_locations(exchange, response):
            # The network's own parsers fail on it, before anything is checked.
            include = omit = broken
        if record.before is not None and preflight is not None and exchange.in_order:
            failed = bool(omit) and not record.stored_unknown
            for entry in client.permissions.get((record.before.origin, record.url), ()):
                if entry.flow_id == preflight.flow_id:
                    entry.failed = exchange.answered if failed else float("inf")
        if exchange.status in REDIRECT_STATUS and b"location" in response:
            record.kind = Kind.REDIRECT
            story = record.story
            to = _location_url(request, response)
            then: Faults = ()
            if to is None and not broken:
                then = (Fault("redirect-location", "", {"location": text(response[b"location"])}),)
            elif to is not None:
                then = _redirect_faults(request, origin, to, redirects=story.redirects)
                if not omit and not then:
                    record.findings += client.diagnosis.redirected(record, to)
                if not omit and (not then or then[0].id == UPGRADABLE):
                    first_url = record.first_url or record.url
                    count = story.redirects + 1
                    self._expect_redirect(
                        client, request, origin, to, record=record, first_url=first_url, redirects=count
                    )
            omit, include = omit + then, include + then
        record.if_omit, record.if_include = omit, include
        if record.stored_unknown or exchange.edited:
            # What the browser checks, or what the server sent, is not in sight.
            record.hints = NO_HINTS
        else:
            record.hints = client.diagnosis.actual(request, record, checked, preflight)
        if preflight is None and request.needs_preflight:
            # How it could go without a preflight of its own is told, never accused of: caches are unseen.
            covering = client.covering(request)
            if covering:
                record.preflight = covering[-1].flow_id
                record.preflight_reason = "answered before, and taken from the browser's preflight cache"
            else:
                record.preflight_reason = "not in this traffic: answered before, or in the browser's preflight cache"

    def _judge_again(self, exchange: Exchange, before: _Judged) -> Record:
        """Judge another response to a request of mode "cors"; what the request itself told stays told."""
        link, request, record = before
        if _is_same_request(exchange, request.exchange):
            request.exchange = exchange
        else:
            # Somebody edited a flow and sent it again.
            request = Request(exchange)
        client = self._client(request)
        client.judged[exchange.id] = link, request, record
        response = self._take_response(client, exchange)
        self._take_back(client, record)
        record.exchange = exchange
        record.if_include = record.if_omit = ()
        record.findings, record.hints, record.stored_unknown, record.awaits = (), NO_HINTS, False, False
        if request.is_preflight:
            record.kind = Kind.PREFLIGHT
            self._judge_preflight(client, request, response, record)
        else:
            record.kind = Kind.ACTUAL
            preflight = link.step if link.step is not None and link.step.is_preflight else None
            self._judge_actual(client, request, response, record, preflight)
            if b"set-cookie" in response:
                self._take_cookies(client, request, record)
        record.await_credentials()
        return record

    def _take_back(self, client: _Client, record: Record) -> None:
        """Forget what a response did that the browser never saw."""
        if record.story.told and record in record.story.told:
            record.story.told.remove(record)
        flow_id = record.exchange.id
        faults = record.if_omit
        if record.kind is Kind.ACTUAL or (faults and faults[0].id != UPGRADABLE):
            # Nothing was expected to follow it.
            return
        # It is among the latest that were judged, and each of those expects two URLs at most.
        client.follow_ups.forget(flow_id, among=2 * JUDGED)
        self._unfollowed.forget(flow_id)
        entries = client.permissions.get((record.origin, record.url))
        if entries:
            entries[:] = [entry for entry in entries if entry.flow_id != flow_id]

    def _take_cookies(self, client: _Client, request: Request, record: Record) -> None:
        """Take the cookies of a CORS response, unless it is known to have been asked for without credentials."""
        if record.story.credentials is Credentials.INCLUDE:
            record.findings += self._set_cookies(client, request)
        elif record.story.credentials is Credentials.UNKNOWN:
            # What is refused is refused in either case, but only told where it matters.
            self._set_cookies(client, request, certain=False)

    @staticmethod
    def _set_cookies(
        client: _Client, request: Request, *, navigation: bool = False, certain: bool = True
    ) -> tuple[Finding, ...]:
        top_level_site = site(request.target) if navigation else None
        return client.diagnosis.set_cookie(
            request, client.browser.family, navigation=navigation, top_level_site=top_level_site, certain=certain
        )

    # ------------------------------------------------------------------ follow-ups

    def _expect_redirect(
        self,
        client: _Client,
        request: Request,
        origin: bytes | None,
        to: Target,
        *,
        record: Record | None,
        first_url: str,
        redirects: int,
    ) -> None:
        exchange = request.exchange
        origins = [origin_after_redirect(origin, request.target, to.origin)]
        if client.browser.family is BrowserFamily.FIREFOX and origin is not None:
            # Firefox asks the preflight of a tainted hop with the real origin (nsCORSListenerProxy.cpp, a known fault).
            origins.append(origin)
        upgraded_origins: tuple[bytes | None, ...] = ()
        if to.scheme == "http":
            # Chromium upgrades the URL before it asks whether that is of another origin, Firefox afterwards (measured).
            upgraded_origins = (*origins, origin_after_redirect(origin, request.target, b"https" + to.origin[4:]))
        step = Step(
            flow_id=exchange.id,
            record=record,
            started=exchange.started,
            answered=exchange.answered,
            origins=tuple(origins),
            upgraded_origins=upgraded_origins,
            method=method_after_redirect(exchange.method, exchange.status or 0),
            asked=frozenset(),
            is_preflight=False,
            dest=request.headers.dest,
            first_url=first_url,
            page=(record.page if record is not None else b"") or (request.target if origin is None else origin),
            redirects=redirects,
            connection=exchange.connection,
            multiplexed=exchange.http_version > 1,
        )
        if record is not None:
            record.awaits = True
        client.follow_ups.expect(to.url, step)
        if to.scheme == "http":
            client.follow_ups.expect(f"https{to.url[4:]}", step)

    def _link(self, client: _Client, request: Request) -> Link:
        """Find the step that a request follows, and learn what its having been followed proves."""
        if not client.follow_ups.awaits(request.url):
            return NO_LINK
        candidates = client.follow_ups.candidates(request, self._known_credentials(client, request))
        is_report = is_report_upload(request, client.browser)
        if is_report:
            candidates = [step for step in candidates if step.is_preflight]
        if not candidates:
            return NO_LINK
        maybe_none = candidates[0].is_preflight and not is_report and self._could_be_cached(client, request, candidates)
        link = claim(candidates, maybe_none=maybe_none)
        if link.certain and link.step is not None:
            client.follow_ups.settle(request.url, link.step)
        for step in link.followed:
            record = step.record
            if record is None:
                continue
            if step.is_mixed_content:
                record.if_omit, record.if_include = (), record.if_include[:-1]
                self._evidences.settled.append(record)
            if record.findings and any(one.id == "csp-connect-src" for one in record.findings):
                # The browser went on, so that was another page's policy.
                record.findings = tuple([one for one in record.findings if one.id != "csp-connect-src"])
                self._evidences.settled.append(record)
            if step.only_omit:
                self._evidences.learn(record.story, _FOLLOWED_PREFLIGHT if step.is_preflight else _FOLLOWED_REDIRECT)
        return link

    @staticmethod
    def _known_credentials(client: _Client, request: Request) -> Credentials:
        """Tell a request's credentials mode before anything is joined, as far as it goes."""
        exchange, headers = request.exchange, request.headers
        if b"sec-fetch-storage-access" in headers or (b"cookie" in headers and not request.is_preflight):
            return Credentials.INCLUDE
        if not request.is_preflight and client.separates(exchange):
            connection = client.connections.get(exchange.connection or "")
            if connection is not None:
                return connection.credentials
        return Credentials.UNKNOWN

    @staticmethod
    def _could_be_cached(client: _Client, request: Request, candidates: list[Step]) -> bool:
        """Tell whether the preflight cache may have let a request go, so that it need not follow any candidate."""
        if _bypasses_cache(request):
            return False
        return bool(client.covering(request, besides=[step.flow_id for step in candidates]))

    def _not_followed(self, step: Step) -> None:
        record, group = step.record, step.group
        if record is None or step.claimed or record.story.credentials is not Credentials.UNKNOWN:
            return
        if group is not None and (group.claims or group.uncertain):
            return
        step.given_up = True
        words = "without credentials the preflight would have passed, yet nothing followed it"
        self._evidences.learn(record.story, Evidence(Credentials.INCLUDE, Strength.STRONG, words))

    def _pass_time(self, now: float) -> None:
        if now > self._now:
            self._now = now
        until = self._now - self.grace
        # Most often nothing is due.
        if self._unfollowed.earliest <= until:
            for _, step in self._unfollowed.pop_answered(until):
                self._not_followed(step)

    # ------------------------------------------------------------------ credentials

    def _unanswered(self, exchange: Exchange) -> None:
        """Learn from a request that the browser itself stopped: its preflight failed."""
        client, observed = self._clients.get(exchange.client), exchange.observed
        if client is None or observed is None or observed.delivered is not False:
            return
        request = Request(exchange)
        step = client.follow_ups.stopped(request)
        if step is not None and step.record is not None and step.record.is_open and not step.record.if_omit:
            client.follow_ups.settle(request.url, step)
            words = f"the browser never sent the request that this preflight was for ({observed.said})"
            self._evidences.learn(step.record.story, Evidence(Credentials.INCLUDE, Strength.STRONG, words))

    def _learn_from_request(self, client: _Client, request: Request, record: Record, step: Step | None) -> None:
        """Learn what the request itself proves of its credentials mode, strongest first."""
        exchange, headers, story = request.exchange, request.headers, record.story
        learn = self._evidences.learn
        preflight = request.is_preflight
        found = request_evidence(
            headers,
            cookies=headers.cookie_names,
            preflight=preflight,
            client_certificate=exchange.client_certificate,
            browser=client.browser,
        )
        if found is not None:
            learn(story, found)
            if b"cookie" in headers and not preflight and _is_direct(record, step):
                names = headers.cookie_names
                client.cookies.travelled(_route(request, record), names, exchange.path, exchange.started, exchange.id)
                client.diagnosis.travelled(request, client.browser.family, names)
            return
        if exchange.observed is not None and exchange.observed.delivered is not None and record.is_open:
            self._learn_from_browser(record, exchange.observed)
        if preflight or exchange.sanitized:
            return
        if b"authorization" in headers:
            asked = step.asked if step is not None and step.is_preflight else None
            found = authorization_evidence(headers, asked)
            if found is not None:
                learn(story, found)
        if story.credentials is not Credentials.UNKNOWN:
            return
        here = client.diagnosis.top_level_site(record.origin)
        found = absence_evidence(
            headers,
            origin=record.origin,
            target=request.target,
            browser=client.browser,
            tells=client.tells_storage_access,
            # An origin that has a tab to itself is known to be in no other page's.
            top_level_sites=client.top_level_sites if here is None else (),
        ) or font_evidence(headers)
        if found is not None:
            learn(story, found)
        elif _is_direct(record, step):
            expected = None
            if client.cookies:
                expected = client.cookies.expected(_route(request, record), exchange.path, exchange.started)
            if expected is not None:
                name, flow_id, served = expected
                words = f"no cookie {name}, which travelled on this route before (flow {flow_id})"
                # One that a script set it may have removed, unseen.
                learn(story, Evidence(Credentials.OMIT, Strength.LIKELY if served else Strength.WEAK, words))
            elif not record.is_open and (held := client.diagnosis.held(request, client.browser.family)) is not None:
                # No verdict hangs on it: of two windows with cookies of their own it may be the other one.
                words = f"no cookie {held.name}, which was set in flow {held.flow_id} and would have come along"
                learn(story, Evidence(Credentials.OMIT, Strength.LIKELY, words))

    def _learn_from_browser(self, record: Record, observed: Observed) -> None:
        """Learn from what a browser's own record says became of an exchange that passes without credentials only."""
        if record.if_omit:
            return
        said = f" ({observed.said})" if observed.said else ""
        if observed.delivered:
            words = f"the browser's own record says that the response was let through{said}"
            self._evidences.learn(record.story, Evidence(Credentials.OMIT, Strength.STRONG, words))
        else:
            words = f"the browser's own record says that the response was kept from the page{said}"
            self._evidences.learn(record.story, Evidence(Credentials.INCLUDE, Strength.STRONG, words))

    # ------------------------------------------------------------------ state and what goes out

    def _client(self, request: Request) -> _Client:
        exchange = request.exchange
        client = self._clients.get(exchange.client)
        if client is None:
            browser = recognise(request.headers.get(b"user-agent", b""))
            diagnosis = Diagnosis(self.is_public_suffix, self.is_platform)
            client = _Client(self._rules_of(browser), browser, exchange.started, diagnosis=diagnosis)
            self._clients[exchange.client] = client
            bound(self._clients, CLIENTS)
        else:
            self._clients.move_to_end(exchange.client)
        self._latest = client
        return client

    def _rules_of(self, recognised: Browser) -> Browser:
        """Return whose rules apply to the requests of a browser."""
        if self.browser in ("auto", recognised.family):
            return recognised
        return Browser(family=BrowserFamily(self.browser))

    def _drain(self, besides: Known | None = None) -> list[Verdict]:
        """Return the verdicts that were settled since, each once."""
        if not self._evidences.settled:
            return []
        settled = dict.fromkeys(self._evidences.settled)
        self._evidences.settled = []
        return [self.say(record) for record in settled if record is not besides]

    def _hushed(self, verdict: Verdict) -> Verdict:
        for one in (*verdict.story, verdict):
            one.findings = tuple([finding for finding in one.findings if finding.id not in self.silence])
            one.withheld = tuple([finding for finding in one.withheld if finding.id not in self.silence])
        return verdict


def _fleeting(exchange: Exchange) -> set[str]:
    """Return the names of the cookies that a response sets for so short that they may be gone unseen."""
    parsed = [parse_set_cookie(line, exchange.answered) for line in get_all(exchange.response_headers, b"set-cookie")]
    return {
        cookie.name
        for cookie in parsed
        if cookie is not None
        and cookie.expires is not None
        and exchange.answered < cookie.expires < exchange.answered + REMEMBERED_SECONDS
    }


def _is_same_request(one: Exchange, other: Exchange) -> bool:
    """Tell whether two exchanges differ in their responses at most."""
    asked = (one.method, one.scheme, one.host, one.port, one.path, one.request_headers)
    return asked == (other.method, other.scheme, other.host, other.port, other.path, other.request_headers)


def _is_asked_again(before: Exchange, again: Request, browser: Browser, asked: frozenset[bytes]) -> bool:
    """Tell whether a request is the browser's own repetition of one that was answered with 401, 408 or 421.

    After 401 it has what the answer asked for (net/http/http_network_transaction.cc HandleAuthChallenge,
    nsHttpChannelAuthProvider.cpp), which no script sets without asking first; `asked` are the headers that its
    preflight asked for. Otherwise it is the same once more, which a page may ask for too: after 421 both browsers do
    so, over https Firefox also after 408, and where it has nothing to answer a challenge of Negotiate with.
    """
    exchange, waited = again.exchange, again.exchange.started - before.answered
    challenges = b""
    if before.status == 401:
        challenges = (get(before.response_headers, b"www-authenticate") or b"").lower()
        given = authentication_scheme(again.headers.get(b"authorization", b"")) or ""
        if given.lower() in BROWSER_SCHEMES and exchange.request_headers != before.request_headers:
            return bool(challenges) and 0 <= waited < LOGIN_SECONDS and b"authorization" not in asked
    in_firefox = browser.family is BrowserFamily.FIREFOX and exchange.scheme == "https"
    repeats = before.status == 421 or (in_firefox and (before.status == 408 or b"negotiate" in challenges))
    return repeats and 0 <= waited < AGAIN_SECONDS and _is_same_request(exchange, before)


def _bypasses_cache(request: Request) -> bool:
    """Tell a request that asks anew whatever the preflight cache holds, by what its cache mode puts on the wire.

    "no-store" and "reload" send `no-cache`, "no-cache" sends `max-age=0` (which Firefox's preflight cache ignores),
    https://fetch.spec.whatwg.org/#http-network-or-cache-fetch; browsers put the same on the preflight.
    """
    return request.headers.get(b"cache-control") in (b"no-cache", b"max-age=0")


def _locations(exchange: Exchange, response: Headers) -> tuple[bytes, ...]:
    """Return the Location lines of an answer that differ."""
    location = response.get(b"location")
    if location is None:
        return ()
    return tuple(dict.fromkeys(get_all(exchange.response_headers, b"location"))) if b", " in location else (location,)


def _several_locations(exchange: Exchange, response: Headers) -> Faults:
    """Return the fault of an answer with several Location lines that differ, whatever its status.

    Both browsers fail on it (net/http/http_stream_parser.cc, netwerk/protocol/http/nsHttpHeaderArray.cpp).
    """
    # Most answers have none.
    if b"location" not in response or len(_locations(exchange, response)) < 2:
        return ()
    return (Fault("redirect-locations", "", {"location": text(response[b"location"])}),)


def _location_url(request: Request, response: Headers) -> Target | None:
    """Return where a redirect leads, None where that is nowhere.

    https://fetch.spec.whatwg.org/#concept-response-location-url
    """
    locations = _locations(request.exchange, response)
    return parse_location(request.url, text(locations[0])) if len(locations) == 1 else None


def _redirect_faults(request: Request, origin: bytes | None, to: Target, *, redirects: int) -> Faults:
    page = origin if origin is not None else request.target
    if page == b"null":
        page = request.headers.get(b"referer", b"")
    return http_redirect_fetch(
        origin,
        request.target,
        to,
        secure_page=page.startswith(b"https://"),
        redirects=redirects,
        trustworthy=is_potentially_trustworthy(to.scheme, host_of(to.origin)),
    )


def _is_direct(record: Record, step: Step | None) -> bool:
    """Tell a request that counts as travelling a route: redirects change which cookies do."""
    return record.origin != b"null" and (step is None or step.is_preflight)


def _route(request: Request, record: Record) -> Route:
    exchange = request.exchange
    return Route(record.origin, exchange.scheme, exchange.host, request.headers.site or b"")
