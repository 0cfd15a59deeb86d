"""A real mitmdump with the addon, around somebody's own browser or client: for tests."""

import atexit
import functools
import json
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from operator import getitem
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from corscope.assertions import assert_no_cors_blocks
from corscope.browsers import chromium_proxy_arguments, firefox_proxy_preferences
from corscope.report import explanation, unfollowed
from corscope.session import DEFAULT_GRACE

MITMDUMP = (
    sys.executable,
    "-u",
    "-c",
    "import gc; gc.disable(); from mitmproxy.tools.main import mitmdump; gc.freeze(); gc.enable(); mitmdump()",
)
"""Starts mitmdump wherever this Python keeps its programs. Unbuffered, for into a pipe it would print nothing before a
buffer is full, and nobody would learn that it listens. What is loaded then stays, and the garbage collector need not
look at it again and again: a sixth less of what a start takes.
"""

SCRIPT = Path(__file__).resolve().parent.parent / "cors_addon.py"
"""What `mitmproxy -s` loads."""

SETTLING_SECONDS = 1.5
"""How much later than the grace time the addon may tell what it has settled: it looks twice a second."""

POLL_SECONDS = 0.05

USUAL_LINES = 2
"""Lines that mitmdump prints when it starts: which script it loads, and where it listens. Others warn or are errors."""

ENDING_SECONDS = 1.0
"""How long mitmdump may take to end after an error."""

LISTED = 20
"""Verdicts that a message lists."""


class ProxyFailure(Exception):
    """mitmdump did not start, or did not say what it should; the message has all that it said."""


@functools.cache
def throwaway_confdir() -> Path:
    """Return a folder for the certificate authority of all proxies that this process starts; it goes when that ends.

    An authority takes a second to make, and Firefox several to be told of it.
    """
    folder = Path(tempfile.mkdtemp(prefix="corscope-confdir-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def arguments_of(confdir: Path, addon: bool, options: Mapping[str, object]) -> list[str]:
    """Return mitmdump's arguments for a folder with its certificate authority, for the addon, and for options."""
    words = ["--set", f"confdir={confdir}"]
    if addon:
        words += ["-s", str(SCRIPT)]
    for name, value in options.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            # mitmproxy knows `true` and `false` only.
            one = str(one).lower() if isinstance(one, bool) else one
            words += ["--set", f"{name}={one}"]
    return words


def start_mitmdump(arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Start mitmdump; all that it says comes out of `stdout`, whatever its bytes are."""
    return subprocess.Popen(
        [*MITMDUMP, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
    )


class Mitmdump:
    """A mitmdump that serves as a proxy on a free port of 127.0.0.1. A context manager, which ends it."""

    _start = staticmethod(start_mitmdump)

    def __init__(self, confdir: Path, *arguments: str, addon: bool = True, **options: object) -> None:
        """`options` are mitmproxy's. Raises ProxyFailure."""
        words = ["--listen-host", "127.0.0.1", "--listen-port", "0"]
        words += [*arguments_of(confdir, addon, {"connection_strategy": "lazy", **options}), *arguments]
        self.process = self._start(words)
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.port = int(self.wait_for(r"listening at 127\.0\.0\.1:(\d+)")[1])
        except BaseException:
            self.stop()
            raise

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, pattern: str, seconds: float = 20) -> re.Match[str]:
        """Wait until mitmdump prints a line in which the pattern is found, one that was not waited past before.

        Raises ProxyFailure.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise ProxyFailure(f"{pattern!r} was not printed within {seconds} s: {self.said}") from None
            if line is None:
                raise ProxyFailure(f"mitmdump ended without printing {pattern!r}: {self.said}")
            self._said.append(line)
            if found := re.search(pattern, line):
                return found

    @property
    def said(self) -> str:
        """All that was waited past."""
        return "".join(self._said)

    def stop(self) -> str:
        """End mitmdump in its orderly way, and return all that it printed."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self._reader.join(20)
        while not self._lines.empty():
            line = self._lines.get()
            self._said += [line] if line is not None else []
        if self.process.stdout:
            self.process.stdout.close()
        return self.said

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class CorsProxy(Mitmdump):
    """A proxy that judges what goes through it; its verdicts are those of the JSON Lines report, as dictionaries."""

    def __init__(
        self,
        confdir: Path | None = None,
        *,
        origins: Iterable[str] = (),
        **options: Any,  # noqa: ANN401 - whatever mitmproxy's options take
    ) -> None:
        """Start it, which takes a second or two. Raises ProxyFailure.

        `confdir` is where its certificate authority is, made there if need be; without one it is thrown away in the
        end. `origins` are the pages whose blocks `assert_no_blocks` minds, all where it is empty. `options` are
        mitmproxy's and the addon's.
        """
        self._origins = tuple(origins)
        self._folder = tempfile.TemporaryDirectory(prefix="corscope-proxy-")
        self._report = Path(self._folder.name, "verdicts.jsonl")
        self._read_bytes = 0
        self._verdicts: dict[str, dict[str, Any]] = {}
        self._cleared: set[str] = set()
        self._ended = False
        confdir = confdir or Path(self._folder.name, "confdir")
        self.ca_file = confdir / "mitmproxy-ca-cert.pem"
        """The certificate that clients have to trust, PEM."""
        try:
            # mitmdump would print each URL, with what is secret in it.
            super().__init__(confdir, **{"flow_detail": 0, **options, "cors_report": self._report})
            self._check()
        except BaseException:
            self._folder.cleanup()
            raise
        self._patience = float(options.get("cors_grace", DEFAULT_GRACE)) + SETTLING_SECONDS

    def _check(self) -> None:
        """Raise ProxyFailure if mitmdump ends over an option that makes no sense: it begins to listen all the same."""
        if len(self._said) > USUAL_LINES:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(ENDING_SECONDS)
        if self.process.poll() is not None:
            raise ProxyFailure(f"mitmdump did not start: {self.stop()}")

    # -- for clients

    @property
    def host(self) -> str:
        """The address that it listens at."""
        return "127.0.0.1"

    @property
    def url(self) -> str:
        """The proxy's URL, as clients take it, for http and https alike."""
        return f"http://{self.host}:{self.port}"

    @property
    def chromium_arguments(self) -> list[str]:
        """The arguments with which Chromium, Chrome and Edge use this proxy, for localhost too, and trust it."""
        return chromium_proxy_arguments(self.host, self.port, self.ca_file)

    @property
    def firefox_preferences(self) -> dict[str, int | str | bool]:
        """The preferences with which Firefox uses this proxy, for localhost too.

        For https let the driver accept insecure certificates besides.
        """
        return firefox_proxy_preferences(self.host, self.port)

    # -- verdicts

    def verdicts(self) -> list[dict[str, Any]]:
        """Return the verdicts so far, the last on each exchange, in the order of their responses. Raises ProxyFailure.

        A response has its verdict before the client gets it. One that depends on what follows is not `settled` at
        first. After the end they are as at the end of a capture.
        """
        if not self._ended:
            if self.process.poll() is not None:
                raise ProxyFailure(f"mitmdump has ended by itself: {self.stop()}")
            self._take()
        return [verdict for flow_id, verdict in self._verdicts.items() if flow_id not in self._cleared]

    def wait_for_verdict(
        self, matches: Callable[[dict[str, Any]], object] = lambda _: True, *, seconds: float = 20
    ) -> dict[str, Any]:
        """Return the first verdict that matches, as soon as no time that passes changes it. Raises ProxyFailure."""
        deadline = time.monotonic() + seconds
        while True:
            verdicts = self.verdicts()
            waiting = unfollowed(verdicts, getitem)
            found = next((one for one in verdicts if one["flow_id"] not in waiting and matches(one)), None)
            if found is not None:
                return found
            if time.monotonic() > deadline:
                listed = "".join(f"\n  {explanation(one)[0]}" for one in verdicts[-LISTED:])
                raise ProxyFailure(
                    f"the verdict that was waited for did not come within {seconds:g} s; there are {len(verdicts)}"
                    + (f" others, the last of them:{listed}" if listed else "")
                )
            time.sleep(POLL_SECONDS)

    def settled(self) -> list[dict[str, Any]]:
        """Return the verdicts as soon as no time that passes changes them. Raises ProxyFailure.

        It waits while a preflight may still be followed by its request: `cors_grace` seconds and a little more at most,
        not at all where none is open.
        """
        deadline = time.monotonic() + self._patience
        while unfollowed(verdicts := self.verdicts(), getitem) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return verdicts

    def assert_no_blocks(self, *, silence: Iterable[str] = (), origins: Iterable[str] | None = None) -> None:
        """Raise CorsBlocked, an AssertionError with the explanation, if anything that went through was blocked.

        `silence` and `origins` as in `assert_no_cors_blocks`; without `origins`, those that the proxy was given.
        """
        __tracebackhide__ = True
        assert_no_cors_blocks(self.settled(), silence=silence, origins=self._origins if origins is None else origins)

    def clear(self) -> None:
        """Let go of the verdicts so far, so that one proxy can serve several tests; what was learned stays."""
        self._cleared.update(one["flow_id"] for one in self.verdicts())

    def _take(self) -> None:
        """Take what the report has more by now; a line that is being written has to wait."""
        if not self._report.exists():
            return
        with self._report.open("rb") as file:
            file.seek(self._read_bytes)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read_bytes += len(line)
                verdict: dict[str, Any] = json.loads(line)
                self._verdicts[verdict["flow_id"]] = verdict

    # -- the end

    def stop(self) -> str:
        """End the proxy, and return all that it printed."""
        try:
            return super().stop()
        finally:
            if not self._ended:
                self._ended = True
                self._take()
            self._folder.cleanup()
