"""Where the JSON Lines report goes: a file of ours, a device, or a pipe that somebody reads."""

import contextlib
import os
import queue
import threading
from pathlib import Path
from typing import Protocol

PIPE_LINES = 10_000
"""Lines that wait for whoever reads a pipe; more are not kept."""

PATIENCE_SECONDS = 0.5
"""How long a line waits for a place among them: that delays flows, once."""

CLOSING_SECONDS = 5.0
"""How long the end waits for a reader that reads nothing."""


class UnusableReport(Exception):
    """A report can't be written there; the message names the path, and what was expected."""


class ReportFile(Protocol):
    """What lines are written to. Raises OSError, at a later line perhaps."""

    def write(self, line: str, /) -> object:
        """Write a line, its end included."""

    def flush(self) -> object:
        """Let others see what was written."""

    def close(self) -> object:
        """Write what is left, and end it."""


def report_path(path: str) -> Path:
    """Return the file that a user names: `~` is a home folder, `+PATH` appends. Raises UnusableReport."""
    named = path.removeprefix("+")
    if named == "-":
        raise UnusableReport("- is no file here: name one, or /dev/stdout")
    try:
        return Path(named).expanduser()
    except RuntimeError:
        raise UnusableReport(f"{named}: there is no such user's home folder") from None


def open_report(path: str) -> ReportFile:
    """Open a report for writing, `+PATH` for appending. Raises UnusableReport.

    A file that is not a report of ours is never overwritten.
    """
    file = report_path(path)
    append = path.startswith("+")
    try:
        if file.is_dir():
            raise UnusableReport(f"{file} is a directory, name a file in it")
        if file.is_fifo() and not _is_standard_output(file):
            return Pipe(file)
        if not append and file.is_file() and not is_report(file):
            raise UnusableReport(f"{file} exists and is no JSON Lines report; name another file, or remove it")
        return file.open("a" if append else "w", encoding="utf-8")
    except OSError as error:
        raise UnusableReport(f"{file} can't be written: {error.strerror or error}") from error
    except ValueError as error:
        raise UnusableReport(f"{str(file)!r} is no path: {error}") from error


def _is_standard_output(file: Path) -> bool:
    """Tell the name of our own output, for whose reader everything waits that writes there."""
    try:
        return os.path.samestat(file.stat(), os.fstat(1))
    except OSError:
        return False


def is_report(file: Path) -> bool:
    """Tell whether a file is empty or begins as a report of ours does. Raises OSError."""
    with file.open("rb") as opened:
        head = opened.read(12)
    return head == b"" or head.startswith(b'{"flow_id":')


class Pipe:
    """A pipe whose reader may be slow, or read nothing at all: nobody else waits for it for long."""

    def __init__(self, path: Path) -> None:
        """Raises UnusableReport where nobody reads it, OSError."""
        try:
            handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if path.is_fifo():
                raise UnusableReport(f"{path} is a pipe that nobody reads: start its reader first") from error
            raise
        os.set_blocking(handle, True)
        self._file = open(handle, "w", encoding="utf-8")  # noqa: SIM115 - closed by `_pass_on`
        self._lines: queue.Queue[str | None] = queue.Queue(PIPE_LINES)
        self._failure: OSError | None = None
        self._given_up = False
        self._writer = threading.Thread(target=self._pass_on, daemon=True)
        self._writer.start()

    def _pass_on(self) -> None:
        try:
            with self._file:
                while (line := self._lines.get()) is not None and not self._given_up:
                    self._file.write(line)
                    if self._lines.empty():
                        self._file.flush()
        except OSError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001 - whoever writes the next line is to know
            self._failure = OSError(str(error))

    def write(self, line: str) -> None:
        """Hand on a line. Raises OSError where the pipe is broken, or its reader does not keep up."""
        if self._failure is not None:
            raise self._failure
        try:
            self._lines.put(line, timeout=PATIENCE_SECONDS)
        except queue.Full:
            raise OSError(f"its reader does not keep up, {PIPE_LINES:,} lines wait") from None

    def flush(self) -> None:
        """Do nothing: what waits is written as soon as it is read."""

    def close(self) -> None:
        """Wait for the reader as long as it goes on reading. Raises OSError where it does not read all."""
        waiting = self._lines.qsize() + 1
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=PATIENCE_SECONDS)
            while self._writer.is_alive():
                self._writer.join(CLOSING_SECONDS)
                if self._lines.qsize() >= waiting:
                    break
                waiting = self._lines.qsize()
        if self._failure is not None:
            raise self._failure
        if self._writer.is_alive():
            self._given_up = True
            raise OSError(f"its reader did not read the last {max(1, waiting):,} lines")
