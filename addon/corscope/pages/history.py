"""What the addon judged so far, for the pages: the latest verdict on each flow, the oldest let go of."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from corscope.headers import Fields
from corscope.model import Exchange, Rewrite, Verdict

CAPACITY = 20_000
"""Exchanges that are remembered."""

POOL = 10_000
"""Header lines that are known as the same; of more, the pool begins anew."""


class Noted(NamedTuple):
    """The latest verdict on a flow."""

    sequence: int
    """Grows with every verdict, from 1; what came later has the greater one."""
    number: int
    """Which exchange it was, from 0; a later verdict on the same flow does not change it."""
    verdict: Verdict
    rewrite: Rewrite | None
    """What rewriting did, or would do, to its response."""


class History:
    """The latest verdicts, in the order in which they came."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self._noted: OrderedDict[str, Noted] = OrderedDict()
        self._waiting: set[asyncio.Event] = set()
        self._pool: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}
        self._fresh: deque[Noted] = deque(maxlen=capacity)
        """Those whose header lines are still as their flow brought them."""
        self.era = ""
        """Another one after each start and each `clear`: what was told in an earlier one no longer holds."""
        self.sequence = 0
        """That of the latest verdict."""
        self.exchanges = 0
        """How many there were in all."""
        self.dropped = 0
        """How many of them were let go of."""
        self.passed_by = 0
        """Ordinary exchanges besides: exempt, nothing is to be said of them, and none was judged in full."""
        self.clear()

    def note(self, verdict: Verdict, rewrite: Rewrite | None = None) -> None:
        """Take a verdict, which replaces an earlier one on the same flow."""
        before = self._noted.pop(verdict.flow_id, None)
        if before is None:
            self.exchanges += 1
        self.sequence += 1
        number = self.exchanges - 1 if before is None else before.number
        self._noted[verdict.flow_id] = noted = Noted(self.sequence, number, verdict, rewrite)
        self._fresh.append(noted)
        if len(self._noted) > self.capacity:
            self._noted.popitem(last=False)
            self.dropped += 1
        if self._waiting:
            self.wake()

    def wake(self) -> None:
        """Let all who wait go on without news: who asks again asks another history, after a reload."""
        for event in self._waiting:
            event.set()

    def clear(self) -> None:
        """Forget all; the sequence goes on."""
        self._noted.clear()
        self._fresh.clear()
        self._pool.clear()
        self.exchanges = self.dropped = self.passed_by = 0
        self.sequence += 1
        self.era = f"{time.time_ns():x}"
        self.wake()

    @property
    def oldest(self) -> int:
        """The sequence number of the oldest verdict that is remembered; of the next one where there is none."""
        return next((one.sequence for one in self._noted.values()), self.sequence + 1)

    def all(self) -> Iterator[Noted]:
        """Yield what is remembered, in the order in which it came."""
        yield from self._noted.values()

    def get(self, flow_id: str) -> Noted | None:
        """Return what is remembered of a flow, None where it is not."""
        return self._noted.get(flow_id)

    def since(self, sequence: int) -> list[Noted]:
        """Return what came after a sequence number, in order."""
        newest_first = takewhile(lambda one: one.sequence > sequence, reversed(self._noted.values()))
        return list(newest_first)[::-1]

    def story(self, flow_id: str) -> list[Noted]:
        """Return the exchanges of the story that a flow belongs to, in their order; none where it is not remembered."""
        known = self._noted.get(flow_id)
        if known is None:
            return []
        story = story_of(known.verdict)
        return sorted(
            (one for one in self._noted.values() if story_of(one.verdict) == story), key=lambda one: one.number
        )

    async def wait(self, sequence: int, seconds: float) -> bool:
        """Wait until something came after a sequence number, or `wake`; tell whether that was within some seconds."""
        if self.sequence > sequence:
            return True
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(event)
        return True

    def pack(self, most: int) -> None:
        """Let equal header lines of up to `most` exchanges be the same objects.

        What a flow brought along is two thirds of what remembering it takes. To be called now and then, apart from
        the traffic, with as much as there is time for: some microseconds each.
        """
        for _ in range(min(most, len(self._fresh))):
            one = self._fresh.popleft()
            for verdict in (one.verdict, one.rewrite.was if one.rewrite is not None else one.verdict):
                if verdict.exchange is not None and verdict.exchange.request_picked is not None:
                    self._share(verdict.exchange)

    def _share(self, exchange: Exchange) -> None:
        if len(self._pool) > POOL:
            self._pool.clear()
        exchange.request_headers = self._shared(exchange.request_headers)
        exchange.response_headers = self._shared(exchange.response_headers)
        # It is read anew from the headers, in the rare case that somebody asks.
        exchange.request_picked = None

    def _shared(self, fields: Fields) -> Fields:
        known = self._pool.setdefault
        return tuple([known(field, field) for field in fields])


def story_of(verdict: Verdict) -> str:
    """Return the flow with which the story of a verdict begins."""
    return verdict.story_id or verdict.flow_id
