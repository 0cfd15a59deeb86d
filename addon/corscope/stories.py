"""Stories and connections: which exchanges share one credentials mode, and how what is known of one reaches the others.

Pure bookkeeping: what counts as evidence is decided elsewhere, and no verdict is made here.
"""

from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache

from corscope.credentials import Evidence, Strength
from corscope.engine import Faults
from corscope.model import NO_HINTS, Browser, Credentials, Exchange, Finding, Hints, Kind, RequestMode

WAITING = 4096
"""Undecided stories that a connection remembers; the oldest go first."""

EVIDENCE_LINES = 4
"""Lines of evidence kept for a story whose mode is not proven."""


@dataclass(slots=True, eq=False)
class Story:
    """Exchanges that share one credentials mode: a preflight, what it permitted, the hops of a redirect."""

    credentials: Credentials = Credentials.UNKNOWN
    strength: Strength = Strength.WEAK
    evidence: tuple[str, ...] = ()
    contradicted: bool = False
    """Two proofs spoke against each other: something is not what it seems, so nothing is concluded."""
    told: "list[Record] | None" = None
    """Exchanges that are told anew when something else is known of the credentials mode."""
    connections: "list[Connection] | None" = None
    """Connections that will share what is learned of this story."""
    redirects: int = 0
    id: str = ""
    """The flow with which it begins."""


@dataclass(slots=True, eq=False)
class Connection:
    """A client connection and the class of requests on it.

    Chromium never mixes credentialed and uncredentialed requests on one connection (net/socket: the privacy mode is
    part of ClientSocketPool::GroupId), preflights being among the latter; Firefox on HTTP/1.1 (the anonymous flag of
    nsHttpConnectionInfo). https://fetch.spec.whatwg.org/#concept-connection-obtain
    """

    credentials: Credentials = Credentials.UNKNOWN
    evidence: str = ""
    mixed: bool = False
    """Both kinds were seen: something other than a browser's own connection, so it says nothing."""
    requests: int = 0
    """CORS requests on it, and when the first and the latest of them began, seconds since the epoch."""
    first: float = 0.0
    latest: float = 0.0
    waiting: deque[Story] = field(default_factory=lambda: deque(maxlen=WAITING))


@dataclass(slots=True, eq=False)
class Record:
    """An exchange that was judged, with what is needed to judge it again."""

    exchange: Exchange
    kind: Kind
    mode: RequestMode
    origin: bytes
    url: str
    browser: Browser
    story: Story
    dest: bytes
    accept: bytes
    if_include: Faults = ()
    if_omit: Faults = ()
    findings: tuple[Finding, ...] = ()
    preflight: str | None = None
    preflight_reason: str | None = None
    redirected_from: str | None = None
    page: bytes = b""
    """The page's own origin, which redirects hide from `origin`; empty where they do not."""
    first_url: str | None = None
    """Where the redirect chain began, None outside one."""
    before: "Record | None" = None
    """The exchange of the same story that it certainly follows."""
    hints: Hints = NO_HINTS
    stored_unknown: bool = False
    """A 304 that leaves CORS headers to the stored response, which is not in the traffic."""
    awaits: bool = False
    """Whether more may be said of it: of its credentials mode, where it leads to, that the browser asks again."""

    @property
    def is_open(self) -> bool:
        """Whether the credentials mode changes anything that is said."""
        include, omit = self.if_include, self.if_omit
        return bool(include) and (not omit or include[0].id != omit[0].id)

    def await_credentials(self) -> None:
        """Let it be told anew when something else is known of its credentials mode.

        Of what is proven only the opposite could be told, and it matters only where that would change the verdict.
        """
        story = self.story
        if story.strength >= Strength.STRONG and not self.is_open:
            return
        self.awaits = True
        if story.told is None:
            story.told = [self]
        else:
            story.told.append(self)


class Evidences:
    """Spreads evidence over stories and connections, and collects the exchanges that it settles."""

    __slots__ = ("settled",)

    def __init__(self) -> None:
        self.settled: list[Record] = []

    def learn(self, story: Story, evidence: Evidence) -> None:
        """Take evidence into a story; the stronger replaces the weaker, and equal proofs against each other cancel."""
        credentials, strength, words = evidence
        if strength is Strength.WEAK:
            if story.strength < Strength.STRONG and words not in story.evidence:
                story.evidence += (words,)
                self.settled += story.told or ()
            return
        if story.contradicted:
            return
        if story.credentials is credentials:
            known = story.evidence
            # To what is proven no words are added.
            if story.strength < Strength.STRONG and len(known) < EVIDENCE_LINES and words not in known:
                story.evidence = (*known, words)
                self.settled += story.told or ()
            if strength > story.strength:
                story.strength = strength
            return
        if story.credentials is not Credentials.UNKNOWN:
            if strength < story.strength:
                return
            if strength is story.strength:
                story.contradicted = True
                story.credentials = Credentials.UNKNOWN
                story.evidence += (f"contradicted by: {words}",)
                self.settled += story.told or ()
                return
            story.evidence = ()
        story.credentials, story.strength = credentials, strength
        story.evidence += (words,)
        self.settled += story.told or ()
        if story.connections and strength >= Strength.STRONG:
            for connection in story.connections:
                self.classify(connection, credentials, words)

    def classify(self, connection: Connection, credentials: Credentials, evidence: str) -> None:
        """Take note that a connection carried a request of one class; stories that waited for it learn of it."""
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
            self.learn(story, _class_evidence(connection.credentials, connection.evidence))

    def join(self, story: Story, connection: Connection) -> None:
        """Let a story and the connection that one of its requests came on share what is known of either."""
        if story.credentials is not Credentials.UNKNOWN and story.strength >= Strength.STRONG:
            if connection.credentials is not story.credentials:
                self.classify(connection, story.credentials, story.evidence[0])
        elif connection.credentials is not Credentials.UNKNOWN:
            self.learn(story, _class_evidence(connection.credentials, connection.evidence))
        elif not connection.mixed:
            connection.waiting.append(story)
            if story.connections is None:
                story.connections = []
            story.connections.append(connection)


_ON_CONNECTION = "on a connection that the browser keeps for "


@lru_cache(maxsize=256)
def _class_evidence(credentials: Credentials, evidence: str) -> Evidence:
    """Say what a connection's class proves; what was itself told from a connection is not wrapped once more."""
    if evidence.startswith(_ON_CONNECTION):
        return Evidence(credentials, Strength.STRONG, evidence)
    kind = "credentialed" if credentials is Credentials.INCLUDE else "uncredentialed"
    words = f"{_ON_CONNECTION}{kind} requests (another one there: {evidence})"
    return Evidence(credentials, Strength.STRONG, words)
