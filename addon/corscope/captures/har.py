"""HTTP Archives, .har: of browsers' developer tools, of proxies, and of whatever else writes them.

Here entries are found, put in order, and what can't be read is told; `har_entries` reads each of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, BinaryIO, NamedTuple

from corscope.captures.capture import Damage, Entry, OnDamage, UnreadableCapture
from corscope.captures.har_entries import FIREFOX, EntryReader, OddEntry, Writer, writer_named
from corscope.captures.json_stream import READ_ERRORS, BrokenJson, CutJson, JsonStream
from corscope.flow_filters import Filter
from corscope.follow_ups import FOLLOW_UP_SECONDS
from corscope.headers import Headers
from corscope.modes import is_cors_preflight

WINDOW = 512
"""Entries among which the order is restored. Browsers list requests as pages made them: one that waited for its
preflight comes before it."""

WAITED = 0.5
"""Seconds that Firefox may take to begin a preflight."""

ATTEMPTS = 10_000
"""How many objects are looked at for the next entry behind a broken one."""


def read_har(file: BinaryIO, *, wanted: Filter | None, damaged: OnDamage) -> Iterator[Entry]:
    """Read an HTTP Archive. `captures.capture.Reader`; an exchange's id is the index of its entry."""
    archive = _Archive(file, wanted)
    yield from _sorted(archive.read())
    for damage in archive.damage():
        damaged(damage)
    if archive.failure is not None:
        raise archive.failure


class _Placed(NamedTuple):
    """An entry in its place among others."""

    time: float
    """By which they are sorted, seconds since the epoch."""
    number: int
    entry: Entry
    writer: Writer


def _place(entry: Entry, index: int, writer: Writer) -> _Placed:
    exchange = entry.exchange
    if writer.in_order:
        return _Placed(0.0, index, entry, writer)
    # What got no answer may have been stopped by what its preflight was answered, which is to be seen before.
    time = exchange.started if exchange.status is not None else exchange.started + FOLLOW_UP_SECONDS
    return _Placed(time, index, entry, writer)


def _sorted(entries: Iterable[_Placed]) -> Iterator[Entry]:
    """Restore the order of entries, as far as the window goes."""
    window: list[_Placed] = []
    for placed in entries:
        if placed.writer is FIREFOX and is_cors_preflight(placed.entry.exchange.method, _head(placed)):
            window = [_behind(placed, one) for one in window]
            heapify(window)
        heappush(window, placed)
        if len(window) > WINDOW:
            yield heappop(window).entry
    while window:
        yield heappop(window).entry


def _head(placed: _Placed) -> Headers:
    return placed.entry.exchange.request_picked or {}


def _behind(preflight: _Placed, placed: _Placed) -> _Placed:
    """Let what may have waited for a preflight begin when that was answered.

    Firefox tells when a page asked for something, and not for how long it waited for a preflight, which it lists next.
    """
    asked, headers, exchange = preflight.entry.exchange, _head(preflight), placed.entry.exchange
    if (
        exchange.path != asked.path
        or exchange.host != asked.host
        or exchange.status is None
        or exchange.method != headers.get(b"access-control-request-method")
        or _head(placed).get(b"origin") != headers.get(b"origin")
        or not asked.started - WAITED <= exchange.started <= asked.answered
    ):
        return placed
    took = exchange.answered - exchange.started
    exchange.started = asked.answered
    exchange.answered = exchange.started + took
    return placed._replace(time=exchange.started)


@dataclass(slots=True)
class _Losses:
    """What could not be read, for reasons of one kind: where and why it began, and how much it is."""

    where: str = ""
    what: str = ""
    count: int = 0

    def add(self, where: str, what: str, count: int = 1) -> None:
        if not self.where:
            self.where, self.what = where, what
        self.count += count

    def damage(self, one: str, many: str) -> list[Damage]:
        """Return it as what is told at the end, if there is anything to tell."""
        how_much = f"{self.count:,} {one if self.count == 1 else many}"
        return [Damage(self.where, self.what, how_much)] if self.where else []


class _Archive:
    """One archive while it is read."""

    def __init__(self, file: BinaryIO, wanted: Filter | None) -> None:
        self._stream = JsonStream(file)
        self._wanted = wanted
        self._entry_reader = EntryReader()
        self._writer: Writer | None = None
        """As `log.creator` says; None where that is not known, or not yet."""
        self._listed = self._complete = False
        """Whether there is a list of entries at all, and whether its end was seen."""
        self._met = self._read = 0
        """How many entries were met, and how many of them could be read."""
        self._cut = False
        """Whether the file ends before they do."""
        self.failure: Exception | None = None
        """What kept the file itself from being read to its end."""
        self._odd, self._broken, self._unfiltered = _Losses(), _Losses(), _Losses()

    def read(self) -> Iterator[_Placed]:
        """Yield its entries in the file's order."""
        try:
            for index, entry in enumerate(self._find()):
                self._met += 1
                try:
                    found = self._entry_reader.read(index, entry, self._writer)
                except OddEntry as odd:
                    self._odd.add(f"entry {index}", str(odd))
                    continue
                self._read += 1
                if found is not None:
                    exchange, writer = found
                    wanted = self._wanted is None or self._is_wanted(self._wanted, index, entry)
                    yield _place(Entry(exchange, wanted, index), index, writer)
        except CutJson:
            self._cut = not self._complete
        except BrokenJson as error:
            self._lose_rest(str(error))
        except READ_ERRORS as error:
            self.failure = error

    def _lose_rest(self, why: str) -> None:
        """Pass over what nothing can be made of, to the end of the file."""
        begin = self._stream.position
        try:
            self._stream.drop_rest()
        except READ_ERRORS as error:
            self.failure = error
        self._broken.add(f"character {begin}", why, self._stream.position - begin)

    # ------------------------------------------------------------------ finding entries

    def _find(self) -> Iterator[Any]:
        """Yield the members of `log.entries`, wherever that stands. Raises CutJson and BrokenJson."""
        if self._stream.peek() == "{":
            yield from self._members(outermost=True)
            if self._stream.peek():
                raise BrokenJson("something follows the end of the archive")

    def _members(self, *, outermost: bool) -> Iterator[Any]:
        """Look through an object, which is `log` or the one around it."""
        stream = self._stream
        stream.drop()
        while (character := stream.peek()) != "}":
            if character == ",":
                stream.drop()
                continue
            name = stream.value()
            if stream.peek() != ":":
                raise CutJson if not stream.held else BrokenJson("expecting ':' delimiter")
            stream.drop()
            character = stream.peek()
            if outermost and name == "log" and character == "{":
                yield from self._members(outermost=False)
            elif name == "entries" and character == "[":
                # Some write `log` without the object around it.
                self._listed, self._complete = True, False
                yield from self._entries()
                self._complete = True
            elif name == "creator":
                self._writer = writer_named(stream.value())
            else:
                stream.skip()
        stream.drop()

    def _entries(self) -> Iterator[Any]:
        """Yield the members of a list."""
        stream = self._stream
        stream.drop()
        while (character := stream.peek()) != "]":
            if character == ",":
                stream.drop()
                continue
            begin = stream.position
            try:
                entry = stream.value()
            except BrokenJson as error:
                entry = self._next_entry()
                end = stream.position if entry is None else stream.began
                self._broken.add(f"character {begin}", str(error), end - begin)
                if entry is None:
                    raise
            yield entry
        stream.drop()

    def _next_entry(self) -> Any:  # noqa: ANN401 - as JSON has it
        """Pass over what is broken, and return the next that looks like an entry; None where there is none."""
        stream = self._stream
        try:
            for _ in range(ATTEMPTS):
                stream.seek_object()
                try:
                    found = stream.value()
                except BrokenJson:
                    continue
                if "request" in found and "response" in found:
                    return found
        except CutJson:
            return None
        return None

    # ------------------------------------------------------------------ what is told at the end

    def damage(self) -> list[Damage]:
        """Return what could not be read. Raises UnreadableCapture where that is all there is."""
        stream = self._stream
        if not self._listed and self.failure is None:
            found = "is empty" if not stream.size else "ends before it" if self._cut else "has none"
            raise UnreadableCapture(f"expected an HTTP Archive, a JSON object with a list log.entries: this {found}")
        losses = [*self._odd.damage("entry", "entries"), *self._broken.damage("character", "characters")]
        if self._cut:
            rest = f"the last {stream.held:,} characters" if stream.held else "what is missing"
            losses.append(Damage(f"entry {self._met}", "the file ends before its list of entries does", rest))
        if losses and not self._read:
            first = losses[0]
            raise UnreadableCapture(f"none of its entries can be read: {first.where}: {first.what}")
        if stream.undecodable is not None:
            what = f"it is not {stream.encoding}, as the file is; taken for what it is"
            losses.append(Damage(f"byte {stream.undecodable}", what, "nothing"))
        if (undated := self._entry_reader.undated) is not None:
            number, count = undated
            kept = f"nothing: {count:,} taken to be as old as the entry before"
            losses.append(Damage(f"entry {number}", "its startedDateTime is no date", kept))
        if self._unfiltered.where:
            kept = f"nothing: {self._unfiltered.count:,} told whatever the filter says"
            losses.append(Damage(self._unfiltered.where, self._unfiltered.what, kept))
        return losses

    # ------------------------------------------------------------------ the user's filter

    def _is_wanted(self, wanted: Filter, index: int, entry: dict[str, Any]) -> bool:
        """Ask a filter about an entry. What mitmproxy can't make a flow of is wanted."""
        from corscope.captures import mitmproxys

        try:
            return mitmproxys.wants_entry(wanted, entry)
        except mitmproxys.NotConverted as error:
            self._unfiltered.add(f"entry {index}", f"mitmproxy can't read it for the filter ({error})")
            return True
