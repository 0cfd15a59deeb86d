"""Where captures lie: files, folders, globs and standard input; compressed or not, told by how they begin."""

import bz2
import codecs
import copy
import errno
import glob
import gzip
import io
import lzma
import os
import shutil
import struct
import sys
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, BinaryIO, cast

from corscope.captures.capture import Damage, Entry, OnDamage, UnreadableCapture
from corscope.captures.har import read_har
from corscope.captures.mitm import read_mitm
from corscope.flow_filters import Filter

STDIN = "-"
"""What stands for standard input."""

SUFFIXES = (".mitm", ".mitmproxy", ".flow", ".flows", ".dump", ".har")
COMPRESSED = ("", ".gz", ".xz", ".bz2", ".zip")
"""How the names of captures end that are looked for in folders."""

_AHEAD = 256
"""Exchanges that are read before they are handed on. Where reading and judging take turns at each, they keep pushing
each other out of the processor's caches, which costs a tenth of the time."""

_AT_ONCE = 1 << 14
"""Bytes that are unpacked at once: where they are damaged, those before the damage are lost too."""

_IN_MEMORY = 16_000_000
"""Bytes of a zip from a pipe that are kept in memory; more go into a temporary file."""

_EXPECTED = "expected mitmproxy's own format (.mitm) or HAR, plain or compressed with gzip, xz, bzip2 or zip"


class NoCapture(Exception):
    """An argument that leads to no capture; the message is one line that names it."""


def find_captures(arguments: Iterable[str], *, unreadable: Callable[[str], None] = lambda _: None) -> list[str]:
    """Return the captures that arguments name, each once, in the arguments' order; what is in a folder by its path.

    A file that goes by several names is one capture, under the first. `unreadable` is told of folders below those named
    that can't be looked into, a line each. Raises NoCapture.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        if not argument:
            raise NoCapture("a capture's name is empty, as of a variable that is not set")
        path, closed = Path(argument), dict[str, None]()
        if argument == STDIN:
            found.setdefault(STDIN, STDIN)
            continue
        if path.is_dir():
            named = _inside(path, closed.setdefault)
            if not named and closed:
                raise NoCapture(next(iter(closed)))
            if not named:
                looked_for = f"*{', *'.join(SUFFIXES)}, plain or packed, and *.zip with one in it"
                raise NoCapture(f"{argument}: there is no capture in this folder; looked for {looked_for}")
        elif path.exists():
            named = [argument]  # a named pipe, or a process substitution, perhaps
        elif not (named := _matches(argument, closed.setdefault)):
            if glob.has_magic(argument):
                raise NoCapture(f"{argument}: no file matches")
            raise NoCapture(f"{argument}: there is no such file or folder")
        for line in closed:
            unreadable(line)
        for one in named:
            found.setdefault(os.path.realpath(one), one)
    return list(found.values())


def _inside(folder: Path, unreadable: Callable[[str], object]) -> list[str]:
    """Return the captures in a folder and those below it; links to other folders are not followed."""
    files = [Path(where, name) for where, _, names in os.walk(folder, onerror=_telling(unreadable)) for name in names]
    return [str(one) for one in sorted(files) if one.is_file() and _is_a_capture(one)]


def _telling(unreadable: Callable[[str], object]) -> Callable[[OSError], object]:
    return lambda error: unreadable(f"{error.filename}: it can't be looked into: {error.strerror}")


def _matches(pattern: str, unreadable: Callable[[str], object]) -> list[str]:
    """Return the files that match a glob, and the captures in folders that do, as where a shell writes them out."""
    found: dict[str, None] = {}
    for one in _expanded(pattern.replace(os.sep, "/"), unreadable):
        if os.path.isfile(one):
            found[one] = None
        elif os.path.isdir(one):
            found.update(dict.fromkeys(_inside(Path(one), unreadable)))
    return list(found)


def _expanded(pattern: str, unreadable: Callable[[str], object]) -> list[str]:
    """Return what a glob matches. `**` stands for a folder and those below it, but not for what links lead to.

    The standard library's `glob` follows these, in circles too.
    """
    if f"/{pattern}".endswith("/**"):
        # All is meant that is in these folders.
        pattern += "/*"
    before, stars, behind = f"/{pattern}".partition("/**/")
    if not stars:
        return sorted(glob.glob(pattern))
    top = before[1:] or ("/" if pattern.startswith("/") else "")
    found: set[str] = set()
    for folder in glob.glob(top) if top else [os.curdir]:
        for where, names, _ in os.walk(folder, onerror=_telling(unreadable)):
            # As a star, two of them stand for nothing that is hidden.
            names[:] = [name for name in names if not name.startswith(".")]
            place = os.path.join(where if top else os.path.relpath(where), "").replace(os.sep, "/").removeprefix("./")
            found.update(_expanded(f"{glob.escape(place)}{behind}", unreadable))
    return sorted(found)


def _is_a_capture(path: Path) -> bool:
    """Tell whether what lies in a folder is a capture, by its name, or by the names in it where it is a zip."""
    # What macOS knows of a file stands beside it, under its name behind `._`.
    if path.name.startswith("._"):
        return False
    if _is_named_as_capture(path.name):
        return True
    if path.suffix.lower() != ".zip":
        return False
    try:
        with path.open("rb") as file, _opened(file) as archive:
            return bool(_captures_in(archive))
    except (OSError, UnreadableCapture):
        return False


def _is_named_as_capture(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(tuple(suffix + packed for suffix in SUFFIXES for packed in COMPRESSED))


def read_capture(
    path: str | os.PathLike[str],
    *,
    wanted: Filter | None = None,
    damaged: OnDamage,
    at: Callable[[int], None] | None = None,
) -> Iterator[Entry]:
    """Read the exchanges of one capture, in its order; `-` is standard input. See `capture.Reader` for the rest.

    They come some at a time, so that damage is told before what was read before it; `at` is told at which byte of the
    file the reading is then.

    Raises UnreadableCapture where nothing can be read, OSError where the file can't be opened.
    """
    name = os.fspath(path)
    damages: list[Damage] = []

    def noted(damage: Damage) -> None:
        # One is enough to say why nothing could be read.
        if not damages:
            damages.append(damage)
        damaged(damage)

    with ExitStack() as stack:
        raw = sys.stdin.buffer if name == STDIN else stack.enter_context(open(name, "rb"))
        read = 0
        some: list[Entry] = []
        fault: Exception | None = None
        try:
            for entry in _all(_unpacked(cast("BinaryIO", raw), stack), wanted, noted):
                some.append(entry)
                if len(some) == _AHEAD:
                    if at is not None and raw.seekable():
                        at(raw.tell())
                    read += len(some)
                    yield from some
                    some = []
        except Exception as error:  # noqa: BLE001 - whatever it is, what was read before is handed on
            fault = error
        read += len(some)
        yield from some
        if fault is not None:
            if not isinstance(fault, _UNREADABLE):
                raise fault
            said = _why_unreadable(fault)
            if not read:
                raise UnreadableCapture(f"{shown_name(name)}: {said}") from fault
            damaged(Damage("after what was read", said, "the rest"))
        if damages and not read:
            where, what, _ = damages[0]
            said = what if _EXPECTED in what else f"{what}; {_EXPECTED}"
            raise UnreadableCapture(f"{shown_name(name)}: nothing of it can be read: {where}: {said}")


_UNREADABLE = (UnreadableCapture, EOFError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, OSError)


def _why_unreadable(error: Exception) -> str:
    """Return why no more can be read. Raises the error itself if it is the disk's, not the capture's."""
    if isinstance(error, UnreadableCapture):
        return str(error)
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile) and error.errno is not None:
        raise error
    return f"its compression is damaged: {error}"


def _all(
    captures: Iterable[tuple[str, BinaryIO | Exception]], wanted: Filter | None, damaged: OnDamage
) -> Iterator[Entry]:
    """Read the captures of one file, one after the other; one of a zip that can't be read does not end the others.

    Raises what reading raises where it is the only one.
    """
    before = 0
    for member, file in captures:
        if isinstance(file, _WrongSum):
            nothing = "nothing: all is read that could be unpacked"
            damaged(Damage(member or "at its end", "its checksum is wrong", nothing))
            continue
        if not member:
            if isinstance(file, Exception):
                raise file
            yield from _read(file, wanted, damaged)
            continue
        count = 0
        try:
            if isinstance(file, Exception):
                raise file
            for index, entry in enumerate(_read(file, wanted, _of_member(member, damaged))):
                number = index if entry.number is None else entry.number
                count = max(count, number + 1)
                # Each archive counts its entries from 0.
                entry.exchange.id = f"{member}:{entry.exchange.id}"
                yield entry._replace(number=before + number)
        except _UNREADABLE as error:
            damaged(Damage(member, _why_unreadable(error), "the rest of it" if count else "all of it"))
        before += count


def shown_name(name: str) -> str:
    """Return how a capture is called in messages."""
    return "standard input" if name == STDIN else name


def _of_member(member: str, damaged: OnDamage) -> OnDamage:
    return lambda damage: damaged(damage._replace(where=f"{member}, {damage.where}"))


def _unpacked(file: BinaryIO, stack: ExitStack, depth: int = 0) -> Iterator[tuple[str, BinaryIO | Exception]]:
    """Yield the captures in a file, unpacked, with the name that each has in an archive; or why one can't be."""
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
    if isinstance(file, io.BufferedReader):
        return file
    return io.BufferedReader(_OneRead(file) if hasattr(file, "read1") else cast("io.RawIOBase", file))


class _OneRead(io.RawIOBase):
    """What is unpacked as it comes: a read of many bytes would lose those before damage with those behind it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = cast("io.BufferedIOBase", file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._file.read1(min(len(buffer), _AT_ONCE))
        buffer[: len(data)] = data
        return len(data)


def _members(file: io.BufferedReader, stack: ExitStack, depth: int) -> Iterator[tuple[str, BinaryIO | Exception]]:
    """Yield the captures in a zip; Playwright puts bodies beside the HAR, which are left alone."""
    whole: IO[bytes] = file
    if not file.seekable():
        # The table of contents is at the end.
        spooled = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the stack closes it
        whole = stack.enter_context(spooled)
        shutil.copyfileobj(file, whole)
        whole.seek(0)
    archive = stack.enter_context(_opened(whole))
    captures = _captures_in(archive)
    if not captures:
        raise UnreadableCapture("there is no capture in this zip; expected a .har or .mitm in it")
    names: Counter[str] = Counter()
    for capture in captures:
        name = capture.filename
        names[name] += 1
        # The only one needs no name, and of several with the same each needs its own.
        shown = "" if len(captures) == 1 else name if names[name] == 1 else f"{name} ({names[name]})"
        try:
            with archive.open(_unchecked(capture)) as content:
                member = _Summed(content, capture.CRC)
                for inner, unpacked in _unpacked(cast("BinaryIO", member), stack, depth + 1):
                    yield f"{shown}/{inner}".strip("/"), unpacked
                if member.has_wrong_sum:
                    yield shown, _WrongSum()
        except _ODD_ZIP as error:  # a password, or a compression that Python does not know
            yield shown, UnreadableCapture(f"it can't be unpacked: {error}")
        except OSError as error:
            # Where the table of contents is damaged, a member may seem to begin before the file.
            yield shown, zipfile.BadZipFile(error.strerror) if error.errno == errno.EINVAL else error
        except _UNREADABLE as error:
            yield shown, error


_ODD_ZIP = (RuntimeError, ValueError, LookupError, OverflowError, struct.error)
"""What Python raises for zips that are damaged, or made in ways that it does not know, besides BadZipFile."""


def _opened(file: IO[bytes]) -> zipfile.ZipFile:
    """Open a zip. Raises UnreadableCapture, or OSError where it is the disk's fault."""
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, *_ODD_ZIP) as error:
        said = "this zip's table of contents, at its end, can't be read: the file may be cut or damaged"
        raise UnreadableCapture(f"{said} ({error})") from error


def _captures_in(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the captures in a zip; macOS puts what it knows of a file beside it, in `__MACOSX`."""
    return [
        one
        for one in archive.infolist()
        if _is_named_as_capture(one.filename) and not one.filename.startswith("__MACOSX/")
    ]


class _WrongSum(Exception):
    """A file in a zip is not what was packed."""


def _unchecked(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """Return what zipfile opens without comparing the checksum: it would keep what it read last where that is wrong."""
    if info.flag_bits & 1:
        raise RuntimeError(f"File {info.filename!r} is encrypted")
    unchecked = copy.copy(info)
    del unchecked.CRC
    return unchecked


class _Summed(_OneRead):
    """A file in a zip, whose checksum is compared apart."""

    has_wrong_sum: bool = False
    """Whether all was read, and is not what was packed."""

    def __init__(self, file: IO[bytes], expected: int) -> None:
        super().__init__(cast("BinaryIO", file))
        self._expected, self._sum = expected, 0

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        count = super().readinto(buffer)
        self._sum = zlib.crc32(buffer[:count], self._sum)
        self.has_wrong_sum = not count and self._sum != self._expected
        return count


def _read(file: BinaryIO, wanted: Filter | None, damaged: OnDamage) -> Iterator[Entry]:
    """Read a capture that is not packed, whichever its format."""
    begins = _peekable(file).peek(_SPACE)[:_SPACE]
    head = begins.lstrip()
    if not head:
        said = f"it begins with {_SPACE:,} spaces" if len(begins) == _SPACE else "it is empty"
        raise UnreadableCapture(f"{said}; {_EXPECTED}")
    if begins.lstrip(b" \t\r\n\0").startswith(b"{") or head.startswith(_BYTE_ORDER_MARKS):
        return read_har(file, wanted=wanted, damaged=damaged)
    # So little of it that no secret shows: it may begin in the middle of anything.
    return _mitm(file, wanted, damaged, "" if head[:1].isdigit() else f"it begins with {bytes(head[:4])!r}")


def _mitm(file: BinaryIO, wanted: Filter | None, damaged: OnDamage, odd: str) -> Iterator[Entry]:
    """Read what may be mitmproxy's. `odd` says how it begins, if not so: of a damaged one the beginning may be lost."""
    try:
        yield from read_mitm(file, wanted=wanted, damaged=damaged)
    except UnreadableCapture as error:
        raise UnreadableCapture(f"it is no capture: {odd}; {_EXPECTED}") if odd else error from error


_SPACE = 4096
"""Bytes among which something other than white space is looked for."""

_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
"""UTF-32's little-endian one begins with UTF-16's."""
