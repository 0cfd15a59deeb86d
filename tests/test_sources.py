"""Captures wherever people keep them: files, folders, globs, archives, pipes, and what is none."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from corscope.captures.capture import Damage, Entry, UnreadableCapture
from corscope.captures.sources import NoCapture, find_captures, read_capture
from proxies import ADDON, allowed_flow, blocked_flow, cors_flow, write_recording


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two exchanges in mitmproxy's format."""
    path = tmp_path_factory.mktemp("recording") / "two.mitm"
    return write_recording(path, [blocked_flow(), allowed_flow()]).read_bytes()


def read(path: Path | str) -> list[Entry]:
    damages: list[Damage] = []
    entries = list(read_capture(path, damaged=damages.append))
    assert damages == []
    return entries


def zipped(content: bytes, *names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("readme.txt", "beside it")
        for name in names:
            archive.writestr(name, content)
    return packed.getvalue()


def with_password() -> bytes:
    """A zip that says of its member that it is encrypted: bit 0 of the flags, in both places."""
    packed = bytearray(zipped(b"5:hello,", "a.mitm"))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.rindex(signature) + flags] |= 1
    return bytes(packed)


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zip": lambda content: zipped(content, "in/two.mitm"),
    "gzip in zip": lambda content: zipped(gzip.compress(content), "two.mitm.gz"),
}


@pytest.mark.parametrize("how", PACKED)
def test_a_capture_is_read_whatever_packs_it_and_whatever_its_name(how: str, recording: bytes, tmp_path: Path) -> None:
    path = tmp_path / "capture.bin"
    path.write_bytes(PACKED[how](recording))
    assert [entry.exchange.path for entry in read(path)] == ["/blocked", "/allowed"]


def test_all_captures_in_a_zip_are_read(recording: bytes, tmp_path: Path) -> None:
    path = tmp_path / "several.zip"
    path.write_bytes(zipped(recording, "a.mitm", "b.flow"))
    assert len(read(path)) == 4


def archive(*paths: str) -> bytes:
    """An HTTP Archive with a request for each path."""
    request = {"method": "GET", "headers": []}
    response = {"status": 200, "headers": []}
    entries = [{"request": {**request, "url": f"https://api.example{path}"}, "response": response} for path in paths]
    return json.dumps({"log": {"entries": entries}}).encode()


def test_archives_in_a_zip_are_told_apart(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as several:
        for name, content in (("a.har", archive("/1", "/2")), ("b.har", archive("/3"))):
            several.writestr(name, content)
    path = tmp_path / "several.zip"
    path.write_bytes(packed.getvalue())
    told = [(entry.exchange.id, entry.number, entry.exchange.path) for entry in read(path)]
    assert told == [("a.har:0", 0, "/1"), ("a.har:1", 1, "/2"), ("b.har:0", 2, "/3")]


def test_what_is_damaged_in_a_zip_does_not_end_the_others(recording: bytes, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as several:
        several.writestr("__MACOSX/._b.mitm", b"\0\5\x16\7")
        for name, content in (("a.har", b"foreign"), ("b.mitm", recording[:-9]), ("c.mitm", recording)):
            several.writestr(name, content)
    path = tmp_path / "several.zip"
    path.write_bytes(packed.getvalue())
    damages: list[Damage] = []
    paths = [entry.exchange.path for entry in read_capture(path, damaged=damages.append)]
    assert paths == ["/blocked", "/blocked", "/allowed"]
    assert [(damage.where.partition(",")[0], damage.skipped[:8]) for damage in damages] == [
        ("a.har", "all of i"),
        ("b.mitm", "the last"),
    ]


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        (b"PK\x01\x02", {42: b"\xff\xff\xff\x7f"}),  # where it begins, before the file by the sum
        (b"PK\x01\x02", {8: b"\1"}),  # a password
        (b"PK\x01\x02", {10: b"\x63"}),  # another compression
        (b"PK\x03\x04", {30: b"x"}),  # another name
        (b"PK\x03\x04", {35: b"\xff\xff\xff"}),  # the beginning of what is packed
    ],
)
@pytest.mark.parametrize("first", ["a.har", "b.har"])
def test_what_can_not_be_unpacked_of_a_zip_does_not_end_the_others(
    part: bytes, changes: dict[int, bytes], first: str, recording: bytes, tmp_path: Path
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as several:
        for name in ("a.har", "b.har"):
            several.writestr(name, recording)
    content = packed.getvalue()
    at = content.index(part) if first == "a.har" else content.rindex(part)
    for place, value in changes.items():
        content = content[: at + place] + value + content[at + place + len(value) :]
    path = tmp_path / "several.zip"
    path.write_bytes(content)
    damages: list[Damage] = []
    paths = [entry.exchange.path for entry in read_capture(path, damaged=damages.append)]
    assert paths == ["/blocked", "/allowed"]
    assert [(damage.where, damage.skipped) for damage in damages] == [(first, "all of it")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_an_archive_is_read_whatever_its_encoding(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "one.har"
    path.write_bytes(f"{chr(10) * 100}{archive('/1').decode()}".encode(encoding))
    assert [entry.exchange.path for entry in read(path)] == ["/1"]


@pytest.mark.parametrize("how", ["plain", "gzip", "zip"])
def test_standard_input_is_read(how: str, recording: bytes) -> None:
    program = (
        "from corscope.captures.sources import read_capture\n"
        "print(*(entry.exchange.path for entry in read_capture('-', damaged=print)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=PACKED[how](recording),
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ADDON.parent)},
    )
    assert done.stdout.split() == [b"/blocked", b"/allowed"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_read(recording: bytes, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[recording])
    writer.start()
    assert len(read(find_captures([str(pipe)])[0])) == 2
    writer.join()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"  \n", "it is empty"),
        (b"<!doctype html>", "it is no capture: it begins with b'<!do'"),
        (b"sid=s3cr3t-Zq7", "it is no capture: it begins with b'sid='"),
        (b" " * 5000 + b"{}", "it begins with 4,096 spaces"),
        (b"0:}", "nothing of it can be read: byte 0: a flow is damaged (TypeError)"),
        (b"5:hello,", "nothing of it can be read: byte 0: a flow is damaged (TypeError: it is no dictionary)"),
        (with_password(), "it can't be unpacked: File 'a.mitm' is encrypted"),
        (gzip.compress(b""), "it is empty"),
        (gzip.compress(b"5:hello,")[:12], "its compression is damaged"),
        (zipped(b"", "picture.png"), "there is no capture in this zip"),
        (b"PK\x03\x04 and then nonsense", "table of contents, at its end, can't be read"),
    ],
    # A zip holds the time at which it was made, which parallel processes do not share.
    ids=count(),
)
def test_what_is_no_capture_is_named_with_what_was_expected(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.har"
    path.write_bytes(content)
    with pytest.raises(UnreadableCapture, match=r"odd\.har: ") as raised:
        read(path)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_cut_archive_gives_what_is_there_and_one_damage(recording: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.mitm.gz"
    packed = gzip.compress(recording * 400 + b"200000:" + os.urandom(200_000))
    path.write_bytes(packed[: len(packed) - 150_000])
    damages: list[Damage] = []
    entries = list(read_capture(path, damaged=damages.append))
    assert len(entries) == 800
    assert [damage.what.partition(":")[0] for damage in damages] == ["its compression is damaged"]


class FailingDisk(io.RawIOBase):
    """A file of which only the beginning can be read."""

    def __init__(self, readable: bytes) -> None:
        self.left = io.BytesIO(readable)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        count = self.left.readinto(buffer)
        if not count:
            raise OSError(errno.EIO, "Input/output error")
        return count


def test_what_was_read_before_the_disk_failed_is_handed_on(recording: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk's own is told only when the rest has been."""
    disk = io.TextIOWrapper(io.BufferedReader(FailingDisk(recording * 200 + recording[:100])))
    monkeypatch.setattr(sys, "stdin", disk)
    entries: list[Entry] = []
    with pytest.raises(OSError, match="Input/output error"):
        entries.extend(read_capture("-", damaged=lambda damage: pytest.fail(str(damage))))
    assert len(entries) == 400


def test_folders_and_globs_are_searched(recording: bytes, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/2.mitm", "a/1.har.gz", "a/b/3.FLOW", "a/notes.txt", "x.har"):
        (tmp_path / name).write_bytes(recording)
    names = [str(tmp_path / name) for name in ("a/1.har.gz", "a/2.mitm", "a/b/3.FLOW")]
    assert find_captures([str(tmp_path / "a")]) == names
    assert find_captures([str(tmp_path / "**" / "*.mitm")]) == [names[1]]
    both = [str(tmp_path / "x.har"), names[1]]
    assert find_captures([both[0], str(tmp_path / "a" / "*.mitm"), both[1], both[0]]) == both
    # A folder that matches is searched, as where a shell writes out what matches.
    assert find_captures([str(tmp_path / "*")]) == [*names, both[0]]
    assert find_captures([str(tmp_path / "[a]")]) == names
    # Playwright calls an archive whatever.zip, which is like any other zip; macOS leaves things beside.
    for name, content in (("y.zip", zipped(recording, "har.har")), ("z.zip", zipped(recording)), ("._x.har", b"")):
        (tmp_path / "a" / "b" / name).write_bytes(content)
    assert find_captures([str(tmp_path / "a" / "b")]) == [names[2], str(tmp_path / "a" / "b" / "y.zip")]
    # What is named is read, whatever its name.
    assert find_captures([str(tmp_path / "a" / "notes.txt"), "-"]) == [str(tmp_path / "a" / "notes.txt"), "-"]


def test_a_name_with_brackets_is_a_name_first(recording: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run[1].mitm"
    path.write_bytes(recording)
    assert find_captures([str(path)]) == [str(path)]


@pytest.mark.parametrize(
    ("argument", "said"),
    [("nowhere.har", "there is no such file or folder"), ("*.nothing", "no file matches"), ("empty", "no capture in")],
)
def test_an_argument_that_leads_nowhere_is_named(argument: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoCapture) as raised:
        find_captures([str(tmp_path / argument)])
    assert str(raised.value).startswith(str(tmp_path / argument))
    assert said in str(raised.value)


def test_one_file_by_several_names_is_one_capture(
    recording: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.mitm").write_bytes(recording)
    (tmp_path / "link.mitm").symlink_to("a.mitm")
    monkeypatch.chdir(tmp_path)
    assert find_captures(["a.mitm", "./a.mitm", str(tmp_path / "a.mitm"), "link.mitm"]) == ["a.mitm"]


@pytest.mark.parametrize(
    "pattern", ["**/*.mitm", "**", "a/**/*.mitm", "a/**", "a/**/b/**/*.mitm", "a/**/b/*.mitm", "[a]/**/1.mitm"]
)
@pytest.mark.parametrize("absolute", [False, True])
def test_two_stars_do_not_follow_links_to_folders(
    pattern: str, absolute: bool, recording: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "1.mitm").write_bytes(recording)
    for number in range(3):
        # Followed, these would be three to the power of forty files.
        (inner / f"up{number}").symlink_to(tmp_path / "a")
        (tmp_path / "a" / f"down{number}").symlink_to(inner)
    hidden = tmp_path / "a" / ".hidden"
    hidden.mkdir()
    monkeypatch.chdir(tmp_path)
    where = tmp_path if absolute else Path()
    named = f"{tmp_path}/{pattern}" if absolute else pattern
    assert find_captures([named]) == [str(where / "a" / "b" / "1.mitm")]


def test_a_glob_matches_what_it_names_and_nothing_that_is_no_file(recording: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "flows").write_bytes(recording)
    (tmp_path / "dead.har").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.har")
    told: list[str] = []
    for pattern in ("**", "*/*", "a/**", "**/flows"):
        assert find_captures([f"{tmp_path}/{pattern}"], unreadable=told.append) == [str(tmp_path / "a" / "flows")]
    assert told == []


def test_a_folder_that_can_not_be_looked_into_is_told(recording: bytes, tmp_path: Path, closed_folder: Path) -> None:
    (tmp_path / "a.mitm").write_bytes(recording)
    told: list[str] = []
    assert find_captures([str(tmp_path)], unreadable=told.append) == [str(tmp_path / "a.mitm")]
    said = f"{closed_folder}: it can't be looked into: Permission denied"
    assert told == [said]
    find_captures([f"{tmp_path}/**/*.mitm"], unreadable=told.append)
    assert told == [said, said]
    with pytest.raises(NoCapture, match="can't be looked into"):
        find_captures([str(closed_folder)])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NoCapture, match="empty: there is no capture in this folder"):
        find_captures([str(tmp_path), str(empty)])


def odd_version(packed: bytearray) -> None:
    """Ask for a version of the format that is none."""
    packed[packed.rindex(b"PK\x01\x02") + 6] = 244


def odd_name(packed: bytearray) -> None:
    """Say of a name that it is UTF-8, bit 11 of the flags, which it is not."""
    begin = packed.rindex(b"PK\x01\x02")
    packed[begin + 9] |= 8
    packed[begin + 46] = 0xFF


def with_wrong_sums(packed: bytes) -> bytes:
    """Change the checksums in a zip's table of contents, 16 bytes behind where each entry begins."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        begins = archive.start_dir
    entries = packed[begins:].split(b"PK\x01\x02")
    return packed[:begins] + b"PK\x01\x02".join([entries[0], *(one[:12] + b"sums" + one[16:] for one in entries[1:])])


def test_of_a_zip_with_a_wrong_checksum_all_is_read_that_was_unpacked(recording: bytes, tmp_path: Path) -> None:
    said = ("its checksum is wrong", "nothing: all is read that could be unpacked")
    inner = zipped(recording, "c.mitm", "d.mitm")
    with zipfile.ZipFile(tmp_path / "two", "w") as archive:
        archive.writestr("a.mitm", recording)
        archive.writestr("b.mitm.zip", inner)
    for packed, exchanges, names in (
        (zipped(recording, "a.mitm"), 2, ["at its end"]),
        ((tmp_path / "two").read_bytes(), 6, ["a.mitm", "b.mitm.zip"]),
    ):
        path = tmp_path / "a.zip"
        path.write_bytes(with_wrong_sums(packed))
        damages: list[Damage] = []
        assert len(list(read_capture(path, damaged=damages.append))) == exchanges
        assert damages == [Damage(name, *said) for name in names]


@pytest.mark.parametrize("packed", [gzip.compress, lzma.compress])
def test_of_a_small_archive_what_is_before_the_damage_is_read(packed: Callable[[bytes], bytes], tmp_path: Path) -> None:
    flows = [cors_flow(f"https://api.example/{number}") for number in range(300)]
    content = bytearray(packed(write_recording(tmp_path / "whole", flows).read_bytes()))
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "damaged").write_bytes(content)
    damages: list[Damage] = []
    entries = list(read_capture(tmp_path / "damaged", damaged=damages.append))
    # What a byte decides differs with what else is there: it may be no more than a letter.
    assert len(entries) > 50
    assert damages != []


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_files_of_the_same_name_in_a_zip_are_all_read(recording: bytes, tmp_path: Path) -> None:
    other = write_recording(tmp_path / "other", [allowed_flow("https://api.example/other")]).read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.mitm", recording)
        archive.writestr("a.mitm", other)
    read_ = list(read_capture(tmp_path / "a.zip", damaged=lambda damage: pytest.fail(str(damage))))
    assert [entry.exchange.path for entry in read_][-1] == "/other"
    assert [entry.exchange.id.rpartition(":")[0] for entry in read_] == ["a.mitm", "a.mitm", "a.mitm (2)"]


@pytest.mark.parametrize("damage", [odd_version, odd_name])
def test_a_zip_that_python_does_not_know_is_one_line(
    damage: Callable[[bytearray], None], recording: bytes, tmp_path: Path
) -> None:
    packed = bytearray(zipped(recording, "a.mitm"))
    damage(packed)
    for name in ("a.mitm.zip", "b.zip"):
        (tmp_path / name).write_bytes(packed)
    with pytest.raises(UnreadableCapture, match="this zip's table of contents, at its end, can't be read"):
        read(tmp_path / "a.mitm.zip")
    (tmp_path / "c.mitm").write_bytes(recording)
    assert find_captures([str(tmp_path)]) == [str(tmp_path / name) for name in ("a.mitm.zip", "c.mitm")]
