"""JSON files of any size, value by value: what is not asked for is passed over, and no more is held than one value."""

import codecs
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

CHUNK = 1 << 20
"""Bytes that are read at a time; more where a value needs more."""

READ_ERRORS = (EOFError, OSError, lzma.LZMAError, zipfile.BadZipFile, zlib.error)
"""How reading fails, of files that are packed too."""

LARGEST = 1 << 27
"""Characters that a value may have: what has more is taken for one whose end is lost."""

_TAIL = 10
"""Characters at the end of what was read that may be the beginning of something longer: `-Infinit`, `\\u12`."""

_NO_SPACE = re.compile(r"[^ \t\r\n]")
_STRUCTURE = re.compile(r'["\[\]{},]')
_STRING_END = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NEXT_OBJECT = re.compile(r",[ \t\r\n]*(?=\{)")
_DECODER = json.JSONDecoder(strict=False)
"""Control characters in strings are no JSON, but written by some all the same."""


class BrokenJson(Exception):
    """What stands in the file is no JSON; the message says why."""


class CutJson(Exception):
    """The file ends in the middle of something."""


class JsonStream:
    """The text of a JSON file, from which one value after the other is taken."""

    def __init__(self, file: BinaryIO) -> None:
        """`file` is read from where it stands, and need not be seekable. UTF-8, UTF-16 and UTF-32, with BOM or not."""
        self._read: Callable[[int], bytes] = getattr(file, "read1", file.read)
        """Reads what is there already, so that nothing is lost where the file can't be read to its end."""
        self._failure: Exception | None = None
        self._text = ""
        self._at = 0
        self._dropped = 0
        """Characters before those in `_text`."""
        self._usual = 0
        """Characters that a value may well have, by those that were taken."""
        self.size = 0
        """Bytes that were read."""
        self.began = 0
        """Where the value that was taken last begins, in characters from the beginning."""
        self.undecodable: int | None = None
        """The byte at which the first one stands that the file's encoding does not know; such bytes stay what they are,
        as surrogates (`errors="surrogateescape"`)."""
        start = b""
        while len(start) < 4 and (part := self._read(CHUNK)):
            start += part
        # By up to four bytes, of which a pipe may bring one at a time.
        self._encoding = json.detect_encoding(start)
        self._decoder = codecs.getincrementaldecoder(self._encoding)()
        self._take(start)

    @property
    def position(self) -> int:
        """Where it stands, in characters from the beginning."""
        return self._dropped + self._at

    @property
    def encoding(self) -> str:
        """The file's encoding, by its first bytes."""
        return self._encoding.removesuffix("-sig").upper()

    @property
    def held(self) -> int:
        """How many characters behind that were read already: at the end of the file, all that are left."""
        return len(self._text) - self._at

    def _take(self, data: bytes) -> None:
        """Decode what was read, and drop what has been passed."""
        try:
            text = self._decoder.decode(data)
        except UnicodeDecodeError as error:
            self.undecodable = self.size - len(self._decoder.getstate()[0]) + error.start
            self._decoder.errors = "surrogateescape" if self._encoding.startswith("utf-8") else "replace"
            text = self._decoder.decode(data)
        self.size += len(data)
        self._dropped += self._at
        self._text, self._at = self._text[self._at :] + text, 0

    def _more(self) -> bool:
        """Read on, at least as much as is held already; False at the end. Raises what is among READ_ERRORS."""
        if self._failure is not None:
            raise self._failure
        wanted, parts = max(CHUNK, self.held), list[bytes]()
        try:
            while wanted > 0 and (part := self._read(wanted)):
                parts.append(part)
                wanted -= len(part)
        except READ_ERRORS as error:
            self._failure = error
            if not parts:
                raise
        self._take(b"".join(parts))
        return bool(parts)

    def peek(self) -> str:
        """Return the next character that is no white space, empty at the end; it stays."""
        while (found := _NO_SPACE.search(self._text, self._at)) is None:
            self._at = len(self._text)
            if not self._more():
                return ""
        self._at = found.start()
        return found[0]

    def drop(self) -> None:
        """Pass over the character that `peek` returned."""
        self._at += 1

    def drop_all(self) -> None:
        """Pass over what was read already."""
        self._at = len(self._text)

    def drop_rest(self) -> None:
        """Pass over all that is left. Raises what is among READ_ERRORS."""
        self.drop_all()
        while self._more():
            self.drop_all()

    def value(self) -> Any:  # noqa: ANN401 - JSON is anything
        """Take the next value. Raises BrokenJson, and stays where it is, or CutJson at the end of the file."""
        self.peek()
        if len(self._text) - self._at < self._usual and self._failure is None:
            # To find out at the end of what was read that a value goes on costs more. A failure is of the values behind
            # what there is.
            with suppress(*READ_ERRORS):
                self._more()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                goes_on = error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _TAIL
                if not goes_on:
                    raise BrokenJson(f"{error.msg[:1].lower()}{error.msg[1:]}") from None
                if len(self._text) - self._at > LARGEST:
                    raise BrokenJson(f"its end is not in sight after {LARGEST} characters") from None
                if not self._more():
                    raise CutJson from None
            except ValueError:
                raise BrokenJson("it holds a number of too many digits") from None
            except RecursionError:
                raise BrokenJson("it is nested too deeply") from None
            else:
                # A number may go on in what was not read yet.
                if end == len(self._text) and type(value) in (int, float) and self._more():
                    continue
                self._usual = max(self._usual, min(end - self._at, CHUNK // 4))
                self.began, self._at = self.position, end
                return value

    def skip(self) -> None:
        """Pass over the next value without holding it. Raises CutJson."""
        self.peek()
        depth = 0
        while True:
            found = _STRUCTURE.search(self._text, self._at)
            if found is None:
                self._at = len(self._text)
                if not self._more():
                    raise CutJson
                continue
            character = found[0]
            if character == '"':
                self._at = found.end()
                self._skip_string()
            elif character in "[{":
                self._at = found.end()
                depth += 1
                continue
            elif character == ",":
                self._at = found.start() if depth == 0 else found.end()
            elif depth:
                self._at = found.end()
                depth -= 1
            else:
                # What closes here was opened outside.
                self._at = found.start()
                return
            if depth == 0:
                return

    def _skip_string(self) -> None:
        """Pass over the rest of a string."""
        while (found := _STRING_END.match(self._text, self._at)) is None:
            # What is left may end in the middle of an escape, which begins anew behind an even number of backslashes.
            backslashes = len(self._text) - len(self._text.rstrip("\\"))
            self._at = max(self._at, len(self._text) - backslashes % 2)
            if not self._more():
                raise CutJson
        self._at = found.end()

    def seek_object(self) -> None:
        """Pass over what is broken, to the next object behind a comma. Raises CutJson where there is none."""
        while (found := _NEXT_OBJECT.search(self._text, self._at)) is None:
            comma = self._text.rfind(",", self._at)
            rest_is_space = comma >= 0 and not self._text[comma + 1 :].strip(" \t\r\n")
            self._at = comma if rest_is_space else len(self._text)
            if not self._more():
                self.drop_all()
                raise CutJson
        self._at = found.end()
