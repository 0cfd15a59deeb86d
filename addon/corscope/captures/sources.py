"""Where captures lie: files, folders, globs and standard input; compressed or not, told by how they begin."""

import bz2
import glob
import gzip
import io
import lzma
import os
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, BinaryIO, cast

from mitmproxy import flowfilter

from corscope.captures.capture import Damage, Entry, OnDamage, UnreadableCapture
from corscope.captures.har import read_har
from corscope.captures.mitm import read_mitm

STDIN = "-"
"""What stands for standard input."""

SUFFIXES = (".mitm", ".mitmproxy", ".flow", ".flows", ".dump", ".har")
COMPRESSED = ("", ".gz", ".xz", ".bz2", ".zip")
"""How the names of captures end that are looked for in folders."""

_PACE = 256
"""Exchanges between two words on how far the reading is."""

_IN_MEMORY = 16_000_000
"""Bytes of a zip from a pipe that are kept in memory; more go into a temporary file."""

_EXPECTED = "expected mitmproxy's own format (.mitm) or HAR, plain or compressed with gzip, xz, bzip2 or zip"


class NoCapture(Exception):
    """An argument that leads to no capture; the message is one line that names it."""


def find_captures(arguments: Iterable[str]) -> list[str]:
    """Return the captures that arguments name, each once, in the arguments' order; what is in a folder by its path.

    Raises NoCapture.
    """
    found: dict[str, None] = {}
    for argument in arguments:
        path = Path(argument)
        if argument == STDIN or path.is_file():
            found[argument] = None
        elif path.is_dir():
            inside = [str(one) for one in sorted(path.rglob("*")) if one.is_file() and _is_named_as_capture(one.name)]
            if not inside:
                raise NoCapture(f"{argument}: there is no capture in this folder; looked for *{', *'.join(SUFFIXES)}")
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[argument] = None  # a named pipe, or a process substitution
        elif matches := sorted(one for one in glob.glob(argument, recursive=True) if os.path.isfile(one)):
            found.update(dict.fromkeys(matches))
        elif glob.has_magic(argument):
            raise NoCapture(f"{argument}: no file matches")
        else:
            raise NoCapture(f"{argument}: there is no such file or folder")
    return list(found)


def _is_named_as_capture(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(tuple(suffix + packed for suffix in SUFFIXES for packed in COMPRESSED))


def read_capture(
    path: str | os.PathLike[str],
    *,
    wanted: flowfilter.TFilter | None = None,
    damaged: OnDamage,
    at: Callable[[int], None] | None = None,
) -> Iterator[Entry]:
    """Read the exchanges of one capture, in its order; `-` is standard input. See `capture.Reader` for the rest.

    `at` is told from time to time at which byte of the file the reading is.

    Raises UnreadableCapture where nothing can be read, OSError where the file can't be opened.
    """
    name = os.fspath(path)
    with ExitStack() as stack:
        raw = sys.stdin.buffer if name == STDIN else stack.enter_context(open(name, "rb"))
        read = 0
        try:
            for member, file in _unpacked(cast("BinaryIO", raw), stack):
                for entry in _read(file, wanted, damaged if not member else _of_member(member, damaged)):
                    read += 1
                    if at is not None and read % _PACE == 0 and raw.seekable():
                        at(raw.tell())
                    yield entry
        except UnreadableCapture as error:
            if not read:
                raise UnreadableCapture(f"{shown_name(name)}: {error}") from error
            damaged(Damage("after what was read", str(error), "the rest"))
        except (EOFError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile) and error.errno is not None:
                raise
            said = f"its compression is damaged: {error}"
            if not read:
                raise UnreadableCapture(f"{shown_name(name)}: {said}") from error
            damaged(Damage("after what was read", said, "the rest"))


def shown_name(name: str) -> str:
    """Return how a capture is called in messages."""
    return "standard input" if name == STDIN else name


def _of_member(member: str, damaged: OnDamage) -> OnDamage:
    return lambda damage: damaged(damage._replace(where=f"{member}, {damage.where}"))


def _unpacked(file: BinaryIO, stack: ExitStack, depth: int = 0) -> Iterator[tuple[str, BinaryIO]]:
    """Yield the captures in a file, unpacked, with the name that each has in an archive."""
    peekable = _peekable(file)
    head = peekable.peek(8)[:8]
    if depth > 3:
        raise UnreadableCapture(f"it is packed over and over; {_EXPECTED}")
    if head.startswith(b"\x1f\x8b"):
        unpacked = cast("BinaryIO", stack.enter_context(gzip.GzipFile(fileobj=peekable)))
    elif head.startswith(b"\xfd7zXZ\x00"):
        unpacked = cast("BinaryIO", stack.enter_context(lzma.LZMAFile(peekable)))  # noqa: SIM115 - the stack closes it
    elif head.startswith(b"BZh"):
        unpacked = cast("BinaryIO", stack.enter_context(bz2.BZ2File(peekable)))
    elif head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        yield from _members(peekable, stack, depth)
        return
    else:
        yield "", cast("BinaryIO", peekable)
        return
    yield from _unpacked(unpacked, stack, depth + 1)


def _peekable(file: BinaryIO) -> io.BufferedReader:
    return file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", file))


def _members(file: io.BufferedReader, stack: ExitStack, depth: int) -> Iterator[tuple[str, BinaryIO]]:
    """Yield the captures in a zip; Playwright puts bodies beside the HAR, which are left alone."""
    whole: IO[bytes] = file
    if not file.seekable():
        # The table of contents is at the end.
        spooled = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the stack closes it
        whole = stack.enter_context(spooled)
        shutil.copyfileobj(file, whole)
        whole.seek(0)
    archive = stack.enter_context(zipfile.ZipFile(whole))
    names = [name for name in archive.namelist() if _is_named_as_capture(name)]
    if not names:
        raise UnreadableCapture("there is no capture in this zip; expected a .har or .mitm in it")
    for name in names:
        with archive.open(name) as member:
            for inner, unpacked in _unpacked(cast("BinaryIO", member), stack, depth + 1):
                yield f"{name}/{inner}" if inner else name, unpacked


def _read(file: BinaryIO, wanted: flowfilter.TFilter | None, damaged: OnDamage) -> Iterator[Entry]:
    """Read a capture that is not packed, whichever its format."""
    head = _peekable(file).peek(64)[:64].lstrip()
    if not head:
        raise UnreadableCapture(f"it is empty; {_EXPECTED}")
    if head[:1].isdigit():
        return read_mitm(file, wanted=wanted, damaged=damaged)
    if head.startswith((b"{", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return read_har(file, wanted=wanted, damaged=damaged)
    raise UnreadableCapture(f"it is no capture: it begins with {bytes(head[:12])!r}; {_EXPECTED}")
