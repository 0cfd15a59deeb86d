"""Real browsers on a throw-away profile, through a real mitmdump."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tornado.websocket import websocket_connect

from corscope.browsers import BrowserFailure, Kind, find_browser, find_browsers, kind_of, launch
from corscope.recorder.cdp import hang_up
from proxies import Mitmdump, confdir

PAGE_ADDON = Path(__file__).parent / "page_addon.py"


@dataclass
class Proxy:
    """A mitmdump with `page_addon.py`."""

    port: int
    confdir: Path
    report_file: Path

    @property
    def ca_file(self) -> Path:
        return self.confdir / "mitmproxy-ca-cert.pem"

    def wait_for(self, *keys: str, seconds: float = 30) -> dict[str, object]:
        """Returns all reports merged, as soon as all keys were reported."""
        deadline = time.monotonic() + seconds
        merged: dict[str, object] = {}
        while time.monotonic() < deadline:
            if self.report_file.exists():
                for line in self.report_file.read_text(encoding="utf-8").splitlines(keepends=True):
                    if line.endswith("\n"):
                        merged.update(json.loads(line))
            if set(keys) <= merged.keys():
                return merged
            time.sleep(0.1)
        pytest.fail(f"not all of {keys} were reported within {seconds} s: {merged}")


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """A fresh mitmdump."""
    report_file = tmp_path / "reports"
    with Mitmdump("-s", str(PAGE_ADDON), addon=False, report_file=report_file) as mitmdump:
        yield Proxy(mitmdump.port, confdir(), report_file)


def processes_of(profile: Path) -> list[str]:
    """Returns the command lines of the processes that were started on a profile; always empty but on Linux."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(profile) in line:
            found.append(line)
    return found


def test_a_page_loads_without_warning_and_localhost_goes_through_the_proxy(proxy: Proxy, kind: Kind) -> None:
    with launch(
        kind,
        find_browsers()[kind],
        "https://page.test/",
        proxy_port=proxy.port,
        ca_file=proxy.ca_file,
        headless=True,
        preferences={"intl.accept_languages": "tlh"},  # both have one of this name
    ) as browser:
        reported = proxy.wait_for("loaded", "localhost", "127.0.0.1")
        profile = browser.profile
        assert profile.is_dir()
        assert processes_of(profile) or sys.platform != "linux"
        assert browser.process.poll() is None
    assert reported["secure"] is True
    assert reported["automated"] is False
    assert reported["languages"] == ["tlh"]
    assert (reported["localhost"], reported["127.0.0.1"]) == ("opaque", "opaque")
    assert "fault" not in reported
    assert browser.process.poll() is not None
    assert not profile.parent.exists()
    assert processes_of(profile) == []


def test_another_authority_is_not_trusted(proxy: Proxy, kind: Kind, tmp_path: Path) -> None:
    from mitmproxy.certs import CertStore

    CertStore.from_store(tmp_path / "other", "mitmproxy", 2048)
    with launch(
        kind,
        find_browsers()[kind],
        "https://page.test/",
        proxy_port=proxy.port,
        ca_file=tmp_path / "other" / "mitmproxy-ca-cert.pem",
        headless=True,
    ):
        reported = proxy.wait_for("distrusts")
    assert "loaded" not in reported


def test_chromium_can_be_debugged(proxy: Proxy, chromium: Path) -> None:
    async def ask(url: str) -> dict[str, object]:
        connection = await websocket_connect(url)
        await connection.write_message(json.dumps({"id": 1, "method": "Browser.getVersion"}))
        answer = await connection.read_message()
        await hang_up(connection)
        assert isinstance(answer, str)
        result: dict[str, object] = json.loads(answer)["result"]
        return result

    with launch(
        "chromium",
        chromium,
        "about:blank",
        proxy_port=proxy.port,
        ca_file=proxy.ca_file,
        headless=True,
        remote_debugging=True,
    ) as browser:
        assert browser.debugger_url
        assert browser.debugger_url.startswith("ws://127.0.0.1:")
        version = asyncio.run(ask(browser.debugger_url))
    assert "Chrom" in str(version["product"])


@pytest.fixture
def own_ca(tmp_path: Path) -> Path:
    """A certificate authority for launches that fail before any proxy is needed."""
    from mitmproxy.certs import CertStore

    CertStore.from_store(tmp_path / "confdir", "mitmproxy", 2048)
    return tmp_path / "confdir" / "mitmproxy-ca-cert.pem"


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where profiles are made, so that a test sees whether one was left behind."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_program_that_ends_at_once_is_named_and_leaves_nothing(own_ca: Path, temporary_folder: Path) -> None:
    with pytest.raises(BrowserFailure, match=r"ended at once, code \d+: Try "):
        launch(
            "chromium",
            Path(sys.executable),  # refuses a browser's options
            "about:blank",
            proxy_port=1,
            ca_file=own_ca,
            headless=True,
            remote_debugging=True,
        )
    assert list(temporary_folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["chromium", "firefox"])
def test_a_missing_program_is_one_line_and_leaves_nothing(
    kind: Kind, own_ca: Path, temporary_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(BrowserFailure) as caught:
        launch(kind, tmp_path / "nothing", "about:blank", proxy_port=1, ca_file=own_ca, headless=True)
    assert "nothing" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(temporary_folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["chromium", "firefox"])
@pytest.mark.parametrize(("content", "message"), [(None, "can't be read"), ("no certificate", "no certificate in PEM")])
def test_a_bad_certificate_file_is_named(
    kind: Kind, content: str | None, message: str, temporary_folder: Path, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    with pytest.raises(BrowserFailure, match=re.escape(str(ca_file))) as caught:
        launch(kind, Path(sys.executable), "about:blank", proxy_port=1, ca_file=ca_file, headless=True)
    assert message in str(caught.value)
    assert list(temporary_folder.iterdir()) == []


def test_contradicting_chromium_preferences_are_refused(own_ca: Path, temporary_folder: Path) -> None:
    with pytest.raises(BrowserFailure, match=r"a\.b\.c"):
        launch(
            "chromium",
            Path(sys.executable),
            "about:blank",
            proxy_port=1,
            ca_file=own_ca,
            headless=True,
            preferences={"a.b": 1, "a.b.c": 2},
        )
    assert list(temporary_folder.iterdir()) == []


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="browsers are looked for on PATH only on Linux")
@pytest.mark.parametrize(
    ("commands", "found"),
    [
        ([], {}),
        (["chromium"], {"chromium": "chromium"}),
        (["chromium-browser", "microsoft-edge"], {"chromium": "chromium-browser"}),
        (["chromium", "google-chrome", "firefox-esr"], {"chromium": "google-chrome", "firefox": "firefox-esr"}),
        (["firefox", "firefox-esr"], {"firefox": "firefox"}),
    ],
)
def test_browsers_are_found_on_the_path(
    commands: list[str], found: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in commands:
        (tmp_path / command).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_browsers() == {kind: tmp_path / command for kind, command in found.items()}


def test_an_unknown_name_is_an_error_not_a_missing_browser() -> None:
    with pytest.raises(ValueError, match="netscape"):
        find_browser("netscape")


@pytest.mark.parametrize(
    ("executable", "expected"),
    [
        ("firefox-esr", "firefox"),
        ("LibreWolf.exe", "firefox"),
        ("Google Chrome", "chromium"),
        ("msedge.exe", "chromium"),
    ],
)
def test_the_kind_of_a_program_is_told_by_its_name(executable: str, expected: Kind) -> None:
    assert kind_of(Path("/somewhere", executable)) == expected
