"""Judges whole captures: what comes out is final, in the capture's order. Bounded in memory, whatever the size."""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from corscope.captures.capture import Entry
from corscope.model import Exchange, Verdict
from corscope.session import Session

HELD = 5_000
"""Exchanges whose verdicts what comes later in a capture may still change; of more, the oldest are told as they are."""


class Checked(NamedTuple):
    """An exchange of a capture with its verdict."""

    verdict: Verdict
    number: int
    """Which exchange of the capture it is, from 0."""
    wanted: bool
    """Whether the user's filter lets it be told."""


def check_entries(entries: Iterable[Entry], session: Session) -> Iterator[Checked]:
    """Judge the exchanges of a capture; each comes out once, with its final verdict, in the capture's order.

    An exchange without a response is judged with what follows, and has no verdict of its own.
    """
    held: dict[str, Checked] = {}
    waiting: list[tuple[int, str]] = []
    for count, (exchange, wanted, place) in enumerate(entries):
        number = count if place is None else place
        for verdict in session.judge(exchange):
            before = held.get(verdict.flow_id)
            if before is not None:
                held[verdict.flow_id] = before._replace(verdict=verdict)
            elif verdict.flow_id == exchange.id:
                held[exchange.id] = Checked(verdict, number, wanted)
                heappush(waiting, (number, exchange.id))
        if len(held) > HELD:
            yield held.pop(heappop(waiting)[1])
    for verdict in session.finish():
        before = held.get(verdict.flow_id)
        if before is not None:
            held[verdict.flow_id] = before._replace(verdict=verdict)
    for _, flow_id in sorted(waiting):
        yield held[flow_id]


def judge(exchange: Exchange, *, browser: str = "auto") -> Verdict:
    """Judge one exchange by itself, without what came before it."""
    return Session(browser=browser).judge(exchange)[0]
