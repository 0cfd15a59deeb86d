"""The data that everything else speaks of: exchanges, verdicts, findings. Values only; no judgement is made here."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from corscope.headers import Fields, Headers
from corscope.privacy import shown_url


class RequestMode(StrEnum):
    """A request's mode, https://fetch.spec.whatwg.org/#concept-request-mode; UNKNOWN where the wire does not tell."""

    CORS = "cors"
    NO_CORS = "no-cors"
    NAVIGATE = "navigate"
    SAME_ORIGIN = "same-origin"
    WEBSOCKET = "websocket"
    UNKNOWN = "unknown"


class Credentials(StrEnum):
    """Whether a cross-origin request was credentialed.

    The CORS check asks only whether the credentials mode is "include"; OMIT stands for any mode that leaves
    credentials out of a cross-origin request ("omit", and "same-origin", which is `fetch`'s default).
    """

    INCLUDE = "include"
    OMIT = "omit"
    UNKNOWN = "unknown"


class Kind(StrEnum):
    """What part an exchange plays in a fetch."""

    PREFLIGHT = "preflight"
    ACTUAL = "actual"
    REDIRECT = "redirect"


class Outcome(StrEnum):
    """What the browser does with an exchange."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    CONDITIONAL = "conditional"
    EXEMPT = "exempt"


class Severity(StrEnum):
    """How much a finding matters: an ERROR blocks, a WARNING will hurt."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class BrowserFamily(StrEnum):
    """Whose rules apply; SPEC is the Fetch standard to the letter, OTHER a browser that was not measured."""

    CHROMIUM = "chromium"
    FIREFOX = "firefox"
    SPEC = "spec"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """A browser as its User-Agent names it."""

    family: BrowserFamily
    version: int = 0
    """Major version; 0 when unknown."""


class Observed(NamedTuple):
    """What a browser's own record, a HAR that it exported, says became of an exchange."""

    delivered: bool | None
    """True: the page got the response. False: the browser kept it from the page, as it does for CORS. None: neither is
    said, or it failed for another reason (aborted, no connection, a blocker)."""
    said: str
    """The record's own words, such as `net::ERR_FAILED`; empty where it has none."""
    not_cors: str = ""
    """What stopped it, in words, where that is certainly not CORS; empty where the record does not tell."""


class Asker(NamedTuple):
    """What a browser's own record tells of who asked for an exchange that has no Origin header there.

    It never makes a verdict: what was on the wire, if anything was, is not what the record shows.
    """

    page: str = ""
    """The serialized origin of the page; empty where nothing tells it for certain."""
    evidence: str = ""
    """What tells it."""
    cached: bool = False
    """Whether the browser answered from its cache."""


# Exchanges and verdicts are values like the rest and never changed, but not frozen: one of each is made for every CORS
# request, and a frozen dataclass takes three times as long to make.


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request with its response as the wire shows them. Bodies are never part of it."""

    id: str
    """Unique in a session: mitmproxy's flow id, or the entry's index of a HAR."""
    client: str
    """Who sent it: two exchanges with different values never influence each other's verdict."""
    connection: str | None
    """The connection from the browser to the proxy; None when the capture does not record it."""
    started: float
    """When the request began, seconds since the epoch."""
    answered: float
    """When the response's headers were there (or the failure), seconds since the epoch."""
    method: bytes
    """As sent, never upper-cased."""
    scheme: str
    host: str
    """In ASCII, lower case, IPv6 without brackets."""
    port: int
    path: str
    """Path and query as sent."""
    http_version: int
    """Major version: 1, 2 or 3."""
    request_headers: Fields
    status: int | None
    """None when no response came."""
    response_headers: Fields = ()
    request_picked: Headers | None = None
    """What `modes.read_head` reads of the request's headers, where that is known already."""
    client_certificate: bool = False
    """Whether the client identified itself with a TLS certificate on this connection."""
    sanitized: bool = False
    """Whether the capture's writer left cookies and Authorization out: then their absence says nothing."""
    in_order: bool = True
    """Whether the capture tells when a response came. A HAR does not: there a preflight may begin after its request."""
    proxy_made: bool = False
    """Whether the response comes from the proxy itself (server unreachable) and not from a server."""
    proxy_error: str = ""
    """What the proxy says went wrong then; empty where that is not known."""

    observed: Observed | None = None
    """What the browser's own record says became of it; None where the capture is no browser's."""
    asker: Asker | None = None
    """Who asked, by the browser's own record, where that tells more than the request's headers."""
    edited: bool = False
    """Whether the proxy itself made or changed the response's headers: then they tell nothing of the server."""

    def with_response(self, status: int, headers: Fields) -> "Exchange":
        """Return the same exchange with another response. (Any other way takes three to eight times as long.)"""
        made = object.__new__(Exchange)
        made.id = self.id
        made.client = self.client
        made.connection = self.connection
        made.started = self.started
        made.answered = self.answered
        made.method = self.method
        made.scheme = self.scheme
        made.host = self.host
        made.port = self.port
        made.path = self.path
        made.http_version = self.http_version
        made.request_headers = self.request_headers
        made.status = status
        made.response_headers = headers
        made.request_picked = self.request_picked
        made.client_certificate = self.client_certificate
        made.sanitized = self.sanitized
        made.in_order = self.in_order
        made.proxy_made = self.proxy_made
        made.proxy_error = self.proxy_error
        made.observed = self.observed
        made.asker = self.asker
        made.edited = self.edited
        return made


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth saying about an exchange; the words are in the catalogue under its id."""

    id: str
    severity: Severity
    values: Mapping[str, str]
    """What the catalogue's sentences name: `value`, `origin`, `method`, `header` …"""


class Hints(NamedTuple):
    """What is worth saying of an exchange beside its faults, some of it by its credentials mode."""

    always: tuple[Finding, ...] = ()
    include: tuple[Finding, ...] = ()
    """Besides, if it was sent with credentials."""
    omit: tuple[Finding, ...] = ()
    """Besides, if it was sent without."""
    withheld: tuple[Finding, ...] = ()
    """Why cookies did not travel although the request had credentials, where nobody seems to miss them."""
    unknown: tuple[Finding, ...] = ()
    """Besides, if nothing tells which it was."""

    def of(self, credentials: Credentials) -> tuple[Finding, ...]:
        """Return what is worth saying of an exchange of a credentials mode."""
        if credentials is Credentials.INCLUDE:
            return self.always + self.include
        return self.always + (self.omit if credentials is Credentials.OMIT else self.unknown)


NO_HINTS = Hints()


@dataclass(slots=True, kw_only=True, repr=False)
class Verdict:
    """What is known of one exchange. A later verdict on the same `flow_id` replaces this one."""

    flow_id: str
    timestamp: float
    method: str
    url: str
    status: int
    kind: Kind
    mode: RequestMode
    origin: str | None
    credentials: Credentials
    credentials_evidence: tuple[str, ...]
    outcome: Outcome
    devtools_error: str | None
    """Chromium's name of the failure, CDP Network.CorsError; None when not blocked or not by CORS."""
    failed_parameter: str | None
    findings: tuple[Finding, ...]
    page: str
    """The origin that the browser's console names: the request's, or on the page's own origin that."""
    note: str = ""
    """For an exempt exchange, why CORS does not apply."""
    dest: bytes = b""
    """Sec-Fetch-Dest, empty where there is none."""
    accept: bytes = b""
    first_url: str | None = None
    """Where the redirect chain began, None outside one."""
    preflight: str | None = None
    redirected_from: str | None = None
    preflight_reason: str | None = None
    """Why the browser asked first, or how the request went without asking; None where nothing is to be said."""
    browser: str = "spec"
    settled: bool = True
    """False while what follows on the wire may still change the verdict."""
    withheld: tuple[Finding, ...] = ()
    """Why cookies did not travel, where others did and nobody seems to miss them: no findings, but told on demand."""
    reason: Finding | None = None
    """What decides a verdict that is not `allowed`: it may be silenced, and then is not among the findings."""
    story_id: str = ""
    """The flow with which its story begins: exchanges that certainly belong together share it."""
    story: "tuple[Verdict, ...]" = ()
    """What led to an exchange that is not allowed: its preflight and the hops before it, first things first."""
    exchange: Exchange | None = None
    """The exchange itself."""
    complete: bool = True
    """False where what follows may still add to what is said, the verdict itself or not."""

    def __repr__(self) -> str:
        """Return a verdict in a few words: the exchange's headers have no place where a failing test prints them."""
        why = f", {self.reason.id}" if self.reason is not None else ""
        return f"<Verdict {self.outcome}: {self.method} {shown_url(self.url)} ({self.status}, {self.kind}){why}>"


class Operation(StrEnum):
    """What an edit does to a response."""

    SET = "set"
    REMOVE = "remove"
    STATUS = "status"
    BODY = "body"


class Edit(NamedTuple):
    """One change to a response: to a header, to its status, or that its body goes."""

    operation: Operation
    name: str
    """The header's name as it will be sent; empty for status and body."""
    values: tuple[bytes, ...] = ()
    """The header's lines after SET, the status' digits after STATUS."""
    before: tuple[bytes, ...] = ()
    """The header's lines, or the status, before."""
    cures: str | None = None
    """The finding that this mends; None where it mends none but belongs to a right answer."""


class Rewrite(NamedTuple):
    """What was changed of a response, or would be, so that the browser lets the page have it."""

    edits: tuple[Edit, ...]
    applied: bool
    was: Verdict
    """The verdict on what the server sent."""
    why_not: str = ""
    """Why the response was left as it is although it is in scope; empty where nothing stood in the way."""
    notes: tuple[str, ...] = ()
    """What else is to be said, a sentence each."""
