"""What `scripts/run` starts: which arguments are whose, ports, and mitmproxy with a browser beside it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

import pytest

from corscope.run import StartFailure, Wish, check_port, choose_browser, parse
from proxies import eventually

ROOT = Path(__file__).resolve().parent.parent
PAGE_ADDON = Path(__file__).parent / "page_addon.py"


def started(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the starter to its end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "addon"), **variables}
    command = [sys.executable, "-m", "corscope.run", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("line", "tool", "browser", "passed"),
    [
        ("", "mitmweb", None, ""),
        ("-p 9090 --set confdir=x", "mitmweb", None, "-p 9090 --set confdir=x"),
        ("--tui --browser", "mitmproxy", "", ""),
        ("-nr file.har --dump ~u.api", "mitmdump", None, "-nr file.har ~u.api"),
        ("--browser=firefox --web-port=1", "mitmweb", "firefox", "--web-port=1"),
        ("--browser=/a=b/chrome", "mitmweb", "/a=b/chrome", ""),
    ],
)
def test_our_arguments_are_told_from_mitmproxys(line: str, tool: str, browser: str | None, passed: str) -> None:
    expected = Wish(tool=tool, browser=browser, url="about:blank", headless=False, arguments=tuple(passed.split()))
    assert parse(line.split()) == expected


def test_how_the_browser_starts() -> None:
    wish = parse(["--browser", "--headless", "--url=http://localhost:3000/?a=b"])
    assert (wish.url, wish.headless) == ("http://localhost:3000/?a=b", True)


@pytest.mark.parametrize(
    "line", ["--tui --dump", "--headless", "--url=http://localhost", "--browser --url x", "--browser Firefox"]
)
def test_contradictions_are_refused(line: str) -> None:
    with pytest.raises(StartFailure):
        parse(line.split())


@pytest.mark.parametrize(("argument", "code"), [("--version", 0), ("-n", 1)])
def test_the_text_interface_needs_a_terminal(argument: str, code: int) -> None:
    ended = started("--tui", argument)
    assert ended.returncode == code
    assert ("run: --tui needs a terminal" in ended.stderr) == bool(code)
    assert "Traceback" not in ended.stderr


def test_a_taken_port_names_the_option_and_a_free_port(taken_port: int) -> None:
    with pytest.raises(StartFailure) as caught:
        check_port("127.0.0.1", taken_port, "the proxy", "--listen-port")
    found = re.fullmatch(
        rf"port {taken_port}, for the proxy, is in use: stop the program that uses it, or choose another"
        r" with --listen-port (\d+)",
        str(caught.value),
    )
    assert found
    check_port("127.0.0.1", int(found[1]), "the proxy", "--listen-port")


def test_every_address_includes_a_taken_one(taken_port: int) -> None:
    with pytest.raises(StartFailure, match="is in use"):
        check_port("", taken_port, "the proxy", "--listen-port")


def test_a_foreign_address_is_refused() -> None:
    with pytest.raises(StartFailure, match=r"can't listen on 192\.0\.2\.1"):
        check_port("192.0.2.1", 8080, "the proxy", "--listen-port")


def test_any_port_is_never_taken() -> None:
    check_port("127.0.0.1", 0, "the proxy", "--listen-port")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    check_port("127.0.0.1", port, "the proxy", "--listen-port")


@pytest.mark.parametrize("options", [["--set", "listen_port={}"], ["--mode", "regular@{}"]])
def test_a_taken_proxy_port_is_one_line(options: list[str], taken_port: int, tmp_path: Path) -> None:
    words = [word.format(taken_port) for word in options]
    ended = started("--dump", "-q", "--listen-host", "127.0.0.1", "--set", f"confdir={tmp_path}", *words)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"run: port {taken_port}, for the proxy, is in use")
    assert ended.stderr.count("\n") == 1


def test_a_taken_page_port_is_one_line(taken_port: int, tmp_path: Path) -> None:
    ended = started("-p", "0", "--web-port", str(taken_port), "--set", f"confdir={tmp_path}", "--no-web-open-browser")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"run: port {taken_port}, for mitmweb's page, is in use")
    assert ended.stderr.count("\n") == 1


def test_a_taken_port_does_not_matter_without_a_proxy(taken_port: int, tmp_path: Path) -> None:
    recording = tmp_path / "recording.har"
    timings = {"blocked": -1, "dns": -1, "connect": -1, "ssl": -1, "send": 0, "wait": 1, "receive": 1}
    request = {"method": "GET", "url": "https://recorded.test/", "httpVersion": "HTTP/1.1", "headers": []}
    response = {
        "status": 200,
        "statusText": "OK",
        "httpVersion": "HTTP/1.1",
        "headers": [],
        "cookies": [],
        "content": {"size": 0, "mimeType": "text/plain", "text": ""},
        "redirectURL": "",
        "headersSize": 0,
    }
    entry = {"startedDateTime": "2026-01-01T00:00:00Z", "time": 1, "request": request, "response": response}
    log = {"version": "1.2", "creator": {"name": "test", "version": "1"}, "entries": [{**entry, "timings": timings}]}
    recording.write_text(json.dumps({"log": log}), encoding="utf-8")
    ended = started("--dump", "-nr", str(recording), "-p", str(taken_port), "--set", f"confdir={tmp_path}")
    assert "https://recorded.test/" in ended.stdout
    assert ended.returncode == 0


@pytest.mark.parametrize("options", [["-n"], ["-p", "0"]])
def test_a_mistyped_option_of_ours_is_one_line(options: list[str], tmp_path: Path) -> None:
    ended = started("--dump", "-q", *options, "--set", f"confdir={tmp_path}", "--set", "cors_rewite=blocked")
    assert (ended.returncode, ended.stdout) == (1, "")
    expected = "run: there is no option cors_rewite (did you mean cors_rewrite?); --options lists them\n"
    assert ended.stderr == expected


def test_another_option_that_nothing_knows_is_told_of(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("def load(loader):\n    loader.add_option('brought', str, '', 'by a script')\n")
    options = ["--set", f"confdir={tmp_path}", "--set", "flow_detal=2", "--set", "brought=1"]
    ended = started("--dump", "-n", "-r", os.devnull, "-s", str(script), *options)
    assert "There is no option flow_detal (did you mean flow_detail?): it is ignored." in ended.stdout + ended.stderr
    assert "brought" not in ended.stdout + ended.stderr


def test_mitmproxys_own_complaint_stays_its_own(tmp_path: Path) -> None:
    ended = started("--dump", "--set", f"confdir={tmp_path}", "-p", "eighty")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "mitmdump: error: argument --listen-port/-p: invalid int value: 'eighty'"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells by variables whether there is a display")
def test_no_display_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(StartFailure, match="needs a display"):
        choose_browser("", headless=False)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="browsers are looked for on PATH only on Linux")
def test_the_browser_that_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartFailure, match="no browser was found"):
        choose_browser("", headless=True)
    firefox = tmp_path / "firefox"
    firefox.touch(mode=0o755)
    assert choose_browser("", headless=True) == firefox
    assert choose_browser("Firefox", headless=True) == firefox
    assert choose_browser(str(firefox), headless=True) == firefox
    with pytest.raises(StartFailure, match="chrome was not found: install it") as caught:
        choose_browser("chrome", headless=True)
    assert str(caught.value).endswith(f"(there is --browser={firefox})")
    with pytest.raises(StartFailure, match="that is no program"):
        choose_browser("netscape", headless=True)


def test_a_browser_without_a_proxy_is_refused(chromium: Path, tmp_path: Path) -> None:
    ended = started("--dump", "-n", "--browser=chromium", "--headless", "--set", f"confdir={tmp_path}")
    assert ended.returncode == 1
    assert ended.stderr == "run: --browser needs a proxy to use: leave out -n and --mode, or use --mode regular\n"


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Chromium puts a socket below TMPDIR, and a socket's path must not be long."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no way to send Ctrl-C to one process on Windows")
@pytest.mark.parametrize("closed_first", [False, True])
def test_the_browser_opens_and_ends_with_the_proxy(
    closed_first: bool, chromium: Path, tmp_path: Path, short_folder: Path
) -> None:
    """A closed browser leaves the proxy alone; an ended proxy takes the browser with it."""
    reports = tmp_path / "reports"
    words = ["--dump", f"--browser={chromium}", "--headless", "--url=https://page.test/"]
    words += ["-s", str(PAGE_ADDON), "--listen-host", "127.0.0.1", "-p", "0"]
    for option in (f"confdir={tmp_path}", f"report_file={reports}", "connection_strategy=lazy"):
        words += ["--set", option]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "addon"), "TMPDIR": str(short_folder)}
    command = [sys.executable, "-m", "corscope.run", *words]
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)

    def wait_for(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"waited in vain: {output.read_text()}")
            time.sleep(0.1)

    try:
        wait_for(lambda: reports.exists() and '"loaded": true' in reports.read_text())
        (folder,) = short_folder.glob("corscope-browser-*")
        if closed_first:
            for child in children_of(process.pid):
                os.kill(child, signal.SIGTERM)
            wait_for(lambda: not folder.exists())
            wait_for(lambda: "was closed; the proxy goes on" in output.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert not folder.exists()
    finally:
        process.kill()
        process.wait()


IN_A_TERMINAL = """
import os, signal, sys
os.setsid()
# Who runs these tests may ignore it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
terminal = os.open(sys.argv[1], os.O_RDWR)
for number in range(3):
    os.dup2(terminal, number)
os.execv(sys.executable, [sys.executable, "-m", "corscope.run", *sys.argv[2:]])
"""


AT_THE_END = """
class Talkative:
    def done(self):
        print("at the end " * 1000)

addons = [Talkative()]
"""


@contextlib.contextmanager
def in_a_terminal(folder: Path, greeting: bytes, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], FileIO]]:
    """Starts it in a terminal of its own, waits for its greeting, yields the process and the terminal's other end.

    Whoever closes that, closes the terminal.
    """
    import fcntl
    import termios

    # As files they can be closed twice: by then the numbers may be somebody else's.
    ours, theirs = (FileIO(number, "r+") for number in os.openpty())
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    (folder / "talkative.py").write_text(AT_THE_END)
    words = [*arguments, "-p", "0", "--set", f"confdir={folder}", "-s", str(folder / "talkative.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "addon"), "TERM": "xterm"}
    command = [sys.executable, "-c", IN_A_TERMINAL, os.ttyname(theirs.fileno()), *words]
    with ours, theirs, subprocess.Popen(command, env=environment) as process:
        try:
            shown = b""
            while greeting not in shown:
                shown += ours.read(4096)
            theirs.close()
            yield process, ours
        finally:
            process.kill()


IN_TERMINALS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
TUI, DUMP = ("--tui", b"Flows"), ("--dump", b"listening at")


@IN_TERMINALS
@pytest.mark.parametrize(("tool", "code"), [(TUI, 129), (DUMP, 0)], ids=["tui", "dump"])
def test_a_closed_terminal_ends_it(tool: tuple[str, bytes], code: int, short_folder: Path) -> None:
    """Whatever is still to be said."""
    with in_a_terminal(short_folder, tool[1], tool[0]) as (process, terminal):
        terminal.close()
        assert process.wait(30) == code


@IN_TERMINALS
def test_a_closed_terminal_ends_the_browser_too(chromium: Path, short_folder: Path) -> None:
    with in_a_terminal(short_folder, TUI[1], TUI[0], f"--browser={chromium}", "--headless") as (process, terminal):
        os.set_blocking(terminal.fileno(), False)
        children: list[int] = []
        while not children:
            terminal.read(4096)
            children = children_of(process.pid)
            time.sleep(0.1)
        terminal.close()
        assert process.wait(30) == 129
        assert not {child for child in children if is_alive(child)}


@IN_TERMINALS
def test_a_terminal_that_stays_is_left_as_it_was(short_folder: Path) -> None:
    """Anybody may send the signal."""
    with in_a_terminal(short_folder, TUI[1], TUI[0]) as (process, terminal):
        process.send_signal(signal.SIGHUP)
        shown = b""
        with contextlib.suppress(OSError):  # which is how Linux tells the end
            while piece := terminal.read(4096):
                shown += piece
        assert process.wait(30) == 129
    assert b"\x1b[?1049l" in shown


@IN_TERMINALS
def test_whoever_ignores_the_signal_goes_on(tmp_path: Path) -> None:
    """As nohup makes it."""
    said = tmp_path / "said"
    command = [sys.executable, "-m", "corscope.run", "--dump", "-p", "0", "--set", f"confdir={tmp_path}"]
    ignoring = f"import os, signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv({command[0]!r}, {command!r})"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", ignoring],
            env={**os.environ, "PYTHONPATH": str(ROOT / "addon")}, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        eventually(lambda: b"listening at" in said.read_bytes())
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
    finally:
        process.kill()
        process.wait()


def is_alive(pid: int) -> bool:
    """Tells whether a process is there and runs."""
    said = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return said.stdout.strip() != "" and not said.stdout.startswith("Z")


def children_of(pid: int) -> list[int]:
    """Returns the process ids of a process's children."""
    said = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = (map(int, line.split()) for line in said.stdout.splitlines())
    return [child for child, parent in pairs if parent == pid]
