"""Tnetstrings in a file, https://tnetstrings.info: values taken out or passed over by the lengths that precede them.

Knows nothing of what they mean. A file on a disk is mapped into memory, so that of bodies which are passed over most is
never brought in; what comes through a pipe or is unpacked is read, a block at a time.
"""

import mmap
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    import io

DIGITS = 12
"""Digits of a length at most, as in mitmproxy/io/tnetstring.py."""

_LENGTH = re.compile(rb"([0-9]{1,%d}):" % DIGITS)

_CHUNK = 1 << 20
"""Bytes of a file that are read at once."""

WINDOW = 1 << 24
"""Bytes of a file that are mapped at once: mapping costs little, and each page of it that was looked at counts as the
process's memory until then."""

type Data = bytes | memoryview
"""A value as it is written, with the character behind it that tells its type; where it is a view, it holds only until
more is read."""


class Reading(ABC):
    """A file that is read forwards only; mostly many values are at hand."""

    _block: bytearray | bytes | mmap.mmap
    """What is at hand of the file."""
    _view: memoryview
    _before: int
    """Bytes of the file before the block."""
    _at: int
    """Where in the block the reading is, and where what is at hand ends."""
    _end: int
    began: int = 0
    """Where the value begins that `ready` read, or did not read: bytes of the file before it."""
    at_end: bool = False

    @abstractmethod
    def _read_on(self) -> bool:
        """Bring more of the file to hand, behind what is left at hand; False where the file has ended."""

    @abstractmethod
    def take(self, length: int) -> Data | None:
        """Read a value of known length; None, and nothing read, where the file ends before."""

    @abstractmethod
    def _skip(self, length: int) -> None:
        """Pass over so many bytes, or to the end of the file."""

    @property
    def position(self) -> int:
        """Bytes of the file that were read."""
        return self._before + self._at

    def ready(self) -> Data | None:
        """Read a value of which all is at hand, with its length; None, and nothing read, where that is not so.

        Nothing that `length` and `take` could not do: this is how most values are read.
        """
        at = self._at
        self.began = self._before + at
        found = _LENGTH.match(self._block, at, self._end)
        if found is None:
            return None
        begins = found.end()
        stops = begins + int(found[1]) + 1
        if stops > self._end:
            return None
        self._at = stops
        return self._view[begins:stops]

    def length(self) -> int | None:
        """Read the length before a value; None, and nothing read, where there is none."""
        while self._end - self._at <= DIGITS and self._read_on():
            pass
        found = _LENGTH.match(self._block, self._at, self._end)
        if found is not None:
            self._at = found.end()
            return int(found[1])
        self.at_end = self._at == self._end
        return None

    def take_without(self, length: int, most: int, inside: Collection[bytes], depth: int = 0) -> Data | None:
        """Read a dictionary as `take` does, with null in the place of values of more than `most` bytes.

        Of those under the keys `inside`, which end as tnetstrings do, only what is in them is replaced.
        """
        end, kept, key = self.position + length, bytearray(), b""
        while self.position < end:
            for is_key in (True, False):
                count = self.length()
                if count is None or self.position + count >= end:
                    return None
                if is_key:
                    data = self.take(count)
                    key = bytes(data or b"")
                elif count <= most:
                    data = self.take(count)
                elif depth == 0 and key in inside:
                    data = self.take_without(count, most, inside, 1)
                else:
                    self._skip(count + 1)
                    data = b"~"
                if data is None:
                    return None
                kept += b"%d:" % (len(data) - 1)
                kept += data
        ending = self.take(0)
        return bytes(kept) + ending if ending is not None else None

    @property
    def has_more(self) -> bool:
        """Whether `find` has found something."""
        return self._at < self._end

    def find(self, beginning: re.Pattern[bytes], since: int) -> int:
        """Go on to what begins so, within 64 bytes, or to the end; return how many bytes were passed over since then.

        `since` is a `position`.
        """
        while (found := beginning.search(self._block, self._at, self._end)) is None:
            # It may be cut in two.
            self._at = max(self._at, self._end - 64)
            if not self._read_on():
                self._at = self._end
                break
        else:
            self._at = found.start()
        return self.position - since


class Streamed(Reading):
    """What can only be read one byte after the other."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = cast("io.BufferedReader", file)
        self._block = self._buffer = bytearray(_CHUNK)
        self._view = memoryview(self._buffer)
        self._before = self._at = self._end = 0

    def _read_on(self) -> bool:
        left = self._buffer[self._at : self._end]
        self._buffer[: len(left)] = left
        self._before += self._at
        self._at, self._end = 0, len(left)
        count = self._file.readinto1(self._view[self._end :])
        self._end += count
        return count > 0

    def take(self, length: int) -> Data | None:
        stops = self._at + length + 1
        if stops <= self._end:
            data = self._view[self._at : stops]
            self._at = stops
            return data
        begun = bytes(self._view[self._at : self._end])
        rest = self._file.read(stops - self._end)
        if len(begun) + len(rest) == length + 1:
            self._at = self._end
            self._before += len(rest)
            return begun + rest
        # There may be values in it, where it is the length that is wrong.
        self._before += self._at
        self._block = self._buffer = bytearray(begun + rest)
        self._at, self._end = 0, len(self._buffer)
        self._buffer.extend(bytes(_CHUNK))
        self._view = memoryview(self._buffer)
        return None

    def _skip(self, length: int) -> None:
        ready = min(length, self._end - self._at)
        self._at += ready
        length -= ready
        while length > 0 and (data := self._file.read(min(length, _CHUNK))):
            self._before += len(data)
            length -= len(data)


class Mapped(Reading):
    """A file on a disk, a window at a time.

    Nothing is locked: a file that somebody cuts short at that very moment ends the process, as it does with all who map
    files. That it grows does no harm.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Raises OSError or ValueError where `file` can't be mapped."""
        self._file = file
        self._offset = file.tell()
        """Where the reading began: bytes of the file that are none of its own."""
        self._before = self._at = self._end = 0
        self._map(0)

    def _map(self, least: int) -> None:
        """Bring the window to where the reading is, with so many bytes behind that at least, if there are as many."""
        there = self._offset + self.position
        begins = there - there % mmap.ALLOCATIONGRANULARITY
        size = os.fstat(self._file.fileno()).st_size
        count = min(max(WINDOW, there - begins + least), size - begins)
        if count > 0:
            self._block = mmap.mmap(self._file.fileno(), count, access=mmap.ACCESS_READ, offset=begins)
            self._before, self._at, self._end = begins - self._offset, there - begins, count
        else:
            self._block = b""
            self._before, self._at, self._end = self.position, 0, 0
        self._view = memoryview(self._block)
        # For who asks the file how far it has been read.
        self._file.seek(there)

    def _read_on(self) -> bool:
        known = self._before + self._end
        self._map(self._end - self._at + 1)
        return self._before + self._end > known

    def take(self, length: int) -> Data | None:
        if self._at + length + 1 > self._end:
            self._map(length + 1)
        stops = self._at + length + 1
        if stops > self._end:
            return None
        data = self._view[self._at : stops]
        self._at = stops
        return data

    def _skip(self, length: int) -> None:
        self._at = min(self._at + length, os.fstat(self._file.fileno()).st_size - self._offset - self._before)


def reading_of(file: BinaryIO) -> Reading:
    """Begin to read a file at its present position."""
    try:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return Mapped(file)
    except (OSError, ValueError):
        # What is unpacked has no descriptor, and not every file system can map.
        pass
    return Streamed(file)
