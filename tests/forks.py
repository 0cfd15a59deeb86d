"""Starts mitmdumps as forks of a process that has loaded mitmproxy: otherwise each would load it anew, for most of a
second, and tests start more than a hundred.

What is forked is a mitmdump like any other, that runs by itself and loads the addon from its file. How those start that
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

CAN_FORK = "forkserver" in multiprocessing.get_all_start_methods()
"""Whether there are forks: Windows has none."""


class Fork:
    """A mitmdump; of what a `subprocess.Popen` has, that which tests use."""

    def __init__(self, arguments: Sequence[str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(LOADED)
        output, told = context.Pipe(duplex=False)
        # One that a test leaves behind ends with the tests.
        self._process = context.Process(target=_mitmdump, args=(arguments, told, dict(os.environ)), daemon=True)
        self._process.start()
        told.close()
        self.stdout = open(os.dup(output.fileno()), encoding="utf-8")  # noqa: SIM115 - as Popen's, whoever has it closes it
        output.close()
        self.args = ["mitmdump", *arguments]

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

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
    sys.stdout = sys.stderr = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 - to the end
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["mitmdump", *arguments]
    mitmdump()
