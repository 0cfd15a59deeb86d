"""HTTP Archives, .har: of browsers' developer tools, of proxies, and of whatever else writes them.

What a field means depends on who wrote it. That is said by `log.creator`, which Fiddler puts behind the entries, and
by fields that only one writer has. http://www.softwareishard.com/blog/har-12-spec/
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from heapq import heapify, heappop, heappush
from typing import Any, BinaryIO

from mitmproxy import exceptions, flowfilter
from mitmproxy.io.har import request_to_flow

from corscope import adapter
from corscope.captures.capture import Damage, Entry, OnDamage, UnreadableCapture
from corscope.captures.json_stream import BrokenJson, CutJson, JsonStream
from corscope.follow_ups import FOLLOW_UP_SECONDS
from corscope.headers import Fields, Headers
from corscope.model import Exchange, Observed
from corscope.modes import Head, is_cors_preflight, read_head

WINDOW = 512
"""Entries among which the order is restored. Browsers list requests as pages made them: one that waited for its
preflight comes before it."""

WAITED = 0.5
"""Seconds that Firefox may take to begin a preflight."""

ATTEMPTS = 10_000
"""How many objects are looked at for the next entry behind a broken one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """What the archives of one program are like."""

    before_sending: tuple[str, ...] = ("blocked", "dns", "connect")
    """What of `timings` lies between `startedDateTime` and the moment at which the request is sent."""
    sanitizes: bool = True
    """Whether it may leave out cookies and Authorization."""
    in_order: bool = False
    """Whether the order of the entries and their times are those of the wire."""


CHROMIUM = Writer()
"""Developer tools of Chrome, Edge and the like (front_end/models/har/Log.ts)."""
FIREFOX = Writer(before_sending=("blocked", "dns", "connect", "ssl"))
"""devtools/client/netmonitor/src/har/har-builder.js"""
WEBKIT = Writer()
"""Safari (Source/WebInspectorUI/UserInterface/Controllers/HARBuilder.js). Leaves out what failed."""
PLAYWRIGHT = Writer()
"""packages/playwright-core/src/server/har/harTracer.ts"""
MITMPROXY = Writer(before_sending=(), sanitizes=False, in_order=True)
"""mitmproxy/addons/savehar.py"""
FIDDLER = Writer(before_sending=(), sanitizes=False)
PROXY = Writer(before_sending=(), sanitizes=False)
"""Charles and other proxies."""
UNKNOWN = Writer()

_CREATORS = {
    "webinspector": CHROMIUM,
    "firefox": FIREFOX,
    "webkit web inspector": WEBKIT,
    "playwright": PLAYWRIGHT,
    "mitmproxy": MITMPROXY,
    "fiddler": FIDDLER,
    "charles proxy": PROXY,
    "proxyman": PROXY,
    "http toolkit": PROXY,
    "browsermob proxy": PROXY,
}

_OF_ENTRIES = (
    ("_securityState", FIREFOX),
    ("_initiator", CHROMIUM),
    ("_fetchType", WEBKIT),
    ("_serverPort", PLAYWRIGHT),
    ("_securityDetails", PLAYWRIGHT),
)
_OF_RESPONSES = (("_charlesStatus", PROXY), ("_failureText", PLAYWRIGHT))
"""Fields that only one writer has."""


class _Odd(Exception):
    """An entry is not what it should be; the message says what is wrong."""


class _Lost(Exception):
    """Behind something broken no entry was found any more."""


def read_har(file: BinaryIO, *, wanted: flowfilter.TFilter | None, damaged: OnDamage) -> Iterator[Entry]:
    """Read an HTTP Archive. `captures.capture.Reader`; an exchange's id is the index of its entry."""
    return _sorted(_Archive(file, wanted, damaged).read())


@dataclass(slots=True, order=True)
class _Placed:
    """An entry in its place among others."""

    time: float
    """By which they are sorted, seconds since the epoch."""
    index: int
    entry: Entry = field(compare=False)
    writer: Writer = field(compare=False)


def _sorted(entries: Iterable[_Placed]) -> Iterator[Entry]:
    """Restore the order of entries, as far as the window goes."""
    window: list[_Placed] = []
    for placed in entries:
        if placed.writer is FIREFOX and is_cors_preflight(placed.entry.exchange.method, _head(placed)):
            _put_behind(placed, window)
        heappush(window, placed)
        if len(window) > WINDOW:
            yield heappop(window).entry
    while window:
        yield heappop(window).entry


def _head(placed: _Placed) -> Headers:
    return placed.entry.exchange.request_picked or {}


def _put_behind(preflight: _Placed, window: list[_Placed]) -> None:
    """Let what may have waited for a preflight begin when that was answered.

    Firefox tells when a page asked for something, and not for how long it waited for a preflight, which it lists next.
    """
    asked, headers = preflight.entry.exchange, _head(preflight)
    for placed in window:
        exchange = placed.entry.exchange
        if (
            exchange.path == asked.path
            and exchange.host == asked.host
            and exchange.method == headers.get(b"access-control-request-method")
            and _head(placed).get(b"origin") == headers.get(b"origin")
            and exchange.started <= asked.answered
            and placed.time >= asked.started - WAITED
        ):
            took = exchange.answered - exchange.started
            exchange.started = asked.answered
            exchange.answered = exchange.started + took
            placed.time = max(placed.time, exchange.started)
    heapify(window)


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

    def __init__(self, file: BinaryIO, wanted: flowfilter.TFilter | None, damaged: OnDamage) -> None:
        self._stream = JsonStream(file)
        self._wanted, self._damaged = wanted, damaged
        self._writer: Writer | None = None
        """As `log.creator` says; None where that is not known, or not yet."""
        self._listed = self._complete = False
        """Whether there is a list of entries at all, and whether its end was seen."""
        self._met = self._read = 0
        """How many entries were met, and how many of them could be read."""
        self._latest = 0.0
        """When the latest request began, seconds since the epoch."""
        self._agent = b""
        """The User-Agent of the latest request that had one."""
        self._odd, self._broken, self._unfiltered = _Losses(), _Losses(), _Losses()

    def read(self) -> Iterator[_Placed]:
        """Yield its entries in the file's order; then tell what could not be read."""
        stream, cut = self._stream, False
        try:
            for index, entry in enumerate(self._find()):
                self._met += 1
                try:
                    placed = self._placed(index, entry)
                except _Odd as odd:
                    self._odd.add(f"entry {index}", str(odd))
                    continue
                self._read += 1
                if placed is not None:
                    yield placed
        except CutJson:
            cut = not self._complete
        except BrokenJson as error:
            self._broken.add(f"character {stream.position}", str(error), stream.held)
        except _Lost:
            pass
        self._tell(cut)

    # ------------------------------------------------------------------ finding entries

    def _find(self) -> Iterator[Any]:
        """Yield the members of `log.entries`, wherever that stands. Raises CutJson, BrokenJson and _Lost."""
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
                self._created_by(stream.value())
            else:
                stream.skip()
        stream.drop()

    def _created_by(self, creator: object) -> None:
        name = creator.get("name") if isinstance(creator, dict) else None
        if isinstance(name, str):
            self._writer = _CREATORS.get(name.lower())

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
                    raise _Lost from None
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
            pass
        stream.drop_all()
        return None

    # ------------------------------------------------------------------ what is told at the end

    def _tell(self, cut: bool) -> None:
        """Tell what could not be read. Raises UnreadableCapture where that is all there is."""
        stream = self._stream
        if not self._listed:
            found = "is empty" if not stream.size else "ends before it" if cut else "has none"
            raise UnreadableCapture(f"expected an HTTP Archive, a JSON object with a list log.entries: this {found}")
        losses = [*self._odd.damage("entry", "entries"), *self._broken.damage("character", "characters")]
        if cut:
            rest = f"the last {stream.held:,} characters" if stream.held else "whatever is missing"
            losses.append(Damage(f"entry {self._met}", "the file ends before its list of entries does", rest))
        if losses and not self._read:
            first = losses[0]
            raise UnreadableCapture(f"none of its entries can be read: {first.where}: {first.what}")
        if stream.undecodable is not None:
            what = f"this is not {stream.encoding}, as the rest is; taken as it is"
            losses.append(Damage(f"byte {stream.undecodable}", what, "nothing"))
        if self._unfiltered.where:
            kept = f"nothing: {self._unfiltered.count:,} told whatever the filter says"
            losses.append(Damage(self._unfiltered.where, self._unfiltered.what, kept))
        for damage in losses:
            self._damaged(damage)

    # ------------------------------------------------------------------ entries

    def _is_wanted(self, wanted: flowfilter.TFilter, index: int, entry: dict[str, Any]) -> bool:
        """Ask a filter about an entry. What mitmproxy can't make a flow of is wanted."""
        try:
            flow = request_to_flow(entry)
        except _NOT_CONVERTED as error:
            self._unfiltered.add(f"entry {index}", f"mitmproxy can't read it for the filter ({type(error).__name__})")
            return True
        return bool(wanted(flow))

    def _placed(self, index: int, entry: object) -> _Placed | None:
        """Return an entry's exchange in its place; None where it never was on a wire. Raises _Odd."""
        if not isinstance(entry, dict):
            raise _Odd("it is no object")
        request, response = _part(entry, "request"), _part(entry, "response") if entry.get("response") else {}
        url, method = _text(request, "url"), _text(request, "method")
        scheme = _SCHEMES.get(url.partition(":")[0].lower())
        if scheme is None or method == "CONNECT" or response.get("_fetchedViaServiceWorker") is True:
            # data:, blob:, an extension's own; a tunnel; what a service worker answered: its own requests are listed.
            return None
        writer = self._writer or _writer_of(entry, response)
        host, port, path = _target(url, scheme)
        fields, head = _request_fields(entry, request, writer)
        status = _status(response.get("status"))
        asked = self._asked(entry.get("startedDateTime"))
        timings = _part(entry, "timings") if entry.get("timings") else {}
        started = asked
        if status is not None:
            started += _seconds(timings, writer.before_sending)
        took = _seconds(timings, ("send", "wait")) if timings else _seconds(entry, ("time",))
        exchange = Exchange(
            id=str(index),
            client=self._client(head.get(b"user-agent")),
            connection=_connection(entry, writer),
            started=started,
            answered=started + took,
            method=_encoded(method),
            scheme=scheme,
            host=host,
            port=port,
            path=path,
            http_version=_http_version(request.get("httpVersion")) or _http_version(response.get("httpVersion")) or 1,
            request_headers=fields,
            request_picked=head,
            status=status,
            response_headers=_response_fields(response, writer) if status is not None else (),
            sanitized=writer.sanitizes,
            in_order=writer.in_order,
            observed=_observed(writer, response, status, head, timings),
        )
        if status is None and writer is MITMPROXY and isinstance(error := response.get("_error"), str):
            exchange = adapter.without_answer(exchange, error, started) or exchange
        elif status == 502 and writer is MITMPROXY:
            exchange.proxy_made = adapter.is_mitmproxys(exchange.response_headers)
        elif status in (502, 504) and writer is FIDDLER:
            exchange.proxy_made = _begins(response, "[Fiddler]")
        elif status == 200 and writer is PLAYWRIGHT and head.keys() & _CONDITIONAL:
            # What was revalidated has the headers of the 304, and the status that the page sees.
            exchange.status = 304
        wanted = self._wanted is None or self._is_wanted(self._wanted, index, entry)
        # What got no answer may have been stopped by what its preflight was answered, which is to be seen before.
        time = 0.0 if writer.in_order else asked + FOLLOW_UP_SECONDS if status is None else started
        return _Placed(time, index, Entry(exchange, wanted, index), writer)

    def _asked(self, date: object) -> float:
        """Return when a request began, in seconds since the epoch; where that is missing, like the one before."""
        if date is None or date == "":
            return self._latest
        try:
            told = datetime.fromisoformat(date)  # type: ignore[arg-type]
            self._latest = (told if told.tzinfo is not None else told.replace(tzinfo=UTC)).timestamp()
        except (TypeError, ValueError, OverflowError):
            raise _Odd("its startedDateTime is no date") from None
        return self._latest

    def _client(self, agent: bytes | None) -> str:
        """Tell who sent a request: an archive knows a browser by its User-Agent only.

        What never left the browser may have none: that is the same browser's.
        """
        if agent is not None:
            self._agent = agent
        return f"{self._agent!r}"


def _part(whole: dict[str, Any], name: str) -> dict[str, Any]:
    part = whole.get(name)
    if not isinstance(part, dict):
        raise _Odd(f"its {name} is no object" if name in whole else f"it has no {name}")
    return part


def _text(part: dict[str, Any], name: str) -> str:
    text = part.get(name)
    if not isinstance(text, str) or not text:
        raise _Odd(f"its request has no {name}")
    return text


def _encoded(text: str) -> bytes:
    """Return the bytes that a text stands for: those that are no UTF-8 stand in it as surrogates."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _writer_of(entry: dict[str, Any], response: dict[str, Any]) -> Writer:
    """Tell who wrote an entry by what only they write."""
    for name, writer in _OF_ENTRIES:
        if name in entry:
            return writer
    for name, writer in _OF_RESPONSES:
        if name in response:
            return writer
    return FIDDLER if _client_port(entry) else UNKNOWN


# ---------------------------------------------------------------------- what was asked, and where

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""Schemes of exchanges that were on a wire, with those that an exchange has: a WebSocket begins with HTTP."""

_BEHIND_HOST = re.compile(r"[/?\\]")


def _target(url: str, scheme: str) -> tuple[str, int, str]:
    """Return host, port and path of a URL. Raises _Odd."""
    rest = url.partition("#")[0].partition(":")[2].removeprefix("//")
    begin = found.start() if (found := _BEHIND_HOST.search(rest)) else len(rest)
    place = adapter.parse_authority(_encoded(rest[:begin].rpartition("@")[2]), scheme)
    if place is None:
        raise _Odd("its request's url names no host")
    path = rest[begin:]
    if not path.startswith("/"):
        path = f"/{path}"
    return *place, path if path.isascii() else _encoded(path).decode("utf-8", "replace")


_HTTP_VERSION = re.compile(r"(?:http/|h)([123])(?:\.\d|$|-)|(quic|http/2\+quic|hq)", re.IGNORECASE)


def _http_version(text: object) -> int:
    """Return the major version that is named in one way or another; 0 where none is."""
    return _named_version(text) if isinstance(text, str) else 0


@lru_cache(maxsize=64)
def _named_version(text: str) -> int:
    found = _HTTP_VERSION.match(text)
    if found is None:
        return 0
    return int(found[1]) if found[1] else 3


_CONDITIONAL = frozenset((b"if-none-match", b"if-modified-since"))


def _status(status: object) -> int | None:
    """Return a status code, None where no response came: browsers write 0 then, Playwright -1. Raises _Odd."""
    if status is None or status == "":
        return None
    try:
        code = int(status) if isinstance(status, (int, float, str)) else 1000
    except (ValueError, OverflowError):
        code = 1000
    if code >= 1000:
        raise _Odd("its response's status is no status")
    return code if code >= 100 else None


def _connection(entry: dict[str, Any], writer: Writer) -> str | None:
    """Return the browser's connection, None where that is not told.

    `connection` is the server's port in Chrome's and Firefox's archives.
    """
    if writer is CHROMIUM:
        connection = entry.get("_connectionId")
        return connection if isinstance(connection, str) and connection not in ("", "0") else None
    return _client_port(entry) if writer is FIDDLER else None


_CLIENT_PORT = re.compile(r"ClientPort:([1-9]\d*)")


def _client_port(entry: dict[str, Any]) -> str | None:
    """Return the port from which a client spoke to Fiddler."""
    connection = entry.get("connection")
    found = _CLIENT_PORT.match(connection) if isinstance(connection, str) else None
    return found[1] if found else None


def _seconds(timings: dict[str, Any], names: tuple[str, ...]) -> float:
    """Return the sum of some timings, which are in milliseconds; -1 and null stand for none."""
    total = 0.0
    for name in names:
        timing = timings.get(name)
        if isinstance(timing, (int, float)) and 0 < timing < 1e12:
            total += timing
    return total / 1000


# ---------------------------------------------------------------------- headers


def _fields(part: dict[str, Any], of: str) -> list[tuple[bytes, bytes]]:
    """Return a header list as it went over the wire, without HTTP/2's pseudo headers. Raises _Odd.

    Chrome joins the values of several fields of one name with line feeds; Slack writes pairs.
    """
    headers = part.get("headers")
    if headers is None:
        return []
    fields: list[tuple[bytes, bytes]] = []
    try:
        for header in headers:
            name, value = (header["name"], header["value"]) if type(header) is dict else header
            if name[0] == ":":
                continue
            if "\n" in value:
                fields += [(_encoded(name), _encoded(one)) for one in value.split("\n")]
            else:
                fields.append((name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")))
    except (AttributeError, LookupError, TypeError, ValueError):
        return _odd_fields(headers, of)
    return fields


def _odd_fields(headers: object, of: str) -> list[tuple[bytes, bytes]]:
    """Return a header list of which something is odd: null and numbers for values are taken, as is broken text."""
    fields: list[tuple[bytes, bytes]] = []
    for header in headers if isinstance(headers, list) else [None]:
        pair = (header.get("name"), header.get("value")) if isinstance(header, dict) else header
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise _Odd(f"its {of}'s headers are no list of names and values")
        name, value = pair
        if isinstance(value, (dict, list)):
            raise _Odd(f"its {of}'s header {name} has no text for a value")
        if name and not name.startswith(":"):
            said = "" if value is None else str(value)
            fields += [(_encoded(name), _encoded(one)) for one in said.split("\n")]
    return fields


_MODES = {
    "document": b"navigate",
    "eventsource": b"cors",
    "ping": b"no-cors",
    "xhr": b"cors",
}
"""Chrome's names of what asked, and the request mode that each has; `fetch` has any."""


def _request_fields(entry: dict[str, Any], request: dict[str, Any], writer: Writer) -> tuple[Fields, Head]:
    """Return a request's headers, and what is read of them. Raises _Odd."""
    fields = _fields(request, "request")
    if writer is FIREFOX and request.get("postData"):
        # Firefox appends the headers of a multipart body's parts.
        names = [name.lower() for name, _ in fields]
        if b"content-disposition" in names:
            del fields[names.index(b"content-disposition") :]
    all_fields = tuple(fields)
    head = read_head(all_fields)
    cookies = request.get("cookies")
    if cookies and b"cookie" not in head and isinstance(cookies, list):
        pairs = [
            f"{cookie['name']}={cookie['value']}"
            for cookie in cookies
            if isinstance(cookie, dict) and isinstance(cookie.get("name"), str) and isinstance(cookie.get("value"), str)
        ]
        all_fields += ((b"cookie", _encoded("; ".join(pairs))),)
        head = read_head(all_fields)
    resource = entry.get("_resourceType")
    if b"sec-fetch-mode" not in head and isinstance(resource, str) and resource in _MODES:
        # Browsers send Sec-Fetch-Mode to potentially trustworthy URLs only; here the browser itself tells.
        head = Head(all_fields)
        head[b"sec-fetch-mode"] = _MODES[resource]
    return all_fields, head


_FIREFOXS_OWN = frozenset((b"x-firefox-spdy", b"x-firefox-http3"))
"""Headers that Firefox adds to what it got, to tell the version of HTTP."""


def _response_fields(response: dict[str, Any], writer: Writer) -> Fields:
    """Return a response's headers. Raises _Odd."""
    fields = _fields(response, "response")
    if writer is FIREFOX:
        return tuple([field for field in fields if field[0].lower() not in _FIREFOXS_OWN])
    return tuple(fields)


# ---------------------------------------------------------------------- what became of it

_ERROR_NAME = re.compile(r"(?:net::)?[A-Z][A-Z0-9]*_[A-Z0-9_]{2,60}")


def _observed(
    writer: Writer, response: dict[str, Any], status: int | None, head: Headers, timings: dict[str, Any]
) -> Observed | None:
    """Tell what the browser that wrote an archive says became of a request; None where a proxy wrote it."""
    if writer is FIREFOX:
        # What fails the CORS check is written like what passes. What a failed preflight stopped took no time.
        stopped = status is None and not timings
        return Observed(False if stopped else None, "status 0" if status is None else "")
    if writer is not CHROMIUM and writer is not PLAYWRIGHT:
        return None
    error = response.get("_error" if writer is CHROMIUM else "_failureText")
    if isinstance(error, str) and error:
        stopped = error in _CORS_ERRORS
        if status is None and b"sec-ch-ua" not in head:
            # That of a worker's request: it may have been sent, and answered.
            stopped = False
        name = _ERROR_NAME.match(error)
        return Observed(False if stopped else None, name[0] if name else "failed")
    # The entry of a preflight, or of a hop, says nothing of whether it passed.
    ended = status is not None and not 300 <= status < 400 and b"access-control-request-method" not in head
    return Observed(True if ended else None, "")


_CORS_ERRORS = ("net::ERR_FAILED", "net::ERR_INVALID_REDIRECT")
"""What Chromium says of CORS failures, and of little else. `net::ERR_ABORTED` stands even on what the page got."""


def _begins(response: dict[str, Any], text: str) -> bool:
    """Tell whether a response's body begins with a text."""
    content = response.get("content")
    body = content.get("text") if isinstance(content, dict) else None
    return isinstance(body, str) and body.startswith(text)


_NOT_CONVERTED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    exceptions.MitmproxyException,
)
"""How mitmproxy's own reader fails on entries that it does not expect."""
