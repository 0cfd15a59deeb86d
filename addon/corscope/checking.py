"""Judges whole captures: what comes out is final, in the capture's order. Bounded in memory, whatever the size."""

import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from corscope import flow_filters
from corscope.captures.capture import Damage, Entry
from corscope.captures.sources import read_capture
from corscope.headers import Headers
from corscope.memory import bound
from corscope.model import Exchange, Verdict
from corscope.modes import read_head, url_of
from corscope.scope import OriginPatternError, parse_origin
from corscope.session import Known, Session
from corscope.settings import SettingError, check_browser, new_session, parse_silence

HELD = 20_000
"""Exchanges, ordinary ones among them, within which what comes later in a capture may still change a verdict."""


class Checked(NamedTuple):
    """An exchange of a capture with its verdict."""

    verdict: Verdict
    number: int
    """Which exchange of the capture it is, from 0."""
    wanted: bool
    """Whether the user's filter lets it be told."""


def check_entries(
    entries: Iterable[Entry],
    session: Session,
    *,
    passed: Callable[[bool], None] | None = None,
    allowed: Callable[[bool], None] | None = None,
    unanswered: Callable[[Entry], None] | None = None,
) -> Iterator[Checked]:
    """Judge the exchanges of a capture; each comes out once, with its final verdict, in the capture's order.

    What its reader had to put more than `HELD` entries elsewhere comes out of order.

    An exchange without a response is judged with what follows and has no verdict of its own; it goes to `unanswered`
    unless a preflight was asked for it, which then shows why, if nothing but CORS stopped it.

    Where `passed` is given, ordinary exchanges, which are exempt and of which nothing is to be said, do not come out,
    but it is told of each whether the user's filter lets it be told, at a tenth of the cost. So is `allowed` of
    exchanges that are allowed, and of which nothing is to be said.
    """
    held: OrderedDict[str, tuple[int, Known | None, int, bool]] = OrderedDict()
    """Of each when it came, what is known (None where it need not come out), its number, and whether it is wanted."""
    due = sys.maxsize
    """When the oldest is told as it is: how many entries have come by then."""
    places: list[int] = []
    """A heap of the numbers of all that has not been told, where they come in another order than the capture's."""
    settled: dict[int, Checked | None] = {}
    """What waits to be told, by its number, until what comes before it in the capture is."""
    # The latest preflights, by the URL and the method that each asks for.
    asked: OrderedDict[tuple[str, bytes], None] = OrderedDict()
    pass_by = session.pass_by

    def settle() -> Iterator[Checked]:
        """Let go of what was held longest, and tell it."""
        _, known, number, wanted = held.popitem(last=False)[1]
        checked: Checked | None = None
        if known is not None:
            session.let_go(known)
            if allowed is not None and session.is_plainly_allowed(known):
                allowed(wanted)
            else:
                checked = Checked(session.say(known), number, wanted)
        if places:
            settled[number] = checked
            while places and places[0] in settled:
                if (one := settled.pop(heappop(places))) is not None:
                    yield one
        elif checked is not None:
            yield checked

    for count, entry in enumerate(entries):
        if count >= due:
            yield from settle()
            due = next(iter(held.values()))[0] + HELD if held else sys.maxsize
        exchange, wanted, place = entry
        status = exchange.status
        if (
            exchange.method == b"OPTIONS"
            and status is not None
            and (method := _head(exchange).get(b"access-control-request-method"))
        ):
            asked[url_of(exchange), method] = None
            bound(asked, HELD)
        # Most are ordinary.
        if (
            passed is not None
            and status is not None
            and pass_by(
                exchange.client,
                exchange.connection,
                exchange.started,
                exchange.request_picked or _head(exchange),
                exchange.response_headers,
                status,
                exchange,
                _url_of,
            )
        ):
            passed(wanted)
            continue
        if status is None:
            stopped = exchange.observed is not None and exchange.observed.not_cors
            if unanswered is not None and (stopped or (url_of(exchange), exchange.method) not in asked):
                unanswered(entry)
        number = count if place is None else place
        if exchange.id in held:
            # Recordings that were joined may have flows in common.
            exchange.id = f"{exchange.id} ({number})"
        known = session.take(exchange)
        if known is None:
            continue
        if not held:
            due = count + HELD
        if allowed is not None and session.is_plainly_allowed(known, whatever_follows=True):
            allowed(wanted)
            held[exchange.id] = count, None, number, wanted
        else:
            held[exchange.id] = count, known, number, wanted
        if place is not None:
            heappush(places, place)
    session.finish()
    while held:
        yield from settle()


def _url_of(exchange: Exchange, _headers: Headers) -> str:
    return url_of(exchange)


def _head(exchange: Exchange) -> Headers:
    head = exchange.request_picked
    return head if head is not None else read_head(exchange.request_headers)


class Choice(NamedTuple):
    """What of a capture is told, and how it is judged."""

    browser: str = "auto"
    silence: frozenset[str] = frozenset()
    """Findings that are not told."""
    origins: frozenset[str] = frozenset()
    """Origins of the pages whose exchanges are told; empty for all."""
    filter: str = ""
    """A mitmproxy flow filter; empty for none."""

    def takes(self, checked: Checked) -> bool:
        """Tell whether an exchange is to be told."""
        return checked.wanted and self.has(checked.verdict.page)

    def has(self, page: str) -> bool:
        """Tell whether the exchanges of a page, by its origin, are to be told."""
        return not self.origins or page in self.origins


def choose(
    *,
    browser: str = "auto",
    silence: Iterable[str] = (),
    origins: Iterable[str] = (),
    filter: str = "",  # noqa: A002 - the name that users know from mitmproxy
) -> Choice:
    """Return a choice whose parts make sense; a single string of ids or an origin will do. Raises SettingError."""
    check_browser("browser", browser)
    pages: set[str] = set()
    for origin in _several(origins):
        try:
            pages.add("null" if origin == "null" else parse_origin(origin).decode("latin-1"))
        except OriginPatternError as error:
            raise SettingError(f"origin: {error}") from error
    try:
        flow_filters.parse(filter)
    except ValueError as error:
        raise SettingError(f"filter: {error}") from error
    return Choice(browser, parse_silence("silence", _several(silence)), frozenset(pages), filter)


def _several(values: Iterable[str]) -> Iterable[str]:
    """Return one or more values as several: a string is one, though Python would take it for its characters."""
    return (values,) if isinstance(values, str) else values


def check_capture(
    path: str | os.PathLike[str],
    choice: Choice,
    damaged: Callable[[Damage], None],
    *,
    at: Callable[[int], None] | None = None,
    passed: Callable[[bool], None] | None = None,
    allowed: Callable[[bool], None] | None = None,
    unanswered: Callable[[Entry], None] | None = None,
) -> Iterator[Checked]:
    """Judge one capture; all its exchanges come out, those too that are not to be told.

    `at` as in `read_capture`, `passed`, `allowed` and `unanswered` as in `check_entries`.

    Raises UnreadableCapture where nothing can be read, OSError where the file can't be opened.
    """
    entries = read_capture(path, wanted=flow_filters.parse(choice.filter), damaged=damaged, at=at)
    session = new_session(choice.browser, silence=choice.silence)
    return check_entries(entries, session, passed=passed, allowed=allowed, unanswered=unanswered)


def check(
    path: str | os.PathLike[str],
    *,
    browser: str = "auto",
    silence: Collection[str] = (),
    origins: Collection[str] = (),
    filter: str = "",  # noqa: A002 - as above
    on_damage: Callable[[Damage], None] | None = None,
) -> Iterator[Verdict]:
    """Judge a capture, .mitm or HAR, packed or not: yield its verdicts, each final, in the capture's order.

    `browser` is `auto`, `chromium`, `firefox` or `spec`; `silence` are ids of findings that are not told; `origins`
    those of the pages that are of interest, all where it is empty; `filter` is a mitmproxy flow filter; `on_damage` is
    told what could not be read.

    Raises SettingError for an argument that makes no sense, UnreadableCapture where nothing can be read, OSError where
    the file can't be opened.
    """
    choice = choose(browser=browser, silence=silence, origins=origins, filter=filter)
    return (
        checked.verdict
        for checked in check_capture(path, choice, on_damage or (lambda _: None))
        if choice.takes(checked)
    )


def judge(exchange: Exchange, *, browser: str = "auto") -> Verdict:
    """Judge one exchange by itself, without what came before it; `browser` as in `check`.

    Raises SettingError, and ValueError for an exchange without a response, of which there is nothing to say.
    """
    check_browser("browser", browser)
    verdicts = new_session(browser).judge(exchange)
    if not verdicts:
        raise ValueError(f"exchange {exchange.id!r} has no response: its status has to be a number")
    return verdicts[0]
