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

LARGEST = 64 * 2**20
"""Bytes of URLs and header lines that they may have; equal lines are counted once."""

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

    def __init__(self, capacity: int = CAPACITY, largest: int = LARGEST) -> None:
        self.capacity, self.largest = capacity, largest
        self._noted: OrderedDict[str, Noted] = OrderedDict()
        self._waiting: set[asyncio.Event] = set()
        self._pool: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}
        self._pooled = 0
        self._fresh: deque[Noted] = deque(maxlen=capacity)
        """Those whose header lines are still as their flow brought them."""
        self._sizes: dict[str, int] = {}
        """Bytes of URL and header lines of each of the others, those of equal lines with the first."""
        self._size = 0
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
            self._drop()
        if self._waiting:
            self.wake()

    def _drop(self) -> None:
        flow_id, _ = self._noted.popitem(last=False)
        self._size -= self._sizes.pop(flow_id, 0)
        self.dropped += 1

    def wake(self) -> None:
        """Let all who wait go on without news: who asks again asks another history, after a reload."""
        for event in self._waiting:
            event.set()

    def clear(self) -> None:
        """Forget all; the sequence goes on."""
        self._noted.clear()
        self._fresh.clear()
        self._pool.clear()
        self._sizes.clear()
        self._size = self._pooled = 0
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
        """Let equal header lines of up to `most` exchanges be the same objects, and let go of what is too much.

        What a flow brought along is two thirds of what remembering it takes. To be called now and then, apart from
        the traffic, with as much as there is time for: some microseconds each. When many came it takes a quarter of
        those, so that no more wait than come between four calls.
        """
        for _ in range(min(max(most, len(self._fresh) // 4), len(self._fresh))):
            one = self._fresh.popleft()
            flow_id = one.verdict.flow_id
            if self._noted.get(flow_id) is not one:
                continue
            size = 0
            for verdict in (one.verdict, one.rewrite.was if one.rewrite is not None else one.verdict):
                if verdict.exchange is not None and verdict.exchange.request_picked is not None:
                    size += self._share(verdict.exchange)
            # A later verdict may be on an exchange that was looked at already.
            if size or flow_id not in self._sizes:
                size += len(one.verdict.url)
                self._size += size - self._sizes.get(flow_id, 0)
                self._sizes[flow_id] = size
        while self._size > self.largest:
            self._drop()

    def _share(self, exchange: Exchange) -> int:
        """Take header lines that are there already; returns the bytes of those that were not."""
        if len(self._pool) > POOL or self._pooled > self.largest // 4:
            self._pool.clear()
            self._pooled = 0
        exchange.request_headers, asked = self._shared(exchange.request_headers)
        exchange.response_headers, answered = self._shared(exchange.response_headers)
        # It is read anew from the headers, in the rare case that somebody asks.
        exchange.request_picked = None
        return asked + answered

    def _shared(self, fields: Fields) -> tuple[Fields, int]:
        known, shared, size = self._pool.setdefault, [], 0
        for field in fields:
            same = known(field, field)
            if same is field:
                size += len(field[0]) + len(field[1])
            shared.append(same)
        self._pooled += size
        return tuple(shared), size


def story_of(verdict: Verdict) -> str:
    """Return the flow with which the story of a verdict begins."""
    return verdict.story_id or verdict.flow_id
