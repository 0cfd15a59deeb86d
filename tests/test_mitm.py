"""The fast reader of mitmproxy's files, held against mitmproxy's own, and what it makes of damaged ones."""

from __future__ import annotations

import gc
import io
import lzma
import math
import mmap
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mitmproxy import flowfilter, http
from mitmproxy.certs import CertStore
from mitmproxy.flow import Error
from mitmproxy.io import FlowWriter, tnetstring
from mitmproxy.test import tflow, tutils

from corscope import adapter
from corscope.captures import mitm, mitmproxys, tnetstrings
from corscope.captures.capture import Damage, Entry, UnreadableCapture
from corscope.captures.mitm import read_mitm
from corscope.model import Exchange
from proxies import PAGE, allowed_flow, blocked_flow, confdir, cors_flow, exempt_flow

ADDON = Path(__file__).parent.parent / "addon"
RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.mitm.xz"))


def written(*flows: http.HTTPFlow) -> bytes:
    file = io.BytesIO()
    writer = FlowWriter(file)
    for flow in flows:
        writer.add(flow)
    return file.getvalue()


def read(content: bytes, wanted: flowfilter.TFilter | None = None) -> tuple[list[Entry], list[Damage]]:
    """Read content that comes through a pipe, and the same as a file on a disk, in the smallest windows."""
    came = outcome(io.BufferedReader(io.BytesIO(content)), wanted)  # type: ignore[type-var]
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        with mock.patch.object(tnetstrings, "WINDOW", mmap.ALLOCATIONGRANULARITY):
            on_disk = outcome(file, wanted)
    if isinstance(came, UnreadableCapture):
        assert str(on_disk) == str(came)
        raise came
    assert on_disk == came
    return came


def outcome(file: BinaryIO, wanted: flowfilter.TFilter | None) -> tuple[list[Entry], list[Damage]] | UnreadableCapture:
    damages: list[Damage] = []
    try:
        return list(read_mitm(file, wanted=wanted, damaged=damages.append)), damages
    except UnreadableCapture as error:
        return error


def exchanges(*flows: http.HTTPFlow) -> list[Exchange]:
    entries, damages = read(written(*flows))
    assert damages == []
    return [entry.exchange for entry in entries]


def by_mitmproxy(data: bytes) -> Exchange | None:
    entry = mitmproxys.read_flow(data, None)
    return entry.exchange if entry is not None else None


def body(content: bytes) -> bytes:
    """A flow's tnetstring without its length."""
    return content.partition(b":")[2]


# -- the same as mitmproxy's own ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.name.partition(".")[0])
def test_both_ways_give_equal_exchanges(recording: Path) -> None:
    """All flows are read in a hurry; every eighth is compared, for mitmproxy's way takes twenty times as long."""
    reading = tnetstrings.Streamed(io.BytesIO(lzma.decompress(recording.read_bytes())))
    count = 0
    while (length := reading.length()) is not None:
        data = reading.take(length)
        assert data is not None
        found = mitm._fast(data)
        assert found is not None, "recordings are written as mitmproxy writes flows today"
        if count % 8 == 0:
            assert found == by_mitmproxy(data)
        count += 1
    assert reading.at_end
    assert count > 1000


def unusual() -> dict[str, http.HTTPFlow]:
    """Flows that are not like most."""
    flows = {
        name: cors_flow(request=[("cookie", "sid=1")], response=[("access-control-allow-origin", "*")])
        for name in (
            *("comment", "marked", "backup", "replay", "replayed response", "verdict", "rewritten", "page origin"),
            *("local answer", "http/2", "http/3", "http/1.0", "client certificate", "ipv6", "websocket"),
            *("no response", "error", "client gone", "trailers", "reason", "no body", "odd headers", "non-ascii"),
            *("authority", "upper case", "colons", "bad gateway", "no end", "late request"),
            *("no time", "no end of time", "beyond all dates"),
        )
    }
    flows["comment"].comment = "a comment; with 5:odd, things}"
    flows["marked"].marked = ":red_circle:"
    flows["backup"].backup()
    flows["replay"].is_replay = "request"
    flows["replayed response"].is_replay = "response"
    flows["verdict"].metadata["corscope"] = {"verdict": "blocked", "rewrite": {"applied": False}}
    flows["rewritten"].metadata["corscope"] = {"rewrite": {"applied": True, "edits": []}}
    flows["page origin"].metadata[adapter.PAGE_ORIGIN] = "https://page.example"
    flows["local answer"].metadata[adapter.LOCAL_ANSWER] = True
    for name, version in (("http/2", "HTTP/2.0"), ("http/3", "HTTP/3"), ("http/1.0", "HTTP/1.0")):
        flows[name].request.http_version = version
    flows["client certificate"].client_conn.certificate_list = [
        CertStore.from_store(str(confdir()), "mitmproxy", 2048).default_ca
    ]
    flows["ipv6"].client_conn.peername = ("::1", 1234, 0, 0)
    flows["ipv6"].request.host = "::1"
    flows["websocket"] = tflow.twebsocketflow()
    flows["no response"].response = None
    for name, message in (("error", "server unreachable"), ("client gone", "Client disconnected.")):
        flows[name].response = None
        flows[name].error = Error(message, 1_795_278_747.0)
    flows["trailers"].response.trailers = http.Headers(a="b")  # type: ignore[union-attr]
    flows["reason"].response.reason = "OK,11:status_code;3:500#"  # type: ignore[union-attr]
    flows["no body"].response.data.content = None  # type: ignore[union-attr]
    flows["odd headers"].response.headers.fields += ((b"X\x00", b"\xff,]}"), (b"", b""), (b"x" * 300, b"y" * 5000))  # type: ignore[union-attr]
    flows["non-ascii"].request.data.path = "/käse,9:authority;0:".encode()
    flows["authority"].request.authority = "other.example:8443"
    flows["authority"].request.http_version = "HTTP/2.0"
    flows["upper case"].request.data.scheme = b"HTTPS"
    flows["colons"].request.data.method = b"PATCH,4:port"
    flows["bad gateway"].response = tutils.tresp(status_code=502, headers=http.Headers(server="mitmproxy 12"))
    flows["no end"].request.timestamp_end = None
    flows["no end"].response.timestamp_end = None  # type: ignore[union-attr]
    for name, seconds in (("no time", math.nan), ("no end of time", math.inf), ("beyond all dates", 9e15)):
        flows[name].request.timestamp_start = seconds
    flows["late request"].response.timestamp_start = 1.0  # type: ignore[union-attr]
    return flows


@pytest.mark.parametrize("name", unusual())
def test_unusual_flows_are_the_same_too(name: str) -> None:
    content = written(unusual()[name])
    entries, damages = read(content)
    assert damages == []
    assert [entry.exchange for entry in entries] == [by_mitmproxy(body(content))]


def test_warnings_of_mitmproxys_own_are_no_damage(tmp_path: Path) -> None:
    """mitmproxy is imported in the middle of reading, where there is a flow that it has to read."""
    flow = cors_flow()
    flow.response, flow.error = None, Error("no route")
    capture = tmp_path / "error.mitm"
    capture.write_bytes(written(flow))
    program = "import sys, corscope; print(*[one.status for one in corscope.check(sys.argv[1], on_damage=print)])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(capture)],
        cwd=ADDON, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "502\n"


HEADER = st.tuples(st.binary(max_size=12), st.binary(max_size=40))


@settings(max_examples=200)
@given(
    request=st.lists(HEADER, max_size=4),
    response=st.lists(HEADER, max_size=4),
    path=st.binary(max_size=30),
    content=st.binary(max_size=60),
    reason=st.binary(max_size=20),
    comment=st.text(max_size=20),
    method=st.binary(min_size=1, max_size=8),
    host=st.text(max_size=12),
    status=st.integers(0, 999),
    at=st.floats(0, 1e10),
    metadata=st.dictionaries(st.text(max_size=8), st.booleans() | st.text(max_size=8), max_size=2),
)
def test_whatever_is_captured_is_the_same(
    request: list[tuple[bytes, bytes]], response: list[tuple[bytes, bytes]], path: bytes, content: bytes, reason: bytes,
    comment: str, method: bytes, host: str, status: int, at: float, metadata: dict[str, Any],
) -> None:  # fmt: skip
    flow = cors_flow()
    assert flow.response is not None
    flow.request.headers.fields += tuple(request)
    flow.response.headers.fields += tuple(response)
    flow.request.data.path, flow.request.data.method, flow.request.data.host = path, method, host
    flow.response.data.content, flow.response.data.reason, flow.response.data.status_code = content, reason, status
    flow.request.timestamp_start, flow.comment, flow.metadata = at, comment, metadata
    written_ = written(flow)
    try:
        expected: Exchange | None = by_mitmproxy(body(written_))
    except Exception:  # noqa: BLE001 - what mitmproxy itself can't read back
        return
    assert [entry.exchange for entry in read(written_)[0]] == [expected]


def test_older_formats_go_through_mitmproxys_own_conversion() -> None:
    flow = blocked_flow()
    state = flow.get_state()
    # Version 20 named them otherwise (mitmproxy/io/compat.py, convert_20_21).
    state["version"] = 20
    state["client_conn"]["tls_version"] = "QUIC"
    content = tnetstring.dumps(state)
    assert mitm._fast(body(content)) is None
    entries, damages = read(content)
    assert ([entry.exchange for entry in entries], damages) == (exchanges(flow), [])


def test_a_filter_is_asked_of_whole_flows() -> None:
    content = written(blocked_flow(), allowed_flow())
    entries, _ = read(content, flowfilter.parse("~u allowed"))
    assert [entry.wanted for entry in entries] == [False, True]
    assert [entry.exchange for entry in entries] == [entry.exchange for entry in read(content)[0]]


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [("~b needle", True), ("~u blocked & !(~bs needle | ~u none)", False), ("~bq needle", False), ("~u block", True)],
)
def test_a_filter_sees_bodies_of_any_size(expression: str, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mitm, "HELD_WHOLE", 10_000)
    monkeypatch.setattr(mitm, "_KEPT", 4_000)
    flow = blocked_flow()
    assert flow.response is not None
    flow.response.content = b"needle" + b"x" * 50_000
    entries, damages = read(written(flow), flowfilter.parse(expression))
    assert ([entry.wanted for entry in entries], damages) == ([wanted], [])


def test_other_flows_are_passed_over() -> None:
    content = written(tflow.ttcpflow(), blocked_flow(), tflow.tdnsflow())  # type: ignore[arg-type]
    entries, damages = read(content)
    assert ([entry.exchange.path for entry in entries], damages) == (["/blocked"], [])


@pytest.mark.parametrize("where", ["response", "request", "backup", "metadata"])
def test_of_a_huge_flow_only_what_counts_is_held(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mitm, "HELD_WHOLE", 10_000)
    monkeypatch.setattr(mitm, "_KEPT", 4_000)
    flow = blocked_flow()
    assert flow.response is not None
    if where == "metadata":
        flow.metadata["other"] = "x" * 50_000
    elif where == "backup":
        flow.backup()
        flow.request.data.content = b"x" * 50_000
        flow.backup()
    else:
        getattr(flow, where).data.content = b"x" * 50_000
    small = blocked_flow()
    taken: list[int] = []
    take = tnetstrings.Streamed.take

    def counted(reading: tnetstrings.Streamed, length: int) -> bytes | None:
        taken.append(length)
        return take(reading, length)

    monkeypatch.setattr(tnetstrings.Streamed, "take", counted)
    entries, damages = read(written(small, flow, small))
    assert ([entry.exchange.path for entry in entries], damages) == (["/blocked"] * 3, [])
    assert entries[1].exchange.response_headers == entries[0].exchange.response_headers
    assert max(taken) < 10_000


def test_of_what_mitmproxy_read_little_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves whole flows to Python's collector, which does not know how big they are."""
    monkeypatch.setattr(mitmproxys, "LEFT_BEHIND", 300_000)
    flow = blocked_flow()
    assert flow.response is not None
    flow.response.content = b"x" * 100_000
    file = io.BytesIO(written(*[flow] * 20))
    gc.collect()
    gc.disable()
    try:
        entries, _ = outcome(file, flowfilter.parse("~b needle"))  # type: ignore[misc]
        left = [one for one in gc.get_objects() if isinstance(one, http.Response) and one.raw_content]
    finally:
        gc.enable()
    assert len(entries) == 20
    assert len([one for one in left if len(one.raw_content or b"") == 100_000 and one is not flow.response]) < 5


# -- damage ------------------------------------------------------------------------------------------------------------

WHOLE = written(blocked_flow(), allowed_flow(), exempt_flow(), cors_flow(origin=f"{PAGE}.test"))


def ends(content: bytes) -> list[int]:
    """Where the flows of a file end."""
    reading, found = tnetstrings.Streamed(io.BytesIO(content)), []
    while (length := reading.length()) is not None:
        reading.take(length)
        found.append(reading.position)
    return found


ENDS = ends(WHOLE)


@given(end=st.integers(0, len(WHOLE) - 1))
def test_a_cut_file_gives_all_that_is_whole(end: int) -> None:
    whole = sum(length <= end for length in ENDS)
    if end == 0:
        assert read(b"") == ([], [])
    elif whole == 0:
        with pytest.raises(UnreadableCapture):
            read(WHOLE[:end])
    else:
        entries, damages = read(WHOLE[:end])
        assert len(entries) == whole
        assert len(damages) == (end not in ENDS)
        if damages:
            left = end - ENDS[whole - 1]
            assert damages[0] == Damage(
                f"byte {ENDS[whole - 1]}",
                damages[0].what,
                f"the last {left:,} bytes" if "ends" in damages[0].what else f"{left:,} bytes",
            )


def test_what_stands_between_flows_is_passed_over() -> None:
    one, two = written(blocked_flow()), written(allowed_flow())
    for rubbish in (b"\n\n", b"rubbish", b"12\n", b"99999999999999999999:", b"x" * 3_000_000):
        entries, damages = read(one + rubbish + two)
        assert [entry.exchange.path for entry in entries] == ["/blocked", "/allowed"]
        assert damages == [Damage(f"byte {len(one)}", "this is no flow", f"{len(rubbish):,} bytes")]


@given(position=st.integers(6, len(WHOLE) - 1), value=st.binary(min_size=1, max_size=1))
@settings(max_examples=300)
def test_a_byte_that_has_changed_raises_nothing_else(position: int, value: bytes) -> None:
    content = WHOLE[:position] + value + WHOLE[position + 1 :]
    try:
        entries, _ = read(content)
    except UnreadableCapture:
        return
    assert len(entries) <= 5


def test_a_length_with_a_sign_is_none() -> None:
    """Python takes it for a number, by which the reading would go back, and never come to an end."""
    content = written(blocked_flow())
    odd = content.replace(b"17:timestamp_created", b"-7:timestamp_created")
    assert odd != content
    entries, damages = read(odd + content)
    assert len(entries) + len(damages) == 2
    assert entries[-1].exchange.path == "/blocked"


def test_what_precedes_the_first_flow_is_passed_over() -> None:
    one, two = written(blocked_flow()), written(allowed_flow())
    for lost in (one[6:], one[300:], b"rubbish"):
        entries, damages = read(lost + two)
        assert [entry.exchange.path for entry in entries] == ["/allowed"]
        assert damages == [Damage("byte 0", "this is no flow", f"{len(lost):,} bytes")]


def test_a_length_beyond_the_end_of_the_file_costs_one_flow() -> None:
    one, two, three = (written(flow) for flow in (blocked_flow(), allowed_flow(), exempt_flow()))
    entries, damages = read(one + b"9" + two + three)
    assert len(entries) == 2
    assert damages == [Damage(f"byte {len(one)}", "a flow is damaged (its length is wrong)", f"{len(two) + 1:,} bytes")]


def test_what_is_said_of_damage_holds_nothing_that_was_captured() -> None:
    secret = "q7wXk2Zp9LmT4vRb"
    whole = written(cors_flow(request=[("cookie", f"sid={secret}; a={secret}"), ("authorization", secret)]))
    said = set()
    for position in range(len(whole)):
        for character in b"0:x":
            content = whole[:position] + bytes([character]) + whole[position + 1 :]
            try:
                _, damages = read(content + whole)
            except UnreadableCapture as error:
                said.add(str(error))
            else:
                said.update(damage.what for damage in damages)
    assert len(said) > 3
    parts = [secret[begin : begin + 5] for begin in range(len(secret) - 4)]
    assert [line for line in said if any(part in line for part in parts)] == []


def test_a_flow_with_damage_inside_is_passed_over_by_its_length() -> None:
    damaged = bytearray(written(blocked_flow()))
    place = damaged.index(b"11:status_code;")
    damaged[place : place + 4] = b"xx:s"
    entries, damages = read(bytes(damaged) + written(allowed_flow()))
    assert [entry.exchange.path for entry in entries] == ["/allowed"]
    assert len(damages) == 1
    assert damages[0].where == "byte 0"
    assert damages[0].what.startswith("a flow is damaged (")


@pytest.mark.parametrize("content", [b"12", b"rubbish", b"7:not", b"123456789012345:"])
def test_a_foreign_file_is_named_for_what_it_is_not(content: bytes) -> None:
    with pytest.raises(UnreadableCapture, match=r"it does not begin with a flow|it ends in the middle of its first"):
        read(content)


@pytest.mark.parametrize("content", [b"7:not one,", b"3:abc}", b"5:1:a;#}"])
def test_what_is_no_flow_is_damage(content: bytes) -> None:
    entries, damages = read(content)
    assert (entries, len(damages)) == ([], 1)
