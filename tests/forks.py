"""Starts mitmdumps as forks of a process that has loaded mitmproxy: otherwise each would load it anew, for most of a
second, and tests start more than a hundred.

What is forked is a mitmdump that runs by itself and loads the addon from its file. It differs from one that a user
starts in that it finds the tests' own modules too and leaves out what is registered with `atexit`. How those start that
users start is tested elsewhere: of the scripts, the command line, the pytest plugin and the benchmark.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection

LOADED = ["mitmproxy.tools.main", "mitmproxy.tools.dump"]
"""What mitmproxy itself loads when mitmdump starts, with all that it needs."""

CAN_FORK = sys.platform == "linux"
"""Whether there are forks: Windows has none, and what macOS itself brings may abort in one."""

if CAN_FORK:
    _CONTEXT = multiprocessing.get_context("forkserver")
    # At once: somebody else may start the server.
    _CONTEXT.set_forkserver_preload(LOADED)


class Fork:
    """A mitmdump; of what a `subprocess.Popen` has, that which tests use."""

    def __init__(self, arguments: Sequence[str]) -> None:
        output, told = _CONTEXT.Pipe(duplex=False)
        # One that a test leaves behind ends with the tests.
        self._process = _CONTEXT.Process(target=_mitmdump, args=(arguments, told, dict(os.environ)), daemon=True)
        self._process.start()
        told.close()
        # As Popen's, it is for whoever has it to close.
        self.stdout = open(os.dup(output.fileno()), encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
        output.close()
        self.args = ["mitmdump", *arguments]

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _mitmdump(arguments: Sequence[str], told: Connection, environ: Mapping[str, str]) -> None:
    """What the fork does; all that it says goes through `told`."""
    from mitmproxy.tools.main import mitmdump

    gc.freeze()
    for number in (1, 2):
        os.dup2(told.fileno(), number)
    told.close()
    # As Python's own are, and to the end.
    sys.stdout = open(1, "w", buffering=1, errors=getattr(sys.__stdout__, "errors", None), closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["mitmdump", *arguments]
    mitmdump()
