"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import errno
import io
import json
import lzma
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import pytest

from corscope.assertions import CorsBlocked, assert_no_cors_blocks
from corscope.cli import main
from corscope.formats import FORMATS
from corscope.formats.document import FAIL_ON
from corscope.proxy import MITMDUMP
from proxies import (
    ADDON,
    PAGE,
    allowed_flow,
    blocked_flow,
    confdir,
    cors_flow,
    eventually,
    exempt_flow,
    final,
    read_report,
    replay,
    write_recording,
)

ANSI = "\x1b["


def corscope(
    *arguments: object, given: bytes = b"", where: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command in this process; neither terminal nor colours, unless the environment says so."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    changes = {"NO_COLOR": None, "FORCE_COLOR": None, **environment}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            if value is None:
                patch.delenv(name, raising=False)
            else:
                patch.setenv(name, value)
        if where is not None:
            patch.chdir(where)
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        patch.setattr("sys.stdout", out)
        patch.setattr("sys.stderr", err)
        try:
            code = main(list(map(str, arguments)))
        except SystemExit as end:
            code = int(end.code or 0)
    said = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(arguments, code, *said)


def command(*arguments: object) -> list[str]:
    """The command in a process of its own."""
    return [sys.executable, "-m", "corscope.cli", *map(str, arguments)]


PROCESS = {**os.environ, "PYTHONPATH": str(ADDON.parent), "TERM": "xterm-256color"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captures of each kind."""
    folder = tmp_path_factory.mktemp("captures")
    allows = [("access-control-allow-origin", PAGE), ("access-control-allow-credentials", "true")]
    warned = cors_flow(
        method="OPTIONS",
        request=[("access-control-request-method", "GET"), ("access-control-request-headers", "x-a")],
        response=[*allows, ("access-control-allow-headers", "x-a"), ("access-control-max-age", "soon")],
    )
    followed = cors_flow(request=[("x-a", "1")], response=allows)
    depends = cors_flow(
        f"{PAGE.replace('app', 'api')}/open", mode="cors", response=[("access-control-allow-origin", "*")]
    )
    depends.request.headers["sec-fetch-site"] = "same-site"
    write_recording(folder / "blocked.mitm", [blocked_flow(), blocked_flow(), allowed_flow(), exempt_flow()])
    write_recording(folder / "clean.mitm", [allowed_flow(), exempt_flow()])
    write_recording(folder / "warning.mitm", [warned, followed])
    write_recording(folder / "conditional.mitm", [depends])
    whole = (folder / "blocked.mitm").read_bytes()
    (folder / "cut.mitm").write_bytes(whole[:-50])
    (folder / "foreign.mitm").write_bytes(b"<html>")
    return folder


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


# -- check -------------------------------------------------------------------------------------------------------------


def test_what_is_blocked_is_explained_once_and_counted(folder: Path) -> None:
    done = corscope("check", folder / "blocked.mitm")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("has been blocked by CORS policy") == 1
    assert "blocked: GET https://api.example/blocked (200, actual)" in done.stdout
    assert f"  + access-control-allow-origin: {PAGE}" in done.stdout.lower()
    assert "1 × blocked: GET https://api.example/blocked" in done.stdout
    assert "4 exchanges: 2 blocked, 1 allowed, 1 not subject to CORS" in done.stdout


@pytest.mark.parametrize(
    ("capture", "codes"),
    [
        ("clean", {"blocked": 0, "conditional": 0, "warning": 0, "never": 0}),
        ("warning", {"blocked": 0, "conditional": 0, "warning": 1, "never": 0}),
        ("conditional", {"blocked": 0, "conditional": 1, "warning": 1, "never": 0}),
        ("blocked", {"blocked": 1, "conditional": 1, "warning": 1, "never": 0}),
    ],
)
def test_the_exit_code_says_whether_there_is_what_one_wants_to_fail_on(
    capture: str, codes: dict[str, int], folder: Path
) -> None:
    for fail_on, code in codes.items():
        done = corscope("check", folder / f"{capture}.mitm", "--fail-on", fail_on)
        assert (fail_on, done.returncode) == (fail_on, code), done.stdout
    assert corscope("check", folder / f"{capture}.mitm").returncode == codes["blocked"]


@pytest.mark.parametrize("capture", ["clean", "warning", "conditional", "blocked"])
@pytest.mark.parametrize("fail_on", FAIL_ON)
def test_every_format_agrees_with_the_exit_code(fail_on: str, capture: str, folder: Path, tmp_path: Path) -> None:
    done = corscope(
        *("check", folder / f"{capture}.mitm", "--fail-on", fail_on, "-o", tmp_path / "a.xml"),
        *("-o", tmp_path / "a.jsonl", "-o", tmp_path / "a.json"),
    )
    (suite,) = ElementTree.parse(tmp_path / "a.xml").getroot()
    failed = done.returncode == 1
    assert (int(suite.attrib["failures"]) > 0) == failed
    # What is blocked, or may be, never passes for being in order.
    assert len(suite.findall("testcase/failure")) + len(suite.findall("testcase/skipped")) > 0 or capture in (
        "clean",
        "warning",
    )
    assert any(one["fails"] for one in lines((tmp_path / "a.jsonl").read_text())) == failed
    assert json.loads((tmp_path / "a.json").read_text())["summary"]["failed"] == failed


def test_a_warning_that_fails_says_which(folder: Path, tmp_path: Path) -> None:
    corscope("check", folder / "warning.mitm", "--fail-on", "warning", "-o", tmp_path / "a.xml")
    failure = ElementTree.parse(tmp_path / "a.xml").find(".//failure")
    assert failure is not None
    assert (failure.attrib["type"], "is allowed (preflight)" in failure.attrib["message"]) == (
        "max-age-unparsable",
        True,
    )
    assert "warning: " in (failure.text or "")


def test_what_is_silenced_is_neither_told_nor_failed_on(folder: Path) -> None:
    ids = "allow-origin-wildcard-with-credentials,allow-credentials-missing"
    done = corscope("check", folder / "blocked.mitm", "--silence", ids)
    assert (done.returncode, "wildcard" in done.stdout) == (0, False)
    assert "4 exchanges: 2 blocked" in done.stdout


@pytest.mark.parametrize("name", ["chromium-localhost", "firefox-https"])
def test_the_verdicts_are_those_of_the_addon(name: str, tmp_path: Path) -> None:
    recording = Path(__file__).parent / "recordings" / f"{name}.mitm.xz"
    part = tmp_path / "part.mitm"
    part.write_bytes(flows_of(lzma.decompress(recording.read_bytes()), 2000))
    done = corscope("check", part, "--format", "jsonl")
    said = {str(one["flow_id"]): one for one in lines(done.stdout)}
    replay(part, cors_report=tmp_path / "report.jsonl")
    addon = final(read_report(tmp_path / "report.jsonl"))
    assert len(addon) > 1900
    assert [one["flow_id"] for one in addon] == list(said)
    for verdict in addon:
        assert {key: said[verdict["flow_id"]][key] for key in verdict} == verdict


def flows_of(content: bytes, count: int) -> bytes:
    """The first flows of a file of mitmproxy's."""
    position = 0
    for _ in range(count):
        colon = content.index(b":", position)
        position = colon + 2 + int(content[position:colon])
    return content[:position]


def test_standard_input_and_several_captures_have_a_summary_across_them(folder: Path) -> None:
    done = corscope("check", folder / "clean.mitm", "-", given=(folder / "blocked.mitm").read_bytes())
    assert done.returncode == 1
    assert "standard input: 4 exchanges" in done.stdout
    assert "Together, 2 captures: 6 exchanges: 2 blocked, 2 allowed, 2 not subject to CORS" in done.stdout


def test_several_at_a_time_say_the_same_in_the_same_order(folder: Path) -> None:
    names = [folder / f"{name}.mitm" for name in ("blocked", "cut", "clean", "warning", "foreign", "conditional")]
    for form in ("text", "jsonl", "json"):
        one, many = (corscope("check", *names, "-f", form, "-j", jobs) for jobs in (1, 4))
        assert (one.returncode, one.stdout, one.stderr) == (many.returncode, many.stdout, many.stderr)
        assert one.stdout


def test_a_folder_is_searched(folder: Path) -> None:
    done = corscope("check", folder)
    assert done.returncode == 2
    assert "Together, 6 captures" in done.stdout


def test_filter_and_origin_narrow_what_is_told(folder: Path) -> None:
    assert "1 exchange: 1 allowed" in corscope("check", folder / "blocked.mitm", "--filter", "~u allowed").stdout
    done = corscope("check", folder / "blocked.mitm", "--origin", "https://nobody.example")
    assert (done.returncode, "0 exchanges" in done.stdout) == (0, True)
    assert corscope("check", folder / "blocked.mitm", "--origin", PAGE).returncode == 1


def failed(url: str, error: str, page: str) -> dict[str, object]:
    """Chromium's entry of a worker's request to which the archive has no answer."""
    sent = {"Referer": f"{page}/", "User-Agent": "Mozilla/5.0 Chrome/156.0.0.0"}
    headers = [{"name": name, "value": value} for name, value in sent.items()]
    return {
        "_initiator": {"type": "script"},
        "_resourceType": "fetch",
        "request": {"method": "GET", "url": url, "headers": headers},
        "response": {"status": 0, "headers": [], "_error": error},
    }


def test_what_failed_without_an_answer_is_counted_by_what_its_record_tells(tmp_path: Path) -> None:
    entries = [
        failed("https://b.test/1", "net::ERR_FAILED", "https://a.test"),
        failed("https://b.test/2", "net::ERR_FAILED", "https://other.test"),
        failed("https://b.test/3", "net::ERR_BLOCKED_BY_CLIENT", "https://a.test"),
        failed("https://b.test/4", "net::ERR_BLOCKED_BY_CLIENT", "https://a.test"),
        failed("https://b.test/5", "", "https://a.test"),
        failed("https://b.test/6", "net::ERR_NAME_NOT_RESOLVED", "https://a.test"),
    ]
    capture = tmp_path / "failed.har"
    capture.write_text(json.dumps({"log": {"creator": {"name": "WebInspector"}, "entries": entries}}))
    other = shutil.copy(capture, tmp_path / "other.har")
    for jobs in ("1", "2"):
        done = corscope("check", capture, other, "--jobs", jobs)
        assert done.returncode == 0
        assert "  2 requests failed in the browser, and the capture has no answer to them" in done.stdout
        assert "  4 requests failed in the browser, by its own record, and not by CORS: a rule" in done.stdout
        assert "the network, or a server that does not answer: net::ERR_NAME_NOT_RESOLVED (1)" in done.stdout
        assert "an extension, or the browser's own blocker (2)" in done.stdout
    asked = corscope("check", capture, "--origin", "https://a.test").stdout
    assert "  1 request failed in the browser" in asked
    (summary,) = json.loads(corscope("check", capture, "--format", "json").stdout)["summary"]["captures"]
    assert (summary["failed_unanswered"], sum(summary["stopped"].values())) == (2, 4)


def test_rules_of_a_browser_and_configuration_of_a_stack_can_be_chosen(folder: Path) -> None:
    done = corscope("check", folder / "blocked.mitm", "--stack", "express", "--browser", "firefox", "-f", "jsonl")
    assert {one["browser"] for one in lines(done.stdout)} == {"firefox"}
    assert "cors({" in corscope("check", folder / "blocked.mitm", "--stack", "express").stdout


# -- where it goes -----------------------------------------------------------------------------------------------------


def test_several_formats_go_where_they_are_told(folder: Path, tmp_path: Path) -> None:
    done = corscope(
        *("check", folder / "blocked.mitm", "--format", "jsonl", "--output", "a.jsonl"),
        *("--output", "b.sarif", "--output", "c.html", "-f", "json", "-o", "d.txt", "-f", "text"),
        where=tmp_path,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "4 exchanges: 2 blocked" in done.stdout
    assert len(lines((tmp_path / "a.jsonl").read_text())) == 4
    assert json.loads((tmp_path / "b.sarif").read_text())["version"] == "2.1.0"
    assert (tmp_path / "c.html").read_text().lower().startswith("<!doctype html>")
    document = json.loads((tmp_path / "d.txt").read_text())
    assert (len(document["verdicts"]), document["summary"]["verdicts"]["blocked"]) == (4, 2)
    assert sorted(os.listdir(tmp_path)) == ["a.jsonl", "b.sarif", "c.html", "d.txt"]


def test_a_report_that_fails_leaves_the_one_before(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "old.html").write_text("old")
    done = corscope("check", folder / "blocked.mitm", "-o", "old.html", "--baseline", "none.json", where=tmp_path)
    assert done.returncode == 2
    assert (tmp_path / "old.html").read_text() == "old"


def test_json_of_nothing_is_still_json(tmp_path: Path) -> None:
    write_recording(tmp_path / "one.mitm", [exempt_flow()])
    done = corscope("check", tmp_path / "one.mitm", "--filter", "~d nowhere.example", "--format", "json")
    assert json.loads(done.stdout)["verdicts"] == []


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}])
def test_a_pipe_gets_no_colours_and_no_bar(environment: dict[str, str], folder: Path) -> None:
    done = corscope("check", folder / "blocked.mitm", **environment)
    if "NO_COLOR" in environment:
        assert "31m" not in done.stdout
    else:
        assert ANSI not in done.stdout + done.stderr


def read_terminal(shown: int) -> bytes:
    """Reads what is written to a terminal; nothing at its end, where Linux has an error."""
    try:
        return os.read(shown, 65536)
    except OSError:
        return b""


def test_a_terminal_gets_colours_and_for_long_work_a_bar(tmp_path: Path) -> None:
    big = blocked_flow()
    assert big.response is not None
    big.response.content = b"x" * 100_000
    write_recording(tmp_path / "big.mitm", [big] * 600)
    assert ANSI in corscope("check", tmp_path / "big.mitm", FORCE_COLOR="1").stdout
    other = shutil.copy(tmp_path / "big.mitm", tmp_path / "other.mitm")
    for captures in ([tmp_path / "big.mitm"], [tmp_path / "big.mitm", other]):
        shown, end = pty.openpty()
        with subprocess.Popen(command("check", *captures), stdout=end, stderr=end, env=PROCESS) as process:
            os.close(end)
            written = b"".join(iter(lambda: read_terminal(shown), b"")).decode()  # noqa: B023 - called here
        os.close(shown)
        assert process.returncode == 1
        # The bar goes before the report comes, which is in colours and complete.
        bar, cleared, told = written.rpartition(f"{ANSI}2K")
        assert cleared
        assert "checking" in bar
        assert "checking" not in told
        assert "exchange 0" not in bar
        assert f"{ANSI}1;31mwildcard" in told or f"{ANSI}1;31mblocked" in told
        assert f"{captures[-1]}: 600 exchanges" in told


def test_what_was_captured_steers_no_terminal(tmp_path: Path) -> None:
    flow = blocked_flow("https://api.example/\x1b[31mred\u202e")
    assert flow.response is not None
    flow.response.headers["access-control-allow-origin"] = "\x1b[2J\x07"
    write_recording(tmp_path / "a.mitm", [flow])
    done = corscope("check", tmp_path / "a.mitm")
    assert "blocked: GET https://api.example/" in done.stdout
    assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout)
    with pytest.raises(CorsBlocked) as raised:
        assert_no_cors_blocks(tmp_path / "a.mitm")
    assert not {"\x1b", "\x07", "\u202e"} & set(str(raised.value))


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_any_encoding_of_the_output_will_do(encoding: str, folder: Path) -> None:
    environment = {**PROCESS, "PYTHONIOENCODING": encoding}
    for arguments in (
        ["explain", "allow-origin-missing"],
        *(["check", folder / "blocked.mitm", "-f", f] for f in FORMATS),
    ):
        done = subprocess.run(command(*arguments), capture_output=True, env=environment, check=False)
        assert (done.returncode, done.stderr) == (int(arguments[0] == "check"), b"")
        if arguments[-1] in ("json", "markdown"):
            assert "…" in done.stdout.decode() or "⛔" in done.stdout.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are texts here")
def test_a_file_whose_name_is_no_text_is_read(folder: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mitm")
    (tmp_path / name).write_bytes((folder / "cut.mitm").read_bytes())
    done = corscope("check", name, "-o", "a.json", "-o", "a.xml", "-o", "a.sarif", "-o", "a.md", where=tmp_path)
    assert done.returncode == 1
    assert len(json.loads((tmp_path / "a.json").read_text())["verdicts"]) == 3
    assert ElementTree.parse(tmp_path / "a.xml").getroot().tag == "testsuites"
    assert json.loads((tmp_path / "a.sarif").read_text())["runs"][0]["results"]


def test_who_stops_reading_is_no_fault(folder: Path, tmp_path: Path) -> None:
    write_recording(
        tmp_path / "many.mitm", [blocked_flow(f"https://api.example/{chr(97 + n % 26)}{n}") for n in range(300)]
    )
    program = command("check", tmp_path / "many.mitm", "-f", "jsonl")
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=PROCESS) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b'{"flow_id"')
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such pipes")
def test_the_example_with_a_pipe_does_what_it_says(folder: Path, tmp_path: Path) -> None:
    (example,) = re.findall(r"^  (mitmdump .*? \| corscope check -) ", corscope("check", "-h").stdout, re.MULTILINE)
    program = example.replace("mitmdump", f"{shlex.join(MITMDUMP)} --set confdir={confdir()} -nr {folder}/blocked.mitm")
    program = program.replace("| corscope", f"| {shlex.join(command())}")
    done = subprocess.run(program, shell=True, cwd=tmp_path, env=PROCESS, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "standard input: 4 exchanges: 2 blocked" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="has other signals")
def test_what_came_through_a_pipe_is_told_after_ctrl_c(folder: Path) -> None:
    content = (folder / "blocked.mitm").read_bytes()
    times = 3_000_000 // len(content)
    program = command("check", "-")
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=PROCESS
    ) as process:
        assert process.stdin is not None
        # More than a pipe holds: it is being read by then.
        process.stdin.write(content * times)
        # As a terminal does, to all that stand in the pipeline; who writes ends then.
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, b"")
    assert f"standard input: {4 * times:,} exchanges".encode() in out


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture that takes some seconds to be checked."""
    path = tmp_path_factory.mktemp("many") / "many.mitm"
    return write_recording(path, [blocked_flow()] * 8000)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are listed otherwise")
def test_ctrl_c_ends_all_who_work_without_a_word(many: Path, folder: Path, tmp_path: Path) -> None:
    captures = [many, folder / "blocked.mitm"]
    with subprocess.Popen(
        command("check", *captures, "-f", "jsonl"),
        env={**PROCESS, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        # What runs these tests in the background lets Ctrl-C be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        # Each is at work, and writes its own file.
        eventually(lambda: len(list(tmp_path.glob("corscope-*/*"))) == 2)
        workers = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")
    assert eventually(lambda: not any(Path(f"/proc/{worker}/stat").exists() for worker in workers))


@pytest.mark.skipif(sys.platform != "linux", reason="processes are listed otherwise")
def test_who_is_killed_at_work_is_told_in_one_line(many: Path, folder: Path) -> None:
    captures = [many, folder / "blocked.mitm"]
    with subprocess.Popen(
        command("check", *captures), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=PROCESS, text=True
    ) as process:
        for worker in eventually(lambda: children(process.pid) if len(children(process.pid)) >= 2 else None):
            os.kill(worker, signal.SIGKILL)
        _, err = process.communicate(timeout=60)
    said = "a process was ended by something while it checked, perhaps for want of memory"
    assert (process.returncode, err) == (2, f"corscope: {said}\n")


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    try:
        return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


# -- what can't be read or makes no sense ------------------------------------------------------------------------------


def test_a_damaged_capture_yields_what_is_readable_and_one_warning(folder: Path) -> None:
    done = corscope("check", folder / "cut.mitm")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"corscope: warning: {folder / 'cut.mitm'}: byte ")
    assert "3 exchanges: 2 blocked, 1 allowed" in done.stdout


def test_a_capture_of_which_nothing_can_be_read_is_an_error_and_the_others_are_told(folder: Path) -> None:
    done = corscope("check", folder / "foreign.mitm", folder / "blocked.mitm")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"corscope: error: {folder / 'foreign.mitm'}: " in done.stderr
    assert "2 blocked" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "nowhere.mitm"], "corscope: nowhere.mitm: there is no such file or folder"),
        (["check", "*.har"], "corscope: *.har: no file matches"),
        (["check", ""], "a capture's name is empty"),
        (["check", "a.mitm", "--baseline", ""], "--baseline names no file"),
        (["check", "a.mitm", "--write-baseline", ""], "--write-baseline names no file"),
        (["check", "a.mitm", "--baseline", "r.json", "-o", "./r.json"], "--output ./r.json is the baseline"),
        (["check", "a.mitm", "--silence", "allow-origin-mising"], "did you mean allow-origin-missing?"),
        (["check", "a.mitm", "--filter", "~q ("], "filter: '~q (' is no flow filter"),
        (["check", "a.mitm", "--origin", "app.example"], "write https://app.example"),
        (["check", "a.mitm", "--stack", "ngnix"], "did you mean nginx?"),
        (["check", "a.mitm", "--output", "report.doc"], "say what it is to be with --format before it"),
        (["check", "a.mitm", "-f", "json", "-f", "text"], "json and text can't all go to standard output"),
        (["check", "a.mitm", "-f", "json", "-o", "-", "-f", "text"], "json and text can't all go to standard output"),
        (["check", "a.mitm", "-f", "json", "-f", "github"], "json and github can't all go to standard output"),
        (["check", "a.mitm", "-f", "text", "-f", "text", "-o", "-"], "text and text can't all go to standard output"),
        (["check", "a.mitm", "-f", "json", "-o", "a.mitm"], "is one of the captures"),
        (["check", "a.mitm", "-f", "json", "-o", "."], "is a folder: name a file in it"),
        (["check", "a.mitm", "-f", "json", "-o", "no/such.json"], "No such file or directory"),
        (["check", "a.mitm", "-f", "json", "-o", "no/such.json"], "corscope: no/such.json: "),
        (["check", "a.mitm", "--write-baseline", "a.mitm"], "--write-baseline a.mitm is one of the captures"),
        (["check", "a.mitm", "-o", "r.json", "-f", "text", "-o", "r.json"], "--output r.json is written already"),
        (["check", "a.mitm", "-o", "r.json", "--write-baseline", "./r.json"], "./r.json is written already"),
        (["check", "a.mitm", "--baseline", "none.json"], "none.json"),
        (["explain", "allow-origin-mising"], "did you mean allow-origin-missing?"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_exit_code_2(
    arguments: Sequence[str], said: str, folder: Path, tmp_path: Path
) -> None:
    content = (folder / "blocked.mitm").read_bytes()
    (tmp_path / "a.mitm").write_bytes(content)
    done = corscope(*arguments, where=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "a.mitm").read_bytes() == content


@pytest.mark.skipif(sys.platform == "win32", reason="has another shell")
@pytest.mark.parametrize(
    ("closed", "code"), [("- <&-", 2), ("clean.mitm >&-", 0), ("blocked.mitm >&-", 1), ("clean.mitm 2>&-", 0)]
)
def test_what_is_closed_is_neither_read_nor_written(closed: str, code: int, folder: Path) -> None:
    program = f"{shlex.join(command('check'))} {closed}"
    done = subprocess.run(program, shell=True, cwd=folder, env=PROCESS, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_captures_may_stand_on_both_sides_of_an_option(tmp_path: Path) -> None:
    one, two = (write_recording(tmp_path / f"{name}.mitm", [blocked_flow()]) for name in ("one", "two"))
    done = corscope("check", one, "--fail-on", "never", two, "--format", "json", "-", given=one.read_bytes())
    assert (done.returncode, done.stderr) == (0, "")
    names = [one["name"] for one in json.loads(done.stdout)["summary"]["captures"]]
    assert names == [str(one), str(two), "standard input"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("arguments", [("run", "-h"), ("findings",)])
def test_output_that_cannot_be_written_is_said_in_one_line(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(command(*arguments), stdout=full, stderr=subprocess.PIPE, text=True, env=PROCESS)
    assert (done.returncode, done.stderr) == (2, "corscope: output: No space left on device\n")


def test_what_is_no_argument_is_said_with_the_usage() -> None:
    for arguments in (
        [],
        ["check"],
        ["check", "x", "--fail-on", "sometimes"],
        ["chek"],
        ["check", "x", "-f", "pdf"],
        ["check", "x", "-j-1"],
    ):
        done = corscope(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("usage: corscope")


def test_behind_two_dashes_all_are_captures(tmp_path: Path) -> None:
    for name in ("-f.mitm", "other.mitm"):
        write_recording(tmp_path / name, [blocked_flow()])
    for arguments in (("--", "-f.mitm"), ("other.mitm", "--", "-f.mitm"), ("--fail-on", "never", "--", "-f.mitm")):
        done = corscope("check", *arguments, where=tmp_path)
        assert (done.returncode, done.stderr) == (0 if "never" in arguments else 1, "")
        assert "-f.mitm" in done.stdout
    for option in ("--filter", "-o", "--baseline", "--format"):
        done = corscope("check", option, "--", "other.mitm", "-f.mitm", where=tmp_path)
        assert done.returncode == 2
        assert f"{option}: expected one argument" in done.stderr.replace("-o/--output", "-o").replace("-f/--", "--")
    for arguments in ((), ("--",), ("--fail-on", "never", "--")):
        assert "the following arguments are required: CAPTURE" in corscope("check", *arguments, where=tmp_path).stderr
    done = corscope("check", "--", "--format", where=tmp_path)
    assert (done.returncode, done.stderr) == (2, "corscope: --format: there is no such file or folder\n")


# -- baselines ---------------------------------------------------------------------------------------------------------


def test_a_baseline_accepts_what_is_known_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    known = tmp_path / "known.json"
    assert corscope("check", folder / "blocked.mitm", "--write-baseline", known).returncode == 1
    done = corscope("check", folder / "blocked.mitm", "--baseline", known)
    assert (done.returncode, "2 known from the baseline, 0 new" in done.stdout) == (0, True)
    new = write_recording(tmp_path / "new.mitm", [blocked_flow(), blocked_flow("https://api.example/other")])
    done = corscope("check", new, "--baseline", known)
    assert done.returncode == 1
    assert "/other" in done.stdout
    assert "1 known from the baseline, 1 new" in done.stdout


# -- the other commands ------------------------------------------------------------------------------------------------


def test_findings_are_listed_and_explained() -> None:
    listed = corscope("findings")
    assert listed.returncode == 0
    assert listed.stdout.splitlines()[0].split()[1] == "error"
    as_json = json.loads(corscope("findings", "--json", "--severity", "warning").stdout)
    assert {one["severity"] for one in as_json} == {"warning"}
    explained = corscope("explain", "allow-origin-missing", "max-age-unparsable")
    assert (explained.returncode, explained.stdout.count("To fix it")) == (0, 2)
    assert "Firefox: “(Reason: CORS header" in explained.stdout


def test_the_path_of_the_script_is_what_mitmproxy_loads() -> None:
    assert Path(corscope("script").stdout.strip()).read_text() == ADDON.read_text()


def test_help_and_version_say_what_there_is() -> None:
    assert corscope("--version").stdout.startswith("corscope 0.")
    for arguments in (["-h"], ["check", "-h"], ["run", "-h"]):
        done = corscope(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert "examples:" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_can_complete(shell: str) -> None:
    done = corscope("completions", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--fail-on" in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("corscope ch", {"check"}),
        ("corscope check blo", {"blocked.mitm"}),
        ("corscope check a.har --output cle", {"clean.mitm"}),
        ("corscope check --stack ngi", {"nginx"}),
        ("corscope check --silence max-age-unp", {"max-age-unparsable"}),
        ("corscope explain allow-origin-mis", {"allow-origin-missing", "allow-origin-mismatch"}),
    ],
)
def test_bash_offers_what_fits(words: str, offered: set[str], folder: Path) -> None:
    program = """
        source /dev/stdin
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _shtab_corscope corscope "${@: -1}" "${@: -2:1}"
        printf '%s\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", program, "bash", *words.split()],
        input=corscope("completions", "bash").stdout,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == offered


def test_run_starts_mitmproxys_tools_with_the_addon(folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "verdicts.jsonl"
    started = command(
        *("run", "--dump", "-q", "-nr", folder / "blocked.mitm"),
        *("--set", f"cors_report={report}", "--set", f"confdir={tmp_path}"),
    )
    subprocess.run(started, env=PROCESS, check=True)
    assert [one["verdict"] for one in lines(report.read_text())].count("blocked") == 2


# -- what is written ---------------------------------------------------------------------------------------------------


def test_annotations_may_stand_among_the_lines_for_people(folder: Path) -> None:
    done = corscope("check", folder / "blocked.mitm", "-f", "github", "-f", "text")
    assert done.returncode == 1
    assert "::error " in done.stdout
    assert "4 exchanges: 2 blocked" in done.stdout


@pytest.mark.parametrize("option", ["--output", "--write-baseline"])
def test_a_link_stays_and_what_it_leads_to_is_replaced(option: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "real.json").chmod(0o640)
    (tmp_path / "link.json").symlink_to("real.json")
    assert corscope("check", folder / "blocked.mitm", option, tmp_path / "link.json").returncode == 1
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())
    assert (tmp_path / "real.json").stat().st_mode & 0o777 == 0o640
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="has no such pipes")
@pytest.mark.parametrize("option", ["--output", "--write-baseline"])
def test_a_pipe_is_written_and_stays_one(option: str, folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    reader = os.open(tmp_path / "pipe.json", os.O_RDONLY | os.O_NONBLOCK)
    program = command("check", folder / "blocked.mitm", option, tmp_path / "pipe.json")
    # Less than a pipe holds.
    done = subprocess.run(program, stdout=subprocess.DEVNULL, env=PROCESS, timeout=60, check=False)
    assert done.returncode == 1
    assert json.loads(os.read(reader, 65536))
    os.close(reader)
    assert (tmp_path / "pipe.json").is_fifo()


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="has no such name")
def test_the_name_of_standard_output_is_appended_to(folder: Path, tmp_path: Path) -> None:
    with (tmp_path / "out.txt").open("w") as out:
        out.write("before\n")
        out.flush()
        program = command("check", folder / "blocked.mitm", "-f", "json", "-o", "/dev/stdout")
        assert subprocess.run(program, stdout=out, env=PROCESS, check=False).returncode == 1
    before, report = (tmp_path / "out.txt").read_text().split("\n", 1)
    assert before == "before"
    assert json.loads(report)["verdicts"]
    assert Path("/dev/stdout").is_symlink()


def test_a_file_in_a_folder_that_is_closed_may_be_written_all_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        # Whoever is root may write into any folder.
        raise PermissionError(errno.EACCES, "Permission denied", "somewhere")

    monkeypatch.setattr("corscope.files.tempfile.mkstemp", refuse)
    (tmp_path / "report.json").write_text("an older and much longer report" * 1000)
    assert corscope("check", folder / "blocked.mitm", "-o", tmp_path / "report.json").returncode == 1
    assert json.loads((tmp_path / "report.json").read_text())["verdicts"]
    done = corscope("check", folder / "blocked.mitm", "-o", tmp_path / "new.json")
    assert (done.returncode, done.stderr) == (2, f"corscope: {tmp_path / 'new.json'}: Permission denied\n")


def test_a_folder_that_can_not_be_looked_into_is_a_warning(folder: Path, tmp_path: Path, closed_folder: Path) -> None:
    shutil.copy(folder / "blocked.mitm", tmp_path / "a.mitm")
    done = corscope("check", tmp_path)
    said = f"corscope: warning: {closed_folder}: it can't be looked into: Permission denied\n"
    assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize("arguments", [["--tui", "--dump"], ["--headless"]])
def test_starting_what_makes_no_sense_is_wrong_usage(arguments: list[str]) -> None:
    done = subprocess.run(command("run", *arguments), capture_output=True, text=True, env=PROCESS, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
