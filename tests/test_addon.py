"""The addon in mitmproxy itself: what users see of it, and what it never does."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import contentviews, ctx, exceptions, flowfilter, http
from mitmproxy.contentviews import Metadata
from mitmproxy.flow import Error
from mitmproxy.options import Options
from mitmproxy.test import taddons

from corscope.addon import CorsAddon
from corscope.view import NO_VERDICT
from proxies import (
    API,
    PAGE,
    Mitmdump,
    allowed_flow,
    arguments_of,
    blocked_flow,
    cors_flow,
    eventually,
    exempt_flow,
    final,
    read_recording,
    read_report,
    replay,
    write_recording,
)
from servers import Asked, RawServer, hang_up, respond

HEADLINE = 60


def in_mitmproxy(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test in an event loop, as mitmproxy runs its addons."""

    @functools.wraps(test)
    def run(*arguments: object, **fixtures: object) -> None:
        asyncio.run(test(*arguments, **fixtures))

    return run


def judged(flow: http.HTTPFlow, addon: CorsAddon | None = None) -> http.HTTPFlow:
    """Takes a flow through the hooks that mitmproxy calls."""
    addon = addon or CorsAddon()
    addon.request(flow)
    addon.responseheaders(flow)
    addon.response(flow)
    return flow


@contextlib.contextmanager
def inside_mitmproxy() -> Iterator[tuple[CorsAddon, Options]]:
    """The addon with its options, in a master of mitmproxy's that does not run."""
    with taddons.context() as context:
        addon = CorsAddon()
        context.master.addons.add(addon)
        try:
            yield addon, context.options
        finally:
            addon.done()
            # Otherwise every later record of the log would go to this master too.
            context.master._legacy_log_events.uninstall()


@pytest.fixture
def loaded() -> Iterator[CorsAddon]:
    """The addon in mitmproxy, its options at their defaults."""
    with inside_mitmproxy() as (addon, _):
        yield addon


@in_mitmproxy
async def test_the_last_look_stays_as_long_as_the_addon() -> None:
    with inside_mitmproxy() as (addon, options):
        addons = ctx.master.addons
        for _ in range(2):
            assert addons.get("corscope_last_look") is None
            addon.running()
            assert addons.get("corscope_last_look") is None
            options.update(mode=["upstream:http://127.0.0.1:9"])
            assert addons.chain[-1] is addons.get("corscope_last_look")
            addon.done()
            options.update(mode=["regular"])


def conditional_flow() -> http.HTTPFlow:
    """A preflight whose outcome the credentials of the request to come decide."""
    asks = [("access-control-request-method", "PUT")]
    permits = [("access-control-allow-origin", "*"), ("access-control-allow-methods", "PUT")]
    return cors_flow(f"{API}/put", method="OPTIONS", request=asks, status=204, response=permits, live=True)


def following_flow() -> http.HTTPFlow:
    """What that preflight permits to a request without credentials."""
    permits = [("access-control-allow-origin", "*")]
    return cors_flow(f"{API}/put", method="PUT", response=permits, live=True, started=1_795_278_746.5)


# -- on the flow -------------------------------------------------------------------------------------------------------


def test_a_blocked_flow_says_so_and_why(loaded: CorsAddon) -> None:
    flow = judged(blocked_flow(), loaded)
    assert flow.marked == ":no_entry:"
    headline, empty, *rest = flow.comment.split("\n")
    assert headline.endswith(" — CORS blocked")
    assert empty == ""
    text = "\n".join(rest)
    assert f"Access to fetch at '{API}/blocked' from origin '{PAGE}' has been blocked by CORS policy" in text
    assert f"Access-Control-Allow-Origin: {PAGE}" in text  # the header to send
    assert "cookie header: sid" in text  # the evidence
    verdict = flow.metadata["corscope"]
    assert verdict["verdict"] == "blocked"
    assert verdict["devtools_error"] == "WildcardOriginNotAllowed"
    assert verdict["flow_id"] == flow.id


def test_allowed_and_conditional_flows_have_marks_of_their_own(loaded: CorsAddon) -> None:
    assert judged(allowed_flow(), loaded).marked == ":white_check_mark:"
    assert judged(conditional_flow(), loaded).marked == ":grey_question:"


@pytest.mark.parametrize("request_headers", [[], [("cookie", "sid=1")]], ids=["of unknown mode", "with cookies"])
def test_a_redirect_to_plain_http_that_was_upgraded_says_so_on_its_flow(
    request_headers: list[tuple[str, str]], loaded: CorsAddon
) -> None:
    allows = [("access-control-allow-origin", PAGE), ("access-control-allow-credentials", "true")]
    location = [*allows, ("location", "http://api.example/there")]
    here, there = (
        cors_flow(f"{API}/{path}", request=request_headers, status=status, response=answer, live=True, started=at)
        for path, status, answer, at in (
            ("here", 302, location, 1_795_278_746.0),
            ("there", 200, allows, 1_795_278_746.1),
        )
    )
    hop = judged(here, loaded)
    assert (hop.marked, hop.metadata["corscope"]["reason"]) == (":no_entry:", "redirect-mixed-content")
    judged(there, loaded)
    assert (hop.marked, hop.metadata["corscope"]["verdict"]) == (":white_check_mark:", "allowed")


def test_an_exempt_flow_is_left_alone(loaded: CorsAddon) -> None:
    before = exempt_flow()
    state = before.get_state()
    assert judged(before, loaded).get_state() == state


def odd_flows() -> list[http.HTTPFlow]:
    """One flow of as many kinds of verdict as a single exchange shows."""
    long = "x" * 300
    allows = "access-control-allow-origin"
    asks = [("access-control-request-method", f"M{long}"), ("access-control-request-headers", f"x-{long}")]
    return [
        blocked_flow(),
        allowed_flow(),
        conditional_flow(),
        cors_flow(),
        cors_flow(response=[(allows, f"https://{long}")]),
        cors_flow(response=[(allows, PAGE), (allows, "\xe9\xff")]),
        cors_flow(request=[("cookie", "a=b")], response=[(allows, PAGE), ("access-control-allow-credentials", long)]),
        cors_flow(method="OPTIONS", request=asks, response=[(allows, PAGE)]),
        cors_flow(method="OPTIONS", request=asks, status=404),
        cors_flow(status=302, response=[(allows, PAGE), ("location", f"ftp://{long}/")]),
        cors_flow(status=302, response=[(allows, PAGE), ("location", "http://[")]),
        cors_flow(origin=long),
        cors_flow(origin="null", method="POST", mode="", request=[("content-type", "text/plain")]),
    ]


@pytest.mark.parametrize("flow", odd_flows(), ids=lambda _: "")
def test_the_first_line_fits_and_the_verdict_survives_saving(
    flow: http.HTTPFlow, loaded: CorsAddon, tmp_path: Path
) -> None:
    judged(flow, loaded)
    assert 0 < len(flow.comment.split("\n")[0]) <= HEADLINE
    assert json.loads(json.dumps(flow.metadata)) == flow.metadata
    (read,) = read_recording(write_recording(tmp_path / "saved.mitm", [flow]))
    assert (read.metadata, read.comment, read.marked) == (flow.metadata, flow.comment, flow.marked)


@pytest.mark.parametrize("path", [b"/\xff\xfe", b"/\xc3\xa9", b"/%00", b"/\xed\xa0\x80"])
def test_a_path_of_any_bytes_is_judged_and_saved(path: bytes, tmp_path: Path) -> None:
    with inside_mitmproxy() as (addon, options):
        options.update(cors_report=str(tmp_path / "report"))
        flow = blocked_flow()
        flow.request.data.path = path
        judged(flow, addon)
        assert not addon.faulty
        assert flow.metadata["corscope"]["verdict"] == "blocked"
        (line,) = read_report(tmp_path / "report")
        assert line["verdict"] == "blocked"
        (read,) = read_recording(write_recording(tmp_path / "saved.mitm", [flow]))
        assert read.metadata == flow.metadata


@in_mitmproxy
async def test_the_users_own_comment_and_mark_stay(loaded: CorsAddon) -> None:
    flow = blocked_flow()
    flow.comment, flow.marked = "look at this", ":bomb:"
    judged(flow, loaded)
    assert (flow.comment, flow.marked) == ("look at this", ":bomb:")
    assert flow.metadata["corscope"]["verdict"] == "blocked"


@in_mitmproxy
async def test_a_later_verdict_replaces_ours_but_not_what_the_user_wrote_meanwhile(loaded: CorsAddon) -> None:
    ours, edited = conditional_flow(), conditional_flow()
    edited.request.path = "/edited"
    for flow in (ours, edited):
        judged(flow, loaded)
        assert flow.comment.split("\n")[0].endswith(" — CORS conditional")
    edited.comment += " (mine)"
    edited.marked = ":eyes:"
    for path in ("/put", "/edited"):
        follower = following_flow()
        follower.request.path = path
        judged(follower, loaded)
    assert ours.comment.startswith("CORS allowed")
    assert ours.marked == ":white_check_mark:"
    assert edited.comment.split("\n")[0].endswith(" — CORS conditional")
    assert edited.comment.endswith(" (mine)")
    assert edited.marked == ":eyes:"
    assert edited.metadata["corscope"]["verdict"] == "allowed"


def unproven_flow() -> http.HTTPFlow:
    """A request that fails either way, and of which nothing tells whether it was sent with credentials."""
    return cors_flow(f"{API}/unproven", response=[("access-control-allow-origin", "null")], live=True)


def proof(of: http.HTTPFlow) -> http.HTTPFlow:
    """A request with a cookie on the connection of another one, some time later."""
    flow = allowed_flow(live=True)
    flow.client_conn = of.client_conn
    flow.request.timestamp_start += 1
    return flow


@in_mitmproxy
async def test_what_is_found_out_later_is_said_on_the_flow_and_not_logged_again(
    loaded: CorsAddon, caplog: pytest.LogCaptureFixture
) -> None:
    flow = judged(unproven_flow(), loaded)
    assert flow.metadata["corscope"]["credentials"] == "unknown"
    judged(proof(flow), loaded)
    assert flow.metadata["corscope"]["credentials"] == "include"
    assert "Access-Control-Allow-Credentials: true" in flow.comment
    assert [record.message for record in caplog.records if "/unproven" in record.message] != []
    assert sum("/unproven" in record.message for record in caplog.records) == 1


@in_mitmproxy
async def test_of_a_flow_that_is_gone_the_log_tells_once(loaded: CorsAddon, caplog: pytest.LogCaptureFixture) -> None:
    flow = judged(unproven_flow(), loaded)
    later = proof(flow)
    del flow
    judged(later, loaded)
    assert sum("/unproven" in record.message for record in caplog.records) == 1


@in_mitmproxy
async def test_judging_a_recording_again_renews_our_words(loaded: CorsAddon, tmp_path: Path) -> None:
    first = judged(blocked_flow(), loaded)
    (again,) = read_recording(write_recording(tmp_path / "saved.mitm", [first]))
    assert again.response
    again.response.headers["access-control-allow-origin"] = PAGE
    again.response.headers["access-control-allow-credentials"] = "true"
    judged(again)
    assert again.comment.startswith("CORS allowed with credentials")
    assert again.marked == ":white_check_mark:"


BLOCKED_FILTERS = ("~marker :no_entry:", "~comment 'CORS blocked'", "~meta \"'verdict': 'blocked'\"")


@pytest.mark.parametrize("expression", BLOCKED_FILTERS)
def test_filters_find_what_is_blocked(expression: str, loaded: CorsAddon) -> None:
    flows = [blocked_flow(), allowed_flow(), exempt_flow(), conditional_flow(), cors_flow()]
    for flow in flows:
        judged(flow, loaded)
    wanted = flowfilter.parse(expression)
    assert [bool(wanted(flow)) for flow in flows] == [True, False, False, False, True]


def test_filters_find_each_verdict_and_finding(loaded: CorsAddon) -> None:
    flows = [judged(flow, loaded) for flow in (blocked_flow(), allowed_flow(), exempt_flow(), conditional_flow())]
    found = {
        expression: [bool(flowfilter.parse(expression)(flow)) for flow in flows]
        for expression in (
            "~meta 'corscope'",
            "~marker grey_question",
            "~meta allow-origin-wildcard-with-credentials",
            "~comment 'CORS allowed' & ~m GET",
        )
    }
    assert list(found.values()) == [
        [True, True, False, True],
        [False, False, False, True],
        [True, False, False, False],
        [False, True, False, False],
    ]


# -- in mitmdump -------------------------------------------------------------------------------------------------------


def test_mitmdump_says_what_is_blocked_reports_and_saves(tmp_path: Path) -> None:
    flows = [blocked_flow(), allowed_flow(), exempt_flow()]
    recording = write_recording(tmp_path / "recording.mitm", flows)
    saved = tmp_path / "saved.mitm"
    done = replay(recording, "-w", str(saved), flow_detail=0, cors_report=tmp_path / "report.jsonl")
    assert done.returncode == 0, done.stdout
    said = [line for line in done.stdout.splitlines() if "CORS blocked" in line]
    assert len(said) == 1
    assert f"GET {API}/blocked · from {PAGE}" in said[0]
    assert "Error" not in done.stdout
    assert [(line["flow_id"], line["verdict"]) for line in read_report(tmp_path / "report.jsonl")] == [
        (flows[0].id, "blocked"),
        (flows[1].id, "allowed"),
        (flows[2].id, "exempt"),
    ]
    assert [flow.marked for flow in read_recording(saved)] == [":no_entry:", ":white_check_mark:", ""]
    assert [flow.metadata.get("corscope", {}).get("verdict") for flow in read_recording(saved)] == [
        "blocked",
        "allowed",
        None,
    ]
    filtered = tmp_path / "filtered.mitm"
    replay(saved, "-w", str(filtered), BLOCKED_FILTERS[-1], addon=False)
    assert [flow.id for flow in read_recording(filtered)] == [flows[0].id]


def test_the_log_line_is_a_warning(loaded: CorsAddon, caplog: pytest.LogCaptureFixture) -> None:
    """An error would end mitmdump if it came while starting up."""
    judged(blocked_flow(), loaded)
    judged(allowed_flow(), loaded)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.name.startswith("corscope")
    assert f" — CORS blocked · GET {API}/blocked · from {PAGE}" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_preflight_that_nothing_followed_is_settled_at_a_recordings_end(tmp_path: Path) -> None:
    unfollowed = conditional_flow()
    later = exempt_flow(f"{PAGE}/later.png")
    later.request.timestamp_start += 2
    recording = write_recording(tmp_path / "recording.mitm", [unfollowed, later])
    done = replay(recording, cors_report=tmp_path / "report.jsonl")
    lines = [line for line in read_report(tmp_path / "report.jsonl") if line["flow_id"] == unfollowed.id]
    assert [line["verdict"] for line in lines] == ["conditional", "blocked"]
    assert "CORS blocked" in done.stdout


# -- the report --------------------------------------------------------------------------------------------------------


def answer(asked: Asked, connection: socket.socket) -> None:
    """Allows anyone, without credentials."""
    respond(connection, "Access-Control-Allow-Origin: *", "Content-Type: text/plain", body=b"here")


def test_what_was_judged_before_is_logged_once_more(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "recording.mitm", [blocked_flow(), allowed_flow()])
    saved = tmp_path / "saved.mitm"
    for _ in range(2):
        done = replay(recording, "-w", str(saved))
        assert done.stdout.count("CORS blocked") == 1
        recording = shutil.copy(saved, tmp_path / "again.mitm")


def test_what_was_captured_steers_no_log(caplog: pytest.LogCaptureFixture) -> None:
    flow = blocked_flow("https://api.example/")
    flow.request.path = "/\x1b[31mred\x9b1m"
    with inside_mitmproxy() as (addon, _):
        judged(flow, addon)
    (said,) = [one.getMessage() for one in caplog.records if "CORS blocked" in one.getMessage()]
    assert "red" in said
    assert not {"\x1b", "\x9b"} & set(said)


def test_a_mistyped_option_of_ours_ends_the_start(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "recording.mitm", [blocked_flow()])
    done = replay(recording, cors_rewite="all")
    assert done.returncode == 1
    assert "corscope: there is no option cors_rewite (did you mean cors_rewrite?)." in done.stdout


def test_what_waits_is_settled_after_other_rules_apply(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    with inside_mitmproxy() as (addon, options):
        options.update(cors_report=str(report))
        asks = [("access-control-request-method", "PUT")]
        permits = [("access-control-allow-origin", "*"), ("access-control-allow-methods", "PUT")]
        asked = cors_flow(f"{API}/x", method="OPTIONS", request=asks, response=permits, started=1000.0)
        judged(asked, addon)
        judged(cors_flow(f"{API}/y", request=[("cookie", "sid=1")], started=1002.0), addon)
        assert asked.metadata["corscope"]["verdict"] == "conditional"
        options.update(cors_browser="firefox")
        assert asked.metadata["corscope"]["verdict"] == "conditional"
        addon.done()
        assert asked.metadata["corscope"]["verdict"] == "blocked"


def fetch(proxy: Mitmdump, url: str, **headers: str) -> tuple[int, bytes]:
    """Sends a request as a page on PAGE would, through the proxy."""
    handler = urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{proxy.port}"})
    request = urllib.request.Request(url, headers={"Origin": PAGE, **headers})
    with urllib.request.build_opener(handler).open(request, timeout=20) as response:
        return response.status, response.read()


def test_a_report_is_on_the_disk_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    with RawServer(answer) as server, Mitmdump(cors_report=path) as proxy:
        for number in range(1, 4):
            assert fetch(proxy, server.url(f"/{number}")) == (200, b"here")
            lines = eventually(lambda number=number: len(read_report(path)) >= number and read_report(path))
            assert [line["url"] for line in lines] == [server.url(f"/{one}") for one in range(1, number + 1)]
        assert "rror" not in proxy.stop()


def test_a_report_replaces_an_older_one_or_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    for value, count in ((path, 1), (path, 1), (f"+{path}", 2), (f"+{path}", 3), (path, 1)):
        with inside_mitmproxy() as (addon, options):
            options.update(cors_report=str(value))
            judged(blocked_flow(), addon)
        assert len(read_report(path)) == count


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe that nobody reads."""
    if sys.platform == "win32":
        pytest.skip("has no such pipes")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def slow_reader(pipe: Path) -> int:
    """Opens a pipe for both, which never waits, and reads nothing: the pipe is full after some 60 lines."""
    return os.open(pipe, os.O_RDWR | os.O_NONBLOCK)


def test_a_pipe_is_a_report_and_nobody_waits_for_its_reader(pipe: Path) -> None:
    reader = slow_reader(pipe)
    with inside_mitmproxy() as (addon, options):
        options.update(cors_report=str(pipe))
        for _ in range(300):
            judged(blocked_flow(), addon)
        read = b""

        def more() -> bool:
            nonlocal read
            with contextlib.suppress(BlockingIOError):
                read += os.read(reader, 65536)
            return read.count(b"\n") == 300

        eventually(more, every=0.001)
        assert {json.loads(line)["verdict"] for line in read.splitlines()} == {"blocked"}
    os.close(reader)


def test_a_pipe_that_is_not_read_ends_the_report_and_nothing_else(
    pipe: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("corscope.report_file.PIPE_LINES", 5)
    with inside_mitmproxy() as (addon, options):
        with pytest.raises(exceptions.OptionsError, match="is a pipe that nobody reads: start its reader first"):
            options.update(cors_report=str(pipe))
        reader = slow_reader(pipe)
        options.update(cors_report=str(pipe))
        for _ in range(200):
            judged(blocked_flow(), addon)
        os.close(reader)
    (said,) = [one.getMessage() for one in caplog.records if "any more" in one.getMessage()]
    assert "its reader does not keep up, 5 lines wait. Reporting has stopped." in said


def test_a_pipe_whose_reader_leaves_lines_is_not_complete(
    pipe: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("corscope.report_file.CLOSING_SECONDS", 0.1)
    reader = slow_reader(pipe)
    with inside_mitmproxy() as (addon, options):
        options.update(cors_report=str(pipe))
        for _ in range(200):
            judged(blocked_flow(), addon)
        addon.done()
        os.close(reader)
    (said,) = [one.getMessage() for one in caplog.records if "cors_report" in one.getMessage()]
    assert re.search(r"pipe is not complete: its reader did not read the last \d+ lines\.$", said)


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="has no such name")
def test_who_reads_our_own_output_is_waited_for() -> None:
    program = "from corscope.report_file import *; print(isinstance(open_report('/dev/stdout'), Pipe))"
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "False\n"


def foreign(tmp_path: Path) -> Path:
    """A file that is no report."""
    path = tmp_path / "notes.txt"
    path.write_text("mine\n")
    return path


@pytest.mark.parametrize("path", ["~nosuchuser/report.jsonl", "+~nosuchuser/report.jsonl", "-", "a\0b"])
def test_what_is_no_path_is_no_report(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with inside_mitmproxy() as (addon, options):
        with pytest.raises(exceptions.OptionsError, match=r"there is no such user's|is no file here|is no path"):
            options.update(cors_report=path)
        assert options.cors_report == ""
        with pytest.raises(exceptions.CommandError, match=r"^cors\.report: "):
            addon.save_report([judged(blocked_flow(), addon)], path)
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_is_being_written_is_not_overwritten(tmp_path: Path) -> None:
    live = tmp_path / "live.jsonl"
    with inside_mitmproxy() as (addon, options):
        options.update(cors_report=f"+{live}")
        flow = judged(blocked_flow(), addon)
        with pytest.raises(exceptions.CommandError, match="is where cors_report writes just now"):
            addon.save_report([flow], str(tmp_path / "." / "live.jsonl"))
        judged(blocked_flow(), addon)
        assert len(read_report(live)) == 2
        addon.save_report([flow], str(tmp_path / "other.jsonl"))
        assert len(read_report(tmp_path / "other.jsonl")) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none" / "report.jsonl", "can't be written: No such file or directory"),
        (lambda folder: folder, "is a directory"),
        (foreign, "exists and is no JSON Lines report"),
        (lambda folder: foreign(folder) / "report.jsonl", "can't be written: Not a directory"),
    ],
    ids=["no folder", "a folder", "a foreign file", "below a file"],
)
def test_a_report_that_cannot_be_written_ends_the_start(
    make: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:
    recording = write_recording(tmp_path / "recording.mitm", [blocked_flow()])
    path = make(tmp_path)
    done = replay(recording, cors_report=path)
    assert done.returncode == 1
    said, ended = done.stdout.splitlines()[-2:]
    assert "Traceback" not in done.stdout
    assert said.partition("] ")[2].startswith(f"cors_report: {path} ")
    assert message in said
    assert ended == "Error logged during startup, exiting..."
    if path.name == "notes.txt":
        assert path.read_text() == "mine\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_a_full_disk_stops_the_report_and_nothing_else() -> None:
    with RawServer(answer) as server, Mitmdump(cors_report="/dev/full") as proxy:
        assert fetch(proxy, server.url("/1")) == (200, b"here")
        proxy.wait_for("cors_report: /dev/full can't be written any more: .*No space left")
        assert fetch(proxy, server.url("/2")) == (200, b"here")
        assert fetch(proxy, server.url("/blocked"), Cookie="sid=1") == (200, b"here")
        proxy.wait_for("CORS blocked")
        said = proxy.stop()
    assert said.count("can't be written") == 1
    assert "Traceback" not in said


# -- options -----------------------------------------------------------------------------------------------------------


def test_a_bad_report_in_a_running_proxy_leaves_the_old_one(tmp_path: Path) -> None:
    with inside_mitmproxy() as (addon, options):
        good = tmp_path / "report.jsonl"
        options.update(cors_report=str(good))
        judged(blocked_flow(), addon)
        with pytest.raises(exceptions.OptionsError, match="is a directory"):
            options.update(cors_report=str(tmp_path))
        assert options.cors_report == str(good)
        judged(blocked_flow(), addon)
        assert len(read_report(good)) == 2
        options.update(cors_report="")
        judged(blocked_flow(), addon)
        assert len(read_report(good)) == 2


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", "3600", "", "1s"])
def test_a_bad_grace_is_refused_and_the_old_one_stays(value: str) -> None:
    with inside_mitmproxy() as (addon, options):
        options.update(cors_grace="1.5")
        with pytest.raises(exceptions.OptionsError, match="cors_grace takes seconds"):
            options.update(cors_grace=value)
        assert options.cors_grace == "1.5"
        assert addon.session.grace == 1.5


@pytest.mark.parametrize(("option", "value"), [("cors_grace", "soon"), ("cors_browser", "netscape")])
def test_a_bad_option_ends_the_start(option: str, value: str, tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "recording.mitm", [blocked_flow()])
    done = replay(recording, **{option: value})
    assert done.returncode == 1
    said, ended = done.stdout.splitlines()[-2:]
    assert "Traceback" not in done.stdout
    assert said.partition("] ")[2].startswith(f"{option} takes ")
    assert said.endswith(f"not {value!r}.")
    assert ended == "Error logged during startup, exiting..."


AUTHORIZATION = [("access-control-request-method", "GET"), ("access-control-request-headers", "authorization")]
UNDER_WILDCARD = [("access-control-allow-origin", PAGE), ("access-control-allow-credentials", "true")]
UNDER_WILDCARD += [("access-control-allow-headers", "*")]
EMPTY_LINE = [("access-control-allow-origin", PAGE), ("access-control-allow-credentials", "true")]
EMPTY_LINE += [("access-control-allow-credentials", "")]


@pytest.mark.parametrize(
    ("browser", "preflight", "actual"),
    [
        ("auto", "conditional", "blocked"),  # the User-Agent is Chrome's
        ("chromium", "conditional", "blocked"),
        ("firefox", "conditional", "allowed"),
        ("spec", "blocked", "blocked"),
    ],
)
def test_whose_rules_apply_can_be_chosen(browser: str, preflight: str, actual: str) -> None:
    """Authorization under `*` is for browsers to allow; an empty line beside `true` only Firefox passes over."""
    with inside_mitmproxy() as (addon, options):
        options.update(cors_browser=browser)
        asks = cors_flow(method="OPTIONS", request=AUTHORIZATION, status=204, response=UNDER_WILDCARD)
        assert judged(asks, addon).metadata["corscope"]["verdict"] == preflight
        credentialed = cors_flow(request=[("cookie", "a=b")], response=EMPTY_LINE)
        assert judged(credentialed, addon).metadata["corscope"]["verdict"] == actual


# -- commands ----------------------------------------------------------------------------------------------------------


def test_explain_says_why(loaded: CorsAddon) -> None:
    flows = [judged(blocked_flow(), loaded), exempt_flow()]
    lines = [" ".join(line) for line in loaded.explain(flows)]
    assert lines[0] == f"blocked: GET {API}/blocked (200, actual)"
    assert any("has been blocked by CORS policy" in line for line in lines)
    assert any(f"Access-Control-Allow-Origin: {PAGE}" in line for line in lines)
    assert lines[-1] == f"no CORS verdict {flows[1].id}"


def test_the_report_command_writes_the_chosen_flows(loaded: CorsAddon, tmp_path: Path) -> None:
    flows = [judged(blocked_flow(), loaded), exempt_flow(), judged(allowed_flow(), loaded)]
    path = tmp_path / "report.jsonl"
    loaded.save_report(flows, path)
    assert [line["flow_id"] for line in read_report(path)] == [flows[0].id, flows[2].id]
    notes = foreign(tmp_path)
    for bad, message in ((tmp_path, "is a directory"), (notes, "is no JSON Lines report")):
        with pytest.raises(exceptions.CommandError, match=message) as caught:
            loaded.save_report(flows, bad)
        assert str(caught.value).startswith("cors.report: ")
    assert notes.read_text() == "mine\n"
    if Path("/dev/full").exists():
        with pytest.raises(exceptions.CommandError, match="No space left"):
            loaded.save_report(flows, "/dev/full")


@in_mitmproxy
async def test_clear_takes_away_what_is_ours_only(loaded: CorsAddon) -> None:
    ours, mine = judged(blocked_flow(), loaded), judged(blocked_flow(), loaded)
    mine.comment, mine.marked = "mine", ":bomb:"
    loaded.clear([ours, mine, exempt_flow()])
    assert (ours.comment, ours.marked, ours.metadata) == ("", "", {})
    assert (mine.comment, mine.marked, mine.metadata) == ("mine", ":bomb:", {})


@in_mitmproxy
async def test_clear_forgets_what_was_learned(loaded: CorsAddon) -> None:
    preflight = judged(conditional_flow(), loaded)
    loaded.clear([])
    judged(following_flow(), loaded)
    assert preflight.metadata["corscope"]["verdict"] == "conditional"


def test_commands_can_be_called_by_name(tmp_path: Path) -> None:
    """As a user's key binding, or another addon, calls them."""
    script = tmp_path / "caller.py"
    script.write_text(f"""
from mitmproxy import ctx
class Caller:
    def response(self, flow):
        commands = ctx.master.commands
        for line in commands.call("cors.explain", [flow]):
            print("EXPLAINED", *line)
        commands.call("cors.report", [flow], {str(tmp_path / "chosen.jsonl")!r})
        commands.call("cors.clear", [flow])
        print("CLEARED", flow.comment == "" and flow.marked == "" and not flow.metadata)
addons = [Caller()]
""")
    recording = write_recording(tmp_path / "recording.mitm", [blocked_flow()])
    done = replay(recording, "-s", str(script))
    assert f"EXPLAINED blocked: GET {API}/blocked (200, actual)" in done.stdout
    assert "Wrote 1 CORS verdicts to" in done.stdout
    assert "CLEARED True" in done.stdout
    assert len(read_report(tmp_path / "chosen.jsonl")) == 1


FORGED: tuple[Any, ...] = (
    "allowed",
    ["allowed"],
    {},
    {"verdict": 1},
    {"verdict": "allowed", "rewrite": "no", "fix": 7, "findings": [3], "comment": [], "mark": {}},
    {"rewrite": {"applied": True}},
)
"""What somebody else may have put where our verdicts are kept in a saved flow."""


@pytest.mark.parametrize("forged", FORGED, ids=repr)
def test_what_others_wrote_in_the_place_of_a_verdict_does_no_harm(
    loaded: CorsAddon, forged: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    view = contentviews.registry["cors"]
    flow = blocked_flow()
    flow.metadata["corscope"] = forged
    shown = view.prettify(b"", Metadata(flow=flow))
    assert shown == (NO_VERDICT if isinstance(forged, dict) else "Not subject to CORS, or not judged.")
    ((said, flow_id),) = loaded.explain([flow])
    assert (said, flow_id) == (NO_VERDICT if isinstance(forged, dict) else "no CORS verdict", flow.id)
    assert [line[-1] for line in loaded.fix([flow])] == [flow.id]
    loaded.save_report([flow], str(tmp_path / "report.jsonl"))
    # A replayed flow is judged all the same, and then has a verdict of ours.
    flow.live = False
    judged(flow, loaded)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert flow.metadata["corscope"]["verdict"] == "blocked"
    # That it was rewritten when it was recorded is believed, and nothing there tells how.
    kept = forged == {"rewrite": {"applied": True}}
    assert view.prettify(b"", Metadata(flow=flow)).startswith(NO_VERDICT if kept else "blocked: ")
    loaded.clear([flow])
    assert "corscope" not in flow.metadata
    flow.metadata["corscope"] = forged
    loaded.clear([flow])


# -- streams, and flows that die ---------------------------------------------------------------------------------------


def raw_request(proxy: Mitmdump, url: str, *lines: str, origin: str | None = PAGE) -> socket.socket:
    """Sends a GET through the proxy and leaves the connection to its caller."""
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
    own = [f"Host: {url.split('/')[2]}", *([f"Origin: {origin}"] if origin is not None else [])]
    head = "\r\n".join([f"GET {url} HTTP/1.1", *own, *lines, "", ""])
    connection.sendall(head.encode())
    return connection


judged_meanwhile = threading.Semaphore(0)
"""Released when the test has seen the verdict."""


def slowly(asked: Asked, connection: socket.socket) -> None:
    """Sends headers and a beginning, and goes on only when that has been judged."""
    kind = "text/event-stream" if asked.path == "/events" else "application/octet-stream"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nAccess-Control-Allow-Origin: *\r\n"
    if asked.path == "/cut":
        connection.sendall(f"{head}Content-Length: 1000\r\n\r\nbeginning".encode())
        judged_meanwhile.acquire(timeout=20)
        hang_up(connection)
    else:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n7\r\ndata: 1\r\n".encode())
        judged_meanwhile.acquire(timeout=20)
        connection.sendall(b"0\r\n\r\n")


@pytest.mark.parametrize(("path", "options"), [("/events", {}), ("/large", {"stream_large_bodies": "1"})])
def test_a_stream_is_judged_while_it_runs(path: str, options: dict[str, str], tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    with RawServer(slowly) as server, Mitmdump(cors_report=report, **options) as proxy:
        connection = raw_request(proxy, server.url(path), "Cookie: sid=1")
        (line,) = eventually(lambda: read_report(report))
        assert (line["url"], line["verdict"]) == (server.url(path), "blocked")
        assert line["devtools_error"] == "WildcardOriginNotAllowed"
        judged_meanwhile.release()
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            piece = connection.recv(65536)
            assert piece, received
            received += piece
        connection.close()
        assert b"data: 1" in received
        assert len(read_report(report)) == 1


def test_a_response_that_breaks_off_has_been_judged(tmp_path: Path) -> None:
    report, saved = tmp_path / "report.jsonl", tmp_path / "saved.mitm"
    with RawServer(slowly) as server, Mitmdump("-w", str(saved), cors_report=report) as proxy:
        connection = raw_request(proxy, server.url("/cut"), "Cookie: sid=1")
        (line,) = eventually(lambda: read_report(report))
        assert line["verdict"] == "blocked"
        judged_meanwhile.release()
        while connection.recv(65536):
            pass
        connection.close()
        proxy.stop()
    (flow,) = read_recording(saved)
    assert flow.error
    assert flow.metadata["corscope"]["verdict"] == "blocked"
    # The browser got mitmproxy's own error page in its place.
    (last,) = final(read_report(report))
    assert (last["verdict"], last["status"]) == ("blocked", 502)
    assert "proxy-error" in [finding["id"] for finding in last["findings"]]


def say_nothing(asked: Asked, connection: socket.socket) -> None:
    """Leaves a request without its answer."""


def test_a_browser_that_hangs_up_and_a_server_that_is_not_there_do_no_harm(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with RawServer(answer) as server, RawServer(say_nothing) as silent, Mitmdump(cors_report=report) as proxy:
        raw_request(proxy, silent.url("/silent")).close()
        for path, origin in (("gone", PAGE), ("picture", None)):
            refused = raw_request(proxy, f"{nobody}/{path}", origin=origin)
            assert refused.recv(65536).startswith(b"HTTP/1.1 502")
            refused.close()
        assert fetch(proxy, server.url("/after")) == (200, b"here")
        said = proxy.stop()
    assert "Traceback" not in said
    gone, picture, after = read_report(report)
    # Nobody got an answer to /silent; to /gone mitmproxy answers by itself, which the page can't read.
    assert (gone["url"], gone["verdict"], gone["status"]) == (f"{nobody}/gone", "blocked", 502)
    assert [finding["id"] for finding in gone["findings"]] == ["allow-origin-missing", "proxy-error"]
    assert said.count("the server was not reached") == 1
    # Every exchange has its line there, as it has in `corscope check`.
    assert (picture["url"], picture["verdict"], picture["status"]) == (f"{nobody}/picture", "exempt", 502)
    assert after["url"] == server.url("/after")


@in_mitmproxy
async def test_a_request_that_dies_follows_one_preflight_and_not_two(loaded: CorsAddon) -> None:
    """Otherwise the other one, perhaps of a credentialed request, would be taken for allowed."""
    preflights = [judged(conditional_flow(), loaded) for _ in range(2)]
    died = following_flow()
    died.response = None
    loaded.request(died)
    died.error = Error("the server hung up")
    loaded.error(died)
    assert [one.metadata["corscope"]["verdict"] for one in preflights] == ["conditional", "conditional"]


def test_what_another_addon_changes_is_judged_anew(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    change = f"|~s|access-control-allow-origin|{PAGE}"
    with RawServer(answer) as server, Mitmdump(cors_report=report, modify_headers=change) as proxy:
        assert fetch(proxy, server.url("/changed"), Cookie="sid=1") == (200, b"here")
        first, second = eventually(lambda: len(read_report(report)) == 2 and read_report(report))
    assert (first["verdict"], first["devtools_error"]) == ("blocked", "WildcardOriginNotAllowed")
    assert (second["verdict"], second["devtools_error"]) == ("blocked", "InvalidAllowCredentials")
    assert first["flow_id"] == second["flow_id"]


def test_a_response_that_another_addon_makes_is_judged(tmp_path: Path) -> None:
    script = tmp_path / "maker.py"
    script.write_text("""
from mitmproxy import http
def request(flow):
    flow.response = http.Response.make(200, b"made", {"Access-Control-Allow-Origin": "https://other.example"})
""")
    report = tmp_path / "report.jsonl"
    with Mitmdump("-s", str(script), cors_report=report) as proxy:
        assert fetch(proxy, "http://nowhere.invalid/") == (200, b"made")
        (line,) = eventually(lambda: read_report(report))
        assert (line["verdict"], line["devtools_error"]) == ("blocked", "AllowOriginMismatch")


# -- faults of ours ----------------------------------------------------------------------------------------------------


@in_mitmproxy
async def test_a_fault_of_ours_leaves_the_flow_as_it_is(
    loaded: CorsAddon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    for name in ("judge", "begin", "pass_by"):
        monkeypatch.setattr(loaded.session, name, break_down)
    flow = blocked_flow(f"{API}/broken?token=s3cret", live=True)
    state = flow.get_state()
    judged(flow, loaded)
    loaded.error(flow)
    assert flow.get_state() == state
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert f"{API}/broken?token=…" in record.getMessage()
    assert record.exc_info
    assert "s3cret" not in caplog.text
    monkeypatch.undo()
    assert judged(blocked_flow(), loaded).marked == ":no_entry:"


def test_a_fault_of_ours_reaches_no_browser_and_ends_nothing(tmp_path: Path) -> None:
    script = tmp_path / "breaker.py"
    script.write_text("""
from corscope.session import Session
judge, settle = Session.judge, Session.settle
settled = 0
def break_judge(self, exchange):
    if "broken" in exchange.path:
        raise RuntimeError("judge broke")
    return judge(self, exchange)
def break_settle(self, now):
    global settled
    settled += 1
    if settled == 1:
        raise RuntimeError("settle broke")
    if settled == 3:
        print("SETTLED AGAIN", flush=True)
    return settle(self, now)
Session.judge, Session.settle = break_judge, break_settle
""")
    report = tmp_path / "report.jsonl"
    with RawServer(answer) as server, Mitmdump("-s", str(script), cors_report=report) as proxy:
        assert fetch(proxy, server.url("/broken")) == (200, b"here")
        assert fetch(proxy, server.url("/whole")) == (200, b"here")
        proxy.wait_for("SETTLED AGAIN")
        said = proxy.stop()
    assert said.count(f"corscope could not judge {server.url('/broken')}") == 1
    assert said.count("RuntimeError: judge broke") == 1
    assert [line["url"] for line in read_report(report)] == [server.url("/whole")]


# -- secrets -----------------------------------------------------------------------------------------------------------

SECRET = "5ecr3t"


def secretive_flows() -> list[http.HTTPFlow]:
    """Flows of every outcome with a secret in each place that has some."""
    urls = [
        f"{API}/a?access_token={SECRET}1&page=2",
        f"{API}/b?page=2&api_key={SECRET}2;sig={SECRET}3",
        f"{API}/c?password={SECRET}4&code={SECRET}5",
    ]
    sends = [
        ("cookie", f"sid={SECRET}6; theme={SECRET}7"),
        ("cookie", f"other={SECRET}8"),
        ("authorization", f"Bearer {SECRET}9"),
        ("referer", f"{PAGE}/page?token={SECRET}10"),
        ("x-api-key", f"{SECRET}11"),
        ("proxy-authorization", f"Basic {SECRET}12"),
    ]
    sets = [("set-cookie", f"sid={SECRET}13; Path=/"), ("set-cookie", "gone=; Max-Age=0")]
    leads = [("location", f"https://user:{SECRET}14@other.example/d?token={SECRET}15#{SECRET}16")]
    onward = [("location", f"{API}/e?session_id={SECRET}17")]
    broken = [("location", f"https://user:{SECRET}18@[/?token={SECRET}19")]
    allows = [("access-control-allow-origin", PAGE), ("access-control-allow-credentials", "true")]
    asks = [("access-control-request-method", "PUT"), ("access-control-request-headers", "authorization")]
    permits = [("access-control-allow-origin", "*"), ("access-control-allow-methods", "PUT")]
    permits += [("access-control-allow-headers", "authorization")]
    flows = []
    for url in urls:
        flows += [
            cors_flow(url, request=sends, response=sets),
            cors_flow(url, request=sends, response=[*sets, *allows]),
            cors_flow(url, request=sends, response=[*sets, *allows, *leads], status=302),
            cors_flow(url, request=sends, response=[*sets, *allows, *broken], status=302),
            cors_flow(url, request=sends, response=[*sets, *allows, *onward], status=307),
            cors_flow(f"{API}/e?session_id={SECRET}17", request=sends, response=sets),
            cors_flow(url, method="OPTIONS", request=[*sends, *asks], response=sets, status=401),
            cors_flow(url, method="OPTIONS", request=asks, response=[("access-control-allow-origin", "*")], status=200),
            cors_flow(url, origin=None, mode="no-cors", request=sends, response=sets),
            cors_flow(url, request=[("authorization", f"Basic {SECRET}20")], response=allows),
            cors_flow(url, request=[("authorization", f"{SECRET}21")]),
            cors_flow(url, method="OPTIONS", request=asks, response=permits, status=204),
            cors_flow(url, mode="", method="POST", request=[*sends, ("content-type", "text/plain")]),
        ]
    for number, flow in enumerate(flows):
        flow.request.timestamp_start += number / 10
        assert flow.response
        flow.response.timestamp_start = flow.request.timestamp_start + 0.01
    return flows


def test_no_value_of_a_cookie_or_token_leaves_its_flow(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "recording.mitm", secretive_flows())
    saved, report = tmp_path / "saved.mitm", tmp_path / "report.jsonl"
    script = tmp_path / "explain.py"
    script.write_text("""
from mitmproxy import ctx
def response(flow):
    for line in ctx.master.commands.call("cors.explain", [flow]):
        print(*line)
""")
    done = replay(recording, "-w", str(saved), "-s", str(script), flow_detail=0, cors_report=report)
    assert done.returncode == 0
    verdicts = {line["verdict"] for line in read_report(report)}
    assert verdicts == {"allowed", "blocked", "conditional", "exempt"}
    assert "sid" in report.read_text(encoding="utf-8")  # a name is no secret
    assert SECRET not in report.read_text(encoding="utf-8")
    assert SECRET not in done.stdout
    for flow in read_recording(saved):
        assert SECRET not in flow.comment
        assert SECRET not in json.dumps(flow.metadata)


# -- mitmweb and the view ----------------------------------------------------------------------------------------------


def test_the_view_explains_the_flow_and_is_never_chosen_by_itself(loaded: CorsAddon) -> None:
    flow = judged(blocked_flow(), loaded)
    view = contentviews.registry["cors"]
    text = view.prettify(b"body", Metadata(flow=flow))
    assert text.startswith(f"blocked: GET {API}/blocked (200, actual)\n")
    assert "Not subject to CORS" in view.prettify(b"", Metadata(flow=exempt_flow()))
    assert "Not subject to CORS" in view.prettify(b"", Metadata(flow=None))
    assert view.render_priority(b"{}", Metadata(flow=flow, content_type="application/json")) < 0


WEB_PROBE = """
from mitmproxy import ctx, contentviews
class Probe:
    def running(self):
        print("COLUMNS", ",".join(ctx.options.web_columns), flush=True)
        print("VIEWS", ",".join(contentviews.registry.available_views()), flush=True)
        ctx.master.shutdown()
addons = [Probe()]
"""


@pytest.mark.parametrize(
    ("chosen", "columns"),
    [([], "tls,icon,path,method,status,size,time,comment"), (["method", "path"], "method,path")],
    ids=["default", "chosen"],
)
def test_mitmweb_shows_the_comment_unless_columns_were_chosen(
    chosen: Sequence[str], columns: str, tmp_path: Path
) -> None:
    (tmp_path / "probe.py").write_text(WEB_PROBE)
    command = [sys.executable, "-c", "from mitmproxy.tools.main import mitmweb; mitmweb()", "-n", "--web-port", "0"]
    command += ["--no-web-open-browser", *arguments_of(True, {}), "-s", str(tmp_path / "probe.py")]
    command += [word for one in chosen for word in ("--set", f"web_columns={one}")]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    found = re.search("^COLUMNS (.*)$", done.stdout, re.MULTILINE)
    assert found, done.stdout
    assert found[1] == columns
    views = re.search("^VIEWS (.*)$", done.stdout, re.MULTILINE)
    assert views
    assert "cors" in views[1].lower().split(",")
