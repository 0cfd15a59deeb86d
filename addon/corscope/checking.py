"""Judges whole captures: what comes out is final, in the capture's order. Bounded in memory, whatever the size."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
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
    held: OrderedDict[str, Checked] = OrderedDict()
    for number, (exchange, wanted) in enumerate(entries):
        for verdict in session.judge(exchange):
            before = held.get(verdict.flow_id)
            if before is not None:
                held[verdict.flow_id] = before._replace(verdict=verdict)
            elif verdict.flow_id == exchange.id:
                held[exchange.id] = Checked(verdict, number, wanted)
        if len(held) > HELD:
            yield held.popitem(last=False)[1]
    for verdict in session.finish():
        before = held.get(verdict.flow_id)
        if before is not None:
            held[verdict.flow_id] = before._replace(verdict=verdict)
    yield from held.values()


def judge(exchange: Exchange, *, browser: str = "auto") -> Verdict:
    """Judge one exchange by itself, without what came before it."""
    return Session(browser=browser).judge(exchange)[0]
