"""mitmproxy's own files, .mitm: a sequence of tnetstrings, each with everything that mitmproxy knows of a flow.

Only what judging needs is taken out of one: lengths stand before all values, so that bodies and certificates are passed
over. That takes the form in which mitmproxy writes flows today; whatever is written otherwise, by an older version or
with an error in it, goes through mitmproxy's own reader (mitmproxy/io), flow by flow.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from mitmproxy import flow, flowfilter, http
from mitmproxy.io import compat, tnetstring
from mitmproxy.version import FLOW_FORMAT_VERSION

from corscope import adapter
from corscope.captures.capture import Damage, Entry, OnDamage, UnreadableCapture
from corscope.headers import Fields
from corscope.model import Exchange
from corscope.modes import Head, read_head

HELD_WHOLE = 8_000_000
"""Bytes of a flow that are held in memory; of a bigger one the bodies are passed over as they are read."""

_KEPT = 1_000_000
"""Bytes of a value that are kept of such a flow."""

_DIGITS = 12
"""Digits of a length at most, as in mitmproxy/io/tnetstring.py."""

_CHUNK = 1 << 20

_EXPECTED = "expected flows as mitmproxy saves them"


def read_mitm(file: BinaryIO, *, wanted: flowfilter.TFilter | None, damaged: OnDamage) -> Iterator[Entry]:
    """Read mitmproxy's format. `captures.capture.Reader`."""
    reading = _Reading(file)
    read = 0
    while True:
        begins = reading.position
        length = reading.length()
        if length is None:
            if reading.at_end:
                break
            skipped = reading.find_flow(begins)
            if not read and not reading.is_at_flow:
                raise UnreadableCapture(f"it does not begin with a flow, and there is none in it; {_EXPECTED}")
            damaged(Damage(f"byte {begins}", "this is no flow", f"{skipped:,} bytes"))
            continue
        data = reading.take(length) if length < HELD_WHOLE else reading.take_without_bodies(length)
        if data is None:
            there = reading.find_flow(begins)
            if reading.is_at_flow:
                damaged(Damage(f"byte {begins}", "a flow is damaged (its length is wrong)", f"{there:,} bytes"))
                continue
            if not read:
                raise UnreadableCapture(f"it ends in the middle of its first flow, after {there:,} bytes")
            damaged(Damage(f"byte {begins}", "the file ends in the middle of a flow", f"the last {there:,} bytes"))
            break
        read += 1
        try:
            entry = _entry(data, wanted)
        except Exception as error:  # noqa: BLE001 - what a damaged flow makes of mitmproxy's reader is not known
            damaged(Damage(f"byte {begins}", f"a flow is damaged ({_first_line(error)})", "this flow"))
            continue
        if entry is not None:
            yield entry


def _entry(data: bytes, wanted: flowfilter.TFilter | None) -> Entry | None:
    """Return the entry of a flow; None where it is none of HTTP's. A filter is asked of whole flows."""
    found = None
    if wanted is None:
        # What is damaged is for mitmproxy's own reader to say.
        with suppress(ValueError, LookupError, TypeError):
            found = _fast(data)
    return Entry(found) if found is not None else _slow(data, wanted)


def _first_line(error: Exception) -> str:
    """Return what is wrong with a flow, without what was captured, which stands behind a colon or in quotes."""
    said = _CAPTURED.split(f"{error}\n", maxsplit=1)[0].strip()[:120]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


_CAPTURED = re.compile(r"[:\n'\"<]")


# ---------------------------------------------------------------------- the file

_FLOW = re.compile(rb"(?<![0-9])[0-9]{2,12}:[0-9]{1,2}:(?:websocket|response|request|version|type|id|client_conn)[;,]")
"""How a flow begins, whichever of its keys comes first."""


class _Reading:
    """A file that is read forwards only: it may be a pipe."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._peek: Callable[[int], bytes] | None = getattr(file, "peek", None)
        self._ahead = b""
        """What was read already, and is still to come."""
        self.position = 0
        self.at_end = False

    def _read(self, count: int) -> bytes:
        if self._ahead:
            found, self._ahead = self._ahead[:count], self._ahead[count:]
            if len(found) < count:
                found += self._file.read(count - len(found))
        else:
            found = self._file.read(count)
        self.position += len(found)
        return found

    def length(self) -> int | None:
        """Read the length before a value; None where there is none."""
        if self._peek is not None and not self._ahead:
            # Mostly it is in the buffer already.
            digits, colon, _ = self._peek(_DIGITS + 1)[: _DIGITS + 1].partition(b":")
            if colon and digits.isdigit():
                self._file.read(len(digits) + 1)
                self.position += len(digits) + 1
                return int(digits)
        digits = b""
        while (one := self._read(1)).isdigit() and len(digits) < _DIGITS:
            digits += one
        self.at_end = not one and not digits
        return int(digits) if one == b":" and digits else None

    def take(self, length: int) -> bytes | None:
        """Read a value with the character behind it that tells its type; None where the file ends before."""
        data = self._read(length + 1)
        if len(data) == length + 1:
            return data
        # There may be flows in it, where it is the length that is wrong.
        self._ahead, self.position = data, self.position - len(data)
        return None

    def _skip(self, length: int) -> None:
        while length > 0 and (data := self._read(min(length, _CHUNK))):
            length -= len(data)

    def take_without_bodies(self, length: int, depth: int = 0) -> bytes | None:
        """Read a dictionary as `take` does, with null in the place of values that are too big to be kept."""
        end, kept = self.position + length, bytearray()
        while self.position < end:
            for is_key in (True, False):
                count = self.length()
                if count is None or self.position + count >= end:
                    return None
                if is_key:
                    data = self.take(count)
                    key = data
                elif count <= _KEPT:
                    data = self.take(count)
                elif depth == 0 and key in (b"request;", b"response;"):
                    data = self.take_without_bodies(count, 1)
                else:
                    self._skip(count + 1)
                    data = b"~"
                if data is None:
                    return None
                kept += b"%d:%b" % (len(data) - 1, data)
        ending = self._read(1)
        return bytes(kept) + ending if ending else None

    @property
    def is_at_flow(self) -> bool:
        """Whether `find_flow` has found one."""
        return bool(self._ahead)

    def find_flow(self, begins: int) -> int:
        """Go on to where the next flow begins, or to the end; return how many bytes were passed over since `begins`."""
        seen = b""
        while data := self._read(_CHUNK):
            seen += data
            found = _FLOW.search(seen)
            if found is not None:
                self._ahead = seen[found.start() :] + self._ahead
                self.position -= len(seen) - found.start()
                break
            seen = seen[-64:]
        return self.position - begins


# ---------------------------------------------------------------------- a flow, by way of mitmproxy


def _slow(data: bytes, wanted: flowfilter.TFilter | None) -> Entry | None:
    """Return the entry of a flow as mitmproxy reads it; None where it is none of HTTP's."""
    loaded = tnetstring.parse(data[-1], memoryview(data)[:-1])
    if not isinstance(loaded, dict):
        raise TypeError("it is no dictionary")
    # Typed for bytes as keys, which were those of early versions.
    one = flow.Flow.from_state(compat.migrate_flow(loaded))
    if not isinstance(one, http.HTTPFlow):
        return None
    head = adapter.head(one)
    client = adapter.client_key(one, head)
    exchange = adapter.failed_exchange(one, client, head) or adapter.exchange(one, client, head)
    exchange.edited = adapter.was_edited(one.metadata)
    return Entry(exchange, wanted is None or bool(wanted(one)))


# ---------------------------------------------------------------------- a flow, in a hurry

# The keys in the order in which mitmproxy writes them, with all that is mostly the same. Where a value stands whose
# length counts, the pattern ends, and the next one begins behind the value.
_RESPONSE = re.compile(rb"9:websocket;0:~8:response;([0-9]+):6:reason;([0-9]+):")
_STATUS = re.compile(
    rb",11:status_code;3:([0-9]{3})#13:timestamp_end;[0-9]+:[0-9.]*[\^~]15:timestamp_start;[0-9]+:([0-9.]+)\^"
    rb"8:trailers;0:~7:content;([0-9]+):"
)
_HEADERS = re.compile(rb"[,~]7:headers;([0-9]+):")
_REQUEST = re.compile(rb"7:request;([0-9]+):4:path;([0-9]+):")
_AUTHORITY = re.compile(rb",9:authority;([0-9]+):")
_TARGET = re.compile(
    rb",6:scheme;[0-9]+:([a-z]+),6:method;([0-9]+):([^,]+),4:port;[0-9]+:([0-9]+)#4:host;([0-9]+):([^;]*);"
    rb"13:timestamp_end;[0-9]+:[0-9.]*[\^~]15:timestamp_start;[0-9]+:([0-9.]+)\^8:trailers;0:~7:content;([0-9]+):"
)
_VERSION = re.compile(rb"\]12:http_version;[0-9]+:([A-Za-z0-9/.]+),\}")
_MIDDLE = re.compile(
    rb"6:backup;0:~17:timestamp_created;[0-9]+:[0-9.]+\^7:comment;0:;8:metadata;0:\}6:marked;0:;9:is_replay;0:~"
    rb"11:intercepted;5:false!11:server_conn;([0-9]+):"
)
_END = re.compile(rb"5:error;0:~2:id;36:([0-9a-f-]{36});4:type;4:http;7:version;[0-9]+:%d#\}" % FLOW_FORMAT_VERSION)
_END_LENGTH = 150

_OURS = (adapter.PAGE_ORIGIN.encode(), adapter.LOCAL_ANSWER.encode())


def _fast(data: bytes) -> Exchange | None:
    """Return the exchange of a flow that is written as most are; None of any other."""
    found = _END.search(data, len(data) - _END_LENGTH) if len(data) > _END_LENGTH else _END.search(data)
    if found is None or found.end() != len(data):
        return None
    flow_id, ends = found[1].decode(), found.start()

    found = _RESPONSE.match(data)
    if found is None:
        return None
    after = found.start(2) - len(b"6:reason;") + int(found[1])
    said = _STATUS.match(data, found.end() + int(found[2]))
    if said is None:
        return None
    block = _HEADERS.match(data, said.end() + int(said[3]))
    if block is None:
        return None
    response_headers = _fields(data[block.end() : block.end() + int(block[1])])

    found = _REQUEST.match(data, after + 1)
    if found is None:
        return None
    begins = found.end()
    after = found.start(2) - len(b"4:path;") + int(found[1])
    stops = begins + int(found[2])
    path = data[begins:stops]
    found = _AUTHORITY.match(data, stops)
    if found is None:
        return None
    stops = found.end() + int(found[1])
    authority = data[found.end() : stops]
    found = _TARGET.match(data, stops)
    if found is None:
        return None
    scheme, method_length, method, port, host_length, host, started, content = found.groups()
    block = _HEADERS.match(data, found.end() + int(content))
    if block is None or int(method_length) != len(method) or int(host_length) != len(host):
        return None
    stops = block.end() + int(block[1])
    found = _VERSION.match(data, stops)
    if found is None or found.end() != after + 1:
        return None
    fields, head = _request(data[block.end() : stops])
    return _finish(
        data, after + 1, ends, flow_id, path, authority, scheme, method, int(port), host.decode(), float(started),
        fields, head, found[1], int(said[1]), float(said[2]), response_headers,
    )  # fmt: skip


def _finish(
    data: bytes, position: int, ends: int, flow_id: str, path: bytes, authority: bytes, scheme: bytes, method: bytes,
    port: int, host: str, started: float, fields: Fields, head: Head, version: bytes, status: int, answered: float,
    response_headers: Fields,
) -> Exchange | None:  # fmt: skip
    """Read what stands between a flow's request and its end, and return the exchange."""
    connection: _Client | None = None
    edited = is_repeated = False
    found = _MIDDLE.match(data, position)
    if found is not None:
        position = found.end() + int(found[1]) + 1
    while position < ends:
        colon = data.find(b":", position, position + _DIGITS + 1)
        begins = colon + 1 + int(data[position:colon])
        key = data[colon + 1 : begins]
        colon = data.find(b":", begins + 1, begins + _DIGITS + 2)
        stops = colon + 1 + int(data[begins + 1 : colon])
        position = stops + 1
        if key == b"client_conn":
            connection = _client(data[colon + 1 : stops])
        elif key == b"metadata" and stops - colon > 1:
            said = data[colon + 1 : stops]
            if any(one in said for one in _OURS):
                return None
            edited = b"8:corscope;" in said and b"7:rewrite;" in said and b"7:applied;4:true!" in said
        elif key == b"is_replay":
            is_repeated = data[colon + 1 : stops] == b"request"
    if connection is None or position != ends:
        return None
    target_scheme = "https" if scheme == b"https" else scheme.decode()
    named_host, named_port = adapter.target(authority, version, head, target_scheme, host, port)
    return Exchange(
        id=flow_id,
        client=adapter.client_of(connection.address, head.get(b"user-agent", b"")),
        connection=None if is_repeated else connection.id,
        started=started,
        answered=max(answered, started),
        method=method,
        scheme=target_scheme,
        host=named_host,
        port=named_port,
        path=path.decode("utf-8", "replace"),
        http_version=adapter.major_version(version),
        request_headers=fields,
        request_picked=head,
        status=status,
        response_headers=response_headers,
        client_certificate=connection.has_certificate,
        proxy_made=status == 502 and adapter.is_mitmproxys(response_headers),
        edited=edited,
    )


class _Client(NamedTuple):
    """A browser's connection to the proxy."""

    id: str
    address: str
    has_certificate: bool


@lru_cache(maxsize=1024)
def _client(state: bytes) -> _Client:
    """Read a connection; all flows on it repeat the same."""
    values: dict[bytes, bytes] = {}
    position = 0
    while position < len(state):
        colon = state.index(b":", position)
        begins = colon + 1 + int(state[position:colon])
        key = state[colon + 1 : begins]
        colon = state.index(b":", begins)
        position = colon + 2 + int(state[begins + 1 : colon])
        values[key] = state[colon + 1 : position]
    address = ""
    if values[b"peername"] != b"~":
        host = tnetstring.parse(values[b"peername"][-1], memoryview(values[b"peername"])[:-1])
        assert isinstance(host, list | tuple)
        address = str(host[0])
    return _Client(values[b"id"][:-1].decode(), address, values[b"certificate_list"] != b"]")


@lru_cache(maxsize=1024)
def _request(block: bytes) -> tuple[Fields, Head]:
    """Read a request's header block; a page sends the same ones again and again."""
    fields = _fields(block)
    return fields, read_head(fields)


_lines: dict[bytes, tuple[bytes, bytes]] = {}
"""Header lines that were read already, by how they are written."""

_LINES = 8192


def _line(written: bytes) -> tuple[bytes, bytes]:
    line = tnetstring.parse(ord("]"), memoryview(written))
    if not isinstance(line, list | tuple) or [type(one) for one in line] != [bytes, bytes]:
        raise TypeError("a header line is no pair of bytes")
    return line[0], line[1]


def _fields(block: bytes) -> Fields:
    """Read a header block: a list of lists of two."""
    found = []
    position, end = 0, len(block)
    while position < end:
        colon = block.index(b":", position)
        begins = colon + 1
        position = begins + int(block[position:colon]) + 1
        written = block[begins : position - 1]
        line = _lines.get(written)
        if line is None:
            line = _line(written)
            if len(_lines) >= _LINES:
                _lines.clear()
            _lines[written] = line
        found.append(line)
    return tuple(found)
