"""What the addon judged so far, for the pages: the latest verdict on each flow, the oldest let go of."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from corscope.model import Rewrite, Verdict

CAPACITY = 20_000
"""Exchanges that are remembered."""


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
        self._capacity = capacity
        self._noted: OrderedDict[str, Noted] = OrderedDict()
        self._waiting: set[asyncio.Event] = set()
        self.sequence = 0
        """That of the latest verdict."""
        self.exchanges = 0
        """How many there were in all."""
        self.dropped = 0
        """How many of them were let go of."""

    def note(self, verdict: Verdict, rewrite: Rewrite | None = None) -> None:
        """Take a verdict, which replaces an earlier one on the same flow."""
        before = self._noted.pop(verdict.flow_id, None)
        if before is None:
            self.exchanges += 1
        self.sequence += 1
        number = self.exchanges - 1 if before is None else before.number
        self._noted[verdict.flow_id] = Noted(self.sequence, number, verdict, rewrite)
        if len(self._noted) > self._capacity:
            self._noted.popitem(last=False)
            self.dropped += 1
        if self._waiting:
            for event in self._waiting:
                event.set()

    def clear(self) -> None:
        """Forget all; the sequence goes on."""
        self._noted.clear()
        self.sequence += 1

    def all(self) -> Iterator[Noted]:
        """Yield what is remembered, in the order in which it came."""
        yield from self._noted.values()

    def get(self, flow_id: str) -> Noted | None:
        """Return what is remembered of a flow."""
        return self._noted.get(flow_id)

    def since(self, sequence: int) -> list[Noted]:
        """Return what came after a sequence number, in order."""
        newest_first = takewhile(lambda one: one.sequence > sequence, reversed(self._noted.values()))
        return list(newest_first)[::-1]

    async def wait(self, sequence: int, seconds: float) -> bool:
        """Wait until something came after a sequence number; tell whether it did within some seconds."""
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
