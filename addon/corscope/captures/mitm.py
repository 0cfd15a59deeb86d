"""mitmproxy's own files, .mitm: a sequence of tnetstrings, each with everything that mitmproxy knows of a flow.

Only what judging needs is taken out of one: lengths stand before all values, so that bodies and certificates are passed
over. That takes the form in which mitmproxy writes flows today; whatever is written otherwise, by an older version or
with an error in it, goes through mitmproxy's own reader (mitmproxy/io), flow by flow.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from mitmproxy.version import FLOW_FORMAT_VERSION

from corscope import adapter
from corscope.captures.capture import Damage, Entry, OnDamage, UnreadableCapture
from corscope.captures.tnetstrings import DIGITS, Data, reading_of
from corscope.flow_filters import Filter
from corscope.headers import Fields
from corscope.model import Exchange
from corscope.modes import Head

HELD_WHOLE = 8_000_000
"""Bytes of a flow that are held in memory; of a bigger one the bodies are passed over as they are read."""

HELD_FOR_FILTER = 1 << 29
"""The same where a filter looks at bodies; what is longer has a damaged length more likely than such a body."""

_KEPT = 1_000_000
"""Bytes of a value that are kept of such a flow."""

_MESSAGES = (b"request;", b"response;")
"""The keys under which bodies are."""

_EXPECTED = "expected flows as mitmproxy saves them"

_FLOW = re.compile(rb"(?<![0-9])[0-9]{2,12}:[0-9]{1,2}:(?:websocket|response|request|version|type|id|client_conn)[;,]")
"""How a flow begins, whichever of its keys comes first."""


def read_mitm(file: BinaryIO, *, wanted: Filter | None, damaged: OnDamage) -> Iterator[Entry]:
    """Read mitmproxy's format. `captures.capture.Reader`."""
    reading = reading_of(file)
    read, held_whole = 0, HELD_WHOLE
    if wanted is not None:
        from corscope.captures import mitmproxys

        held_whole = HELD_FOR_FILTER if mitmproxys.asks_for_bodies(wanted) else HELD_WHOLE
    while True:
        data = reading.ready()
        begins = reading.began
        if data is None:
            length = reading.length()
            if length is None:
                if reading.at_end:
                    break
                skipped = reading.find(_FLOW, begins)
                if not read and not reading.has_more:
                    raise UnreadableCapture(f"it does not begin with a flow, and there is none in it; {_EXPECTED}")
                damaged(Damage(f"byte {begins}", "this is no flow", f"{skipped:,} bytes"))
                continue
            data = reading.take(length) if length < held_whole else reading.take_without(length, _KEPT, _MESSAGES)
        if data is None:
            there = reading.find(_FLOW, begins)
            if reading.has_more:
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


def _entry(data: Data, wanted: Filter | None) -> Entry | None:
    """Return the entry of a flow; None where it is none of HTTP's. A filter is asked of whole flows."""
    if wanted is None:
        try:
            found = _fast(data)
        except (ValueError, LookupError, TypeError):
            # What is damaged is for mitmproxy's own reader to say.
            found = None
        if found is not None:
            # As `Entry(found)`, at half the cost.
            return tuple.__new__(Entry, (found, True, None))
    from corscope.captures import mitmproxys

    return mitmproxys.read_flow(data, wanted)


def _first_line(error: Exception) -> str:
    """Return what is wrong with a flow, without what was captured, which stands behind a colon or in quotes."""
    said = _CAPTURED.split(f"{error}\n", maxsplit=1)[0].strip()[:120]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


_CAPTURED = re.compile(r"[:\n'\"<]")


# ---------------------------------------------------------------------- a flow, in a hurry

# The keys in the order in which mitmproxy writes them, with all that is mostly the same. Lengths are compared with what
# was found: a value may hold anything, the keys that follow it too. What is longer, or mostly holds anything, is passed
# over by its length, and the next pattern begins behind it.
_TIMES = (
    rb"13:timestamp_end;[0-9]{1,2}:[0-9.]*[\^~]15:timestamp_start;[0-9]{1,2}:([0-9]{1,10}(?:\.[0-9]+)?)\^"
    rb"8:trailers;0:~7:content;([0-9]{1,12}):"
)
_RESPONSE = re.compile(
    rb"9:websocket;0:~8:response;([0-9]{1,12}):6:reason;([0-9]{1,12}):([^,]*),11:status_code;3:([0-9]{3})#" + _TIMES
)
_REQUEST = re.compile(
    rb"\}7:request;([0-9]{1,12}):4:path;([0-9]{1,12}):((?:[^,]++|,(?!9:authority;))*+),"
    rb"(9:authority;[^;]*;[^;]*;[^;]*;[^;]*;[^;]*;)" + _TIMES
)
_TARGET = re.compile(
    rb"9:authority;([0-9]{1,12}):([^,]*),6:scheme;[0-9]{1,12}:([a-z]+),6:method;([0-9]{1,12}):([^,]+),"
    rb"4:port;[0-9]{1,12}:([0-9]+)#4:host;([0-9]{1,12}):([^;]*);"
)
_HEADERS = re.compile(rb"[,~]7:headers;([0-9]{1,12}):(.*)\]12:http_version;[0-9]{1,2}:([A-Za-z0-9/.]+),", re.DOTALL)
"""From behind a message's body to the message's end."""
_LINE = re.compile(rb"([0-9]{1,12}):([0-9]{1,12}):([^,]*),([0-9]{1,12}):(.*)", re.DOTALL)
_CREATED = rb"\}6:backup;0:~17:timestamp_created;[0-9]{1,2}:[0-9.]+\^7:comment;"
_REPLAYED = rb"9:is_replay;0:~11:intercepted;5:false!11:server_conn;([0-9]{1,12}):"
_MIDDLE = re.compile(_CREATED + rb"0:;8:metadata;0:\}6:marked;0:;" + _REPLAYED)
_COMMENT = re.compile(_CREATED + rb"([0-9]{1,12}):")
_METADATA = re.compile(rb";8:metadata;([0-9]{1,12}):")
_MARKED = re.compile(rb"\}6:marked;([0-9]{1,12}):([^;]*);" + _REPLAYED)
_CLIENT = re.compile(rb"\}11:client_conn;([0-9]{1,12}):(.*)\}", re.DOTALL)
_END = re.compile(rb"5:error;0:~2:id;36:([0-9a-f-]{36});4:type;4:http;7:version;[0-9]:%d#\}" % FLOW_FORMAT_VERSION)
_END_LENGTH = len(f"5:error;0:~2:id;36:;4:type;4:http;7:version;2:{FLOW_FORMAT_VERSION}#}}") + 36

_OURS = (adapter.PAGE_ORIGIN.encode(), adapter.LOCAL_ANSWER.encode())


def _fast(data: Data) -> Exchange | None:
    """Return the exchange of a flow that is written as most are; None of any other."""
    ends = len(data) - _END_LENGTH
    answer = _RESPONSE.match(data)
    if answer is None or (last := _END.match(data, ends)) is None:
        return None
    length, reason_length, reason, said, answered, content = answer.groups()
    # Behind the length come a colon and the value.
    behind = answer.end(1) + 1 + int(length)
    block = bytes(data[answer.end() + int(content) : behind])
    response_headers = _response_headers.get(block) or _new_response_headers(block)
    asked = _REQUEST.match(data, behind)
    if asked is None or int(reason_length) != len(reason):
        return None
    length, path_length, path, target, began, content = asked.groups()
    behind = asked.end(1) + 1 + int(length)
    if int(path_length) != len(path):
        return None
    block = bytes(data[asked.end() + int(content) : behind])
    method, scheme, host, port, http_version, fields, head, agent = _request(target, block)
    middle = _MIDDLE.match(data, behind)
    if middle is not None:
        written, edited, is_repeated = bytes(data[middle.end() + int(middle[1]) : ends]), False, False
    else:
        written, edited, is_repeated = _judged_rest(data, behind, ends) or _unusual_rest(bytes(data[behind:ends]))
    client, connection, has_certificate = _client(written, agent)
    # With no more than ten digits before the point they are times.
    started, ended = float(began), float(answered)
    # Field by field, which takes a third of the time of a call with so many arguments.
    exchange = object.__new__(Exchange)
    exchange.id = last[1].decode()
    exchange.client = client
    exchange.connection = None if is_repeated else connection
    exchange.started = started
    exchange.answered = ended if ended > started else started
    exchange.method = method
    exchange.scheme = scheme
    exchange.host = host
    exchange.port = port
    exchange.path = path.decode("utf-8", "replace")
    exchange.http_version = http_version
    exchange.request_headers = fields
    exchange.request_picked = head
    exchange.status = status = int(said)
    exchange.response_headers = response_headers
    exchange.client_certificate = has_certificate
    exchange.sanitized = False
    exchange.in_order = True
    exchange.proxy_made = status == 502 and adapter.is_mitmproxys(response_headers)
    exchange.proxy_error = ""
    exchange.observed = exchange.asker = None
    exchange.edited = edited
    return exchange


def _judged_rest(data: Data, behind: int, ends: int) -> tuple[bytes, bool, bool] | None:
    """Read what `_unusual_rest` reads of a flow on which a verdict stands, or something else; None of any other."""
    comment = _COMMENT.match(data, behind)
    if comment is None or (metadata := _METADATA.match(data, comment.end() + int(comment[1]))) is None:
        return None
    stops = metadata.end() + int(metadata[1])
    marked = _MARKED.match(data, stops)
    if marked is None or int(marked[1]) != len(marked[2]):
        return None
    written = bytes(data[marked.end() + int(marked[3]) : ends])
    return written, _is_edited(bytes(data[metadata.end() : stops])), False


def _is_edited(metadata: bytes) -> bool:
    """Tell whether a response was changed, by its flow's metadata. Raises ValueError where that tells more."""
    if any(one in metadata for one in _OURS):
        raise ValueError("the request is not the browser's own")
    return b"8:corscope;" in metadata and b"7:rewrite;" in metadata and b"7:applied;4:true!" in metadata


def _unusual_rest(rest: bytes) -> tuple[bytes, bool, bool]:
    """Read what stands between a flow's request and its end.

    Returns what `_client` reads, whether the flow was edited, and whether mitmproxy repeated it. Raises ValueError.
    """
    written: bytes | None = None
    edited = is_repeated = False
    before = 1
    for key, begins, ends in _items(rest, before):
        if key == b"client_conn":
            written = b"}" + rest[before : ends + 1]
        elif key == b"metadata" and ends > begins:
            edited = _is_edited(rest[begins:ends])
        elif key == b"is_replay":
            is_repeated = rest[begins:ends] == b"request"
        before = ends + 1
    if written is None:
        raise ValueError("there is no connection from a client")
    return written, edited, is_repeated


def _items(data: bytes, position: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the keys of a dictionary that is written from there to the end, with where their values begin and end.

    Raises ValueError where it is written in another way.
    """
    while position < len(data):
        begins, ends = _span(data, position)
        key = data[begins:ends]
        begins, ends = _span(data, ends + 1)
        yield key, begins, ends
        position = ends + 1
    if position != len(data):
        raise ValueError("a value has another length")


def _span(data: bytes, position: int) -> tuple[int, int]:
    """Return where a value begins and ends whose length is written there. Raises ValueError."""
    colon = data.index(b":", position, position + DIGITS + 1)
    digits = data[position:colon]
    # Python takes a sign for part of a number.
    if not digits.isdigit():
        raise ValueError("a length is no number")
    return colon + 1, colon + 1 + int(digits)


@lru_cache(maxsize=1024)
def _client(written: bytes, agent: bytes) -> tuple[str, str, bool]:
    """Read a connection from a browser, behind the end of another value; all flows on it repeat the same.

    Returns who the client is (`adapter.client_key`), the connection's id, and whether it has a client's certificate.
    """
    found = _CLIENT.fullmatch(written)
    if found is None or int(found[1]) != len(found[2]):
        raise ValueError("a connection has another length")
    state = found[2]
    values = {key: state[begins : ends + 1] for key, begins, ends in _items(state, 0)}
    address = ""
    if values[b"peername"] != b"~":
        peer = values[b"peername"]
        begins, ends = _span(peer, 0)
        if peer[ends : ends + 1] != b";":
            raise ValueError("a client's address is written in another way")
        address = peer[begins:ends].decode()
    return adapter.client_of(address, agent), values[b"id"][:-1].decode(), values[b"certificate_list"] != b"]"


class _Request(NamedTuple):
    """What is the same in many requests."""

    method: bytes
    scheme: str
    host: str
    port: int
    http_version: int
    fields: Fields
    head: Head
    agent: bytes


@lru_cache(maxsize=1024)
def _request(target: bytes, rest: bytes) -> _Request:
    """Read a request but for its path; a page sends the same ones again and again. Raises ValueError.

    `rest` is what `_headers` reads.
    """
    found = _TARGET.fullmatch(target)
    if found is None:
        raise ValueError("a request's parts are written in another way")
    fields, http_version = _headers(rest)
    authority_length, authority, scheme, method_length, method, port, host_length, host = found.groups()
    if (int(authority_length), int(method_length), int(host_length)) != (len(authority), len(method), len(host)):
        raise ValueError("a part of a request has another length")
    head = Head(fields)
    to = adapter.destination_of(scheme, authority, http_version, head.get(b"host", b""), host.decode(), int(port))
    return _Request(
        method,
        to.scheme,
        to.host,
        to.port,
        to.http_version,
        fields,
        head,
        head.get(b"user-agent", b""),
    )


_response_headers: dict[bytes, Fields] = {}
"""Header lists of responses that were read already, by how what is behind their bodies is written."""

_RESPONSES = 1024
"""How many are kept."""


def _new_response_headers(rest: bytes) -> Fields:
    fields, _ = _headers(rest)
    if len(rest) <= _LINE_LENGTH:
        if len(_response_headers) >= _RESPONSES:
            _response_headers.clear()
        _response_headers[rest] = fields
    return fields


def _headers(rest: bytes) -> tuple[Fields, bytes]:
    """Read what is behind a message's body, to its end: its headers and its version of HTTP. Raises ValueError."""
    found = _HEADERS.fullmatch(rest)
    if found is None:
        raise ValueError("a message's headers are written in another way")
    length, block, http_version = found.groups()
    return _fields(block, length), http_version


_lines: dict[bytes, tuple[bytes, bytes]] = {}
"""Header lines that were read already, by how they are written."""

_LINES, _LINE_LENGTH = 8192, 2048
"""How many are kept, and what is the longest, in bytes."""


def _fields(block: bytes, length: bytes) -> Fields:
    """Read a header block, a list of lists of two, most of which were read before."""
    # So ends each line. Of a value that holds the same, the lengths won't do.
    lines = block.split(b",]")
    if lines.pop() or int(length) != len(block):
        raise ValueError("a header block has another length")
    try:
        return tuple(map(_lines.__getitem__, lines))
    except KeyError:
        return tuple([_lines.get(line) or _line(line) for line in lines])


def _line(written: bytes) -> tuple[bytes, bytes]:
    """Read a header line, written without what ends it. Raises ValueError."""
    found = _LINE.fullmatch(written)
    if found is None:
        raise ValueError("a header line is no pair of bytes")
    length, name_length, name, value_length, value = found.groups()
    if (int(length), int(name_length), int(value_length)) != (len(written) - len(length), len(name), len(value)):
        raise ValueError("a header line has another length")
    if len(written) <= _LINE_LENGTH:
        if len(_lines) >= _LINES:
            _lines.clear()
        _lines[written] = name, value
    return name, value
