"""Which request follows which step: preflight to actual request, redirect to next hop, and how sure that is.

A browser says nothing of it on the wire. A step is followed at once, by a request for the expected URL with the
expected origin, method and headers; where several steps look alike to the follower, nothing certain is concluded until
each has been followed. Remembers the steps of one client.
"""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from corscope.engine import is_cors_safelisted_request_header
from corscope.headers import get, names
from corscope.model import Credentials, RequestMode
from corscope.modes import Request
from corscope.origins import OPAQUE
from corscope.stories import Record

FOLLOW_UP_SECONDS = 10.0
"""A browser sends what a preflight permits, or follows a redirect, at once; what comes later is another request."""

AT_ONCE_SECONDS = 0.005
"""How long an answer may be on its way to the browser while that begins something else."""

CLOCK_SECONDS = 0.015
"""How far a HAR's times are out: browsers write whole milliseconds, and Chromium was seen to take note of a preflight's
answer 11 milliseconds after it had sent what that permits."""

CONNECTING_SECONDS = 0.5
"""How long a request may wait for a connection on HTTP/1, where the one that it could use is taken."""

_BY_VALUE = frozenset((b"accept", b"accept-language"))
"""Headers that browsers put on every request. A preflight asks for one only where a script gave it a value that is not
CORS-safelisted, which its request then has."""

UPGRADABLE = "redirect-mixed-content"
"""The one fault that a browser may mend by itself: `upgrade-insecure-requests` or HSTS turn the http URL of a Location
into https, without a trace on the wire. Besides, Chromium's shared workers go on to plain http (measured, 156)."""

UPGRADE_SECONDS = 1.0
"""How long what follows from there may take: later it is a request of its own to the URL as it should have been."""

CAPACITY = 2048
"""URLs of which steps are remembered; and STEPS_PER_URL of each."""

STEPS_PER_URL = 32

UNFOLLOWED = 4096
"""Preflights that wait at one time for the grace time to pass; what goes first stays undecided."""


@dataclass(slots=True, eq=False)
class Group:
    """Steps that look alike to what followed them, so that it can't be told which one was followed."""

    members: "list[Step]"
    claims: int = 0
    uncertain: bool = False
    """Something else (a warm preflight cache) may have let the follower go without any of them."""


@dataclass(slots=True, eq=False, kw_only=True)
class Step:
    """An exchange after which the browser sends another request, unless it was blocked."""

    flow_id: str
    record: Record | None
    """None for a hop on the page's own origin, which no CORS check applies to."""
    started: float
    answered: float
    origins: tuple[bytes | None, ...]
    """Origin headers that the follower may carry, None for none."""
    method: bytes
    asked: frozenset[bytes]
    """For a preflight, the header names it asked for."""
    is_preflight: bool
    dest: bytes
    first_url: str | None
    page: bytes
    """The page's own origin."""
    redirects: int
    storage_access: bool | None = None
    """For a preflight of Firefox, whether it has Sec-Fetch-Storage-Access, which its request then has too."""
    connection: str | None = None
    multiplexed: bool = False
    """Whether the follower need not wait for a connection (HTTP/2 and later)."""
    claimed: bool = False
    given_up: bool = False
    """Whether only the time that passed told that nothing follows: a late follower still proves the contrary."""
    group: Group | None = None
    upgraded_origins: tuple[bytes | None, ...] = ()
    """For a redirect to plain http, Origin headers that the follower may carry if its URL is upgraded to https."""

    @property
    def only_omit(self) -> bool:
        """Whether the browser goes on from here only without credentials."""
        record = self.record
        if record is None or not record.if_include or record.mode is RequestMode.UNKNOWN:
            # Nor does anything stop what may not be subject to CORS.
            return False
        return len(record.if_include) > 1 or record.if_include[0].id != UPGRADABLE

    @property
    def is_mixed_content(self) -> bool:
        """Whether browsers stop here unless they upgrade the URL."""
        record = self.record
        return record is not None and bool(record.if_omit) and record.if_omit[0].id == UPGRADABLE

    @property
    def credentials(self) -> Credentials:
        """What is known of the step's credentials mode."""
        return self.record.story.credentials if self.record is not None else Credentials.UNKNOWN

    def is_superseded_by(self, later: "Step") -> bool:
        """Tell whether a follower of this step would have been seen before `later` began: a browser goes on at once.

        That holds for uncredentialed followers, which go on the preflight's connection, or queue for it first come
        first served; a credentialed one may have to wait for a connection of its own.
        """
        wait = AT_ONCE_SECONDS
        if not self.multiplexed and (self.connection is None or self.connection != later.connection):
            wait = CONNECTING_SECONDS
        return self.only_omit and later.started > self.answered + wait

    def can_be_followed_by(self, request: Request) -> bool:
        """Tell whether `request` is what the browser would send next."""
        exchange, headers = request.exchange, request.headers
        since = exchange.started - self.answered + (0 if exchange.in_order else CLOCK_SECONDS)
        if self.claimed or not 0 <= since <= (UPGRADE_SECONDS if self.is_mixed_content else FOLLOW_UP_SECONDS):
            return False
        is_upgraded = self.upgraded_origins and exchange.scheme == "https"
        if headers.origin not in (self.upgraded_origins if is_upgraded else self.origins):
            return False
        dest = headers.dest
        # A redirect may lead to plain http, where there is none, or from there.
        if dest != self.dest and (self.is_preflight or self.record is None or (dest and self.dest)):
            return False
        if self.is_preflight:
            if request.is_preflight or exchange.method != self.method:
                return False
            if self.storage_access not in (None, b"sec-fetch-storage-access" in headers):
                return False
            for name in self.asked & _BY_VALUE:
                value = get(exchange.request_headers, name)
                # Firefox asks for what is not ASCII, too (measured with Accept); the standard's safelist has it.
                if value is not None and value.isascii() and is_cors_safelisted_request_header(name, value):
                    return False
            asked = self.asked - {b"authorization"} if exchange.sanitized else self.asked
            # Almost everything that a script can set is picked anyhow.
            return self.asked.issuperset(headers.unsafe_names) and (
                asked <= headers.keys() or asked.issubset(names(exchange.request_headers))
            )
        method = headers[b"access-control-request-method"] if request.is_preflight else exchange.method
        return method == self.method


class Link(NamedTuple):
    """What a request was found to follow."""

    step: Step | None
    certain: bool = False
    """Whether it follows that very step, and not maybe another one that looks alike."""
    followed: tuple[Step, ...] = ()
    """Steps that are now certain to have been followed."""
    only_omit: bool = False
    """Whatever step it follows, credentials would have stopped it there."""


NO_LINK = Link(None)


class FollowUps:
    """The steps of one client that wait to be followed."""

    __slots__ = ("_steps",)

    def __init__(self) -> None:
        self._steps: OrderedDict[str, list[Step]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._steps)

    def expect(self, url: str, step: Step) -> None:
        """Take note of a step that the browser goes on from to `url` (absolute, without fragment)."""
        steps = self._steps.get(url)
        if steps is None:
            self._steps[url] = [step]
            if len(self._steps) > CAPACITY:
                self._steps.popitem(last=False)
            return
        steps[:] = [old for old in steps if step.answered - old.answered <= FOLLOW_UP_SECONDS][1 - STEPS_PER_URL :]
        steps.append(step)
        self._steps.move_to_end(url)

    def awaits(self, url: str) -> bool:
        """Tell whether the browser may go on from some step to `url`."""
        return url in self._steps

    def settle(self, url: str, step: Step) -> None:
        """Let go of a step that has certainly been followed to `url`: what is kept is slow to come by again."""
        steps = self._steps.get(url)
        if steps is not None and step in steps:
            steps.remove(step)
            if not steps:
                del self._steps[url]

    def forget(self, flow_id: str, *, among: int) -> None:
        """Forget the step that an exchange was, one `among` the latest URLs that something is expected for."""
        found = False
        for url in islice(reversed(self._steps), among):
            steps = self._steps[url]
            kept = [step for step in steps if step.flow_id != flow_id]
            if len(kept) < len(steps):
                steps[:], found = kept, True
            elif found:
                return

    def candidates(self, request: Request, credentials: Credentials) -> list[Step]:
        """Return the steps that `request`, of which `credentials` are known so far, may follow, oldest first."""
        steps = self._steps.get(request.url)
        if not steps:
            return []
        found = [step for step in steps if step.can_be_followed_by(request)]
        if not found:
            return found
        if len(found) == 1:
            # The common case, in which what follows comes to this.
            one, include = found[0], Credentials.INCLUDE
            if credentials is include:
                return [] if one.only_omit else found
            ruled_out = one.credentials is include and (credentials is Credentials.OMIT or one.only_omit)
            return [] if ruled_out and not one.given_up else found
        late = [step for step in found if step.given_up]
        if credentials is Credentials.INCLUDE:
            found = [step for step in found if not step.only_omit]
        elif credentials is Credentials.OMIT:
            found = [step for step in found if step.credentials is not Credentials.INCLUDE]
        found = [step for step in found if not (step.only_omit and step.credentials is Credentials.INCLUDE)]
        if not found and credentials is not Credentials.INCLUDE:
            found = late
        preflights = [step for step in found if step.is_preflight]
        if preflights:
            # A hop that was itself preflighted is followed from its preflight; one since then was not preflighted.
            latest = float("inf") if request.needs_preflight else max(step.started for step in preflights)
            found = [step for step in found if step.is_preflight or step.answered > latest]
        if len(found) > 1:
            if credentials is not Credentials.UNKNOWN:
                found = [step for step in found if step.credentials is credentials] or found
            found = [step for step in found if not any(step.is_superseded_by(other) for other in found)]
        return found

    def stopped(self, request: Request) -> Step | None:
        """Return the preflight because of which a browser never sent `request`, None where there are several or none.

        Of what was not sent, a browser's record may not have all headers, and tells when it was asked for: before its
        preflight.
        """
        exchange, headers = request.exchange, request.headers
        page = exchange.asker.page.encode() if exchange.asker is not None and exchange.asker.page else None
        steps = [
            step
            for step in self._steps.get(request.url, ())
            if step.is_preflight
            and step.method == exchange.method
            and not step.claimed
            and -CLOCK_SECONDS <= step.started - exchange.started <= FOLLOW_UP_SECONDS
            and headers.get(b"origin", step.origins[0]) in step.origins
            # After redirects a page's preflight may have the origin `null`.
            and (page is None or page in step.origins or OPAQUE in step.origins)
            and step.asked.issuperset(headers.unsafe_names)
        ]
        return steps[0] if len(steps) == 1 and steps[0].group is None else None


class Unfollowed[Owner]:
    """Preflights that credentials would have stopped, until they are followed or the grace time is over.

    In the order of their answers, which may come a little out of it. `Owner` is whatever is to be told of each.
    """

    __slots__ = ("_paths", "_waiting", "earliest")

    def __init__(self) -> None:
        self._waiting: deque[tuple[Owner, Step, str]] = deque()
        self._paths: Counter[str] = Counter()
        self.earliest = float("inf")
        """When the first of them was answered, seconds since the epoch; infinite where none waits."""

    def add(self, owner: Owner, step: Step, path: str) -> None:
        """Wait for the request to `path` that a preflight permits."""
        waiting = self._waiting
        if len(waiting) >= UNFOLLOWED:
            self._pop()
        index = len(waiting)
        while index and waiting[index - 1][1].answered > step.answered:
            index -= 1
        waiting.insert(index, (owner, step, path))
        self._paths[path] += 1
        self._note_first()

    def _pop(self) -> tuple[Owner, Step]:
        owner, step, path = self._waiting.popleft()
        self._note_first()
        self._leave(path)
        return owner, step

    def _note_first(self) -> None:
        self.earliest = self._waiting[0][1].answered if self._waiting else float("inf")

    def _leave(self, path: str) -> None:
        self._paths[path] -= 1
        if not self._paths[path]:
            del self._paths[path]

    def waits_for(self, path: str) -> bool:
        """Tell whether some preflight may wait for a request to `path`."""
        waiting = self._waiting
        while waiting and waiting[0][1].claimed:
            self._pop()
        return path in self._paths

    def pop_answered(self, until: float) -> list[tuple[Owner, Step]]:
        """Return those that were answered by `until`, in seconds since the epoch, and let go of them."""
        popped: list[tuple[Owner, Step]] = []
        while self._waiting and self.earliest <= until:
            popped.append(self._pop())
        return popped

    def forget(self, flow_id: str) -> None:
        """Forget the preflight that an exchange was, most often the latest."""
        waiting = self._waiting
        if waiting and waiting[-1][1].flow_id == flow_id:
            self._leave(waiting.pop()[2])
        elif any(step.flow_id == flow_id for _, step, _ in waiting):
            self._waiting = waiting = deque([one for one in waiting if one[1].flow_id != flow_id])
            self._paths = Counter(path for _, _, path in waiting)
        self._note_first()

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()
        self._paths.clear()
        self._note_first()


def claim(candidates: list[Step], *, maybe_none: bool) -> Link:
    """Link a request to the oldest of the steps it may follow; `maybe_none` where it may follow none of them at all."""
    if not candidates:
        return NO_LINK
    chosen = candidates[0]
    chosen.claimed = True
    if len(candidates) == 1 and not maybe_none and chosen.group is None:
        return Link(chosen, True, (chosen,))
    group = Group([])
    for step in candidates:
        known = step.group
        if known is not None and known is not group:
            group.claims += known.claims
            group.uncertain |= known.uncertain
            for member in known.members:
                member.group = group
                group.members.append(member)
        elif known is None:
            step.group = group
            group.members.append(step)
    group.claims += 1
    group.uncertain |= maybe_none
    complete = group.claims == len(group.members) and not group.uncertain
    only_omit = not maybe_none and all(step.only_omit for step in candidates)
    return Link(chosen, False, tuple(group.members) if complete else (), only_omit)
