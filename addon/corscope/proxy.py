"""A real mitmdump with the addon, around somebody's own browser or client: for tests."""

import json
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from corscope.assertions import assert_no_cors_blocks

MITMDUMP = (sys.executable, "-c", "from mitmproxy.tools.main import mitmdump; mitmdump()")
"""Starts mitmdump wherever this Python keeps its programs."""

SCRIPT = Path(__file__).resolve().parent.parent / "cors_addon.py"
"""What `mitmproxy -s` loads."""


class ProxyFailure(Exception):
    """mitmdump did not start, or did not say what it should; the message has all that it said."""


def arguments_of(confdir: Path, addon: bool, options: Mapping[str, object]) -> list[str]:
    """Return mitmdump's arguments for a folder with its certificate authority, for the addon, and for options."""
    words = ["--set", f"confdir={confdir}"]
    if addon:
        words += ["-s", str(SCRIPT)]
    for name, value in options.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            words += ["--set", f"{name}={one}"]
    return words


class Mitmdump:
    """A mitmdump that serves as a proxy on a free port of 127.0.0.1. A context manager, which ends it."""

    def __init__(self, confdir: Path, *arguments: str, addon: bool = True, **options: object) -> None:
        """`options` are mitmproxy's. Raises ProxyFailure."""
        command = [*MITMDUMP, "--listen-host", "127.0.0.1", "--listen-port", "0"]
        command += [*arguments_of(confdir, addon, {"connection_strategy": "lazy", **options}), *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.port = int(self.wait_for(r"proxy listening at 127\.0\.0\.1:(\d+)")[1])
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

    def __init__(self, confdir: Path, **options: Any) -> None:  # noqa: ANN401 - whatever mitmproxy's options take
        """`confdir` is where its certificate authority is, made there if need be. Raises ProxyFailure."""
        self._folder = tempfile.TemporaryDirectory(prefix="corscope-proxy-")
        self._report = Path(self._folder.name, "verdicts.jsonl")
        self.ca_file = confdir / "mitmproxy-ca-cert.pem"
        """The certificate that clients have to trust, PEM."""
        try:
            super().__init__(confdir, **{"cors_grace": "0.5", **options, "cors_report": self._report})
        except BaseException:
            self._folder.cleanup()
            raise

    @property
    def url(self) -> str:
        """The proxy's URL, as clients take it."""
        return f"http://127.0.0.1:{self.port}"

    def verdicts(self) -> list[dict[str, Any]]:
        """Return the verdicts so far, the last on each exchange, in the order of their responses.

        One that depends on what follows is not `settled` at first.
        """
        text = self._report.read_text(encoding="utf-8") if self._report.exists() else ""
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return list({line["flow_id"]: line for line in lines}.values())

    def wait_for_verdict(
        self, matches: Callable[[dict[str, Any]], bool] = lambda _: True, *, seconds: float = 10
    ) -> dict[str, Any]:
        """Return the first settled verdict that matches, as soon as there is one. Raises ProxyFailure."""
        deadline = time.monotonic() + seconds
        while True:
            found = next((one for one in self.verdicts() if one["settled"] and matches(one)), None)
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise ProxyFailure(f"no such verdict within {seconds} s; there are {len(self.verdicts())} others")
            time.sleep(0.05)

    def settled(self, *, seconds: float = 5) -> list[dict[str, Any]]:
        """Return the verdicts once all are settled, or after some time as they are."""
        deadline = time.monotonic() + seconds
        found = self.verdicts()
        while not all(one["settled"] for one in found) and time.monotonic() < deadline:
            time.sleep(0.05)
            found = self.verdicts()
        return found

    def assert_no_blocks(self, *, silence: Collection[str] = (), origins: Iterable[str] = ()) -> None:
        """Raise AssertionError, with the explanation, if anything that went through was blocked."""
        __tracebackhide__ = True
        assert_no_cors_blocks(self.settled(), silence=silence, origins=origins)

    def stop(self) -> str:
        """End the proxy, and return all that it printed."""
        try:
            return super().stop()
        finally:
            self._folder.cleanup()
