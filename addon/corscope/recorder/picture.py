"""Makes the README's pictures: scripts/picture.

A real mitmweb with the addon serves a little shop; a real Chromium runs the shop's page through it. Then the same
Chromium opens mitmweb's own page, past the proxy, the HTML report on what mitmweb wrote down of it, or a page of
corscope's own, and the debugger takes its picture. Nothing on it is retouched; only the font is chosen, for the
machine's own may be a wide one.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from corscope.browsers import BrowserFailure, find_browsers, launch
from corscope.proxy import throwaway_confdir
from corscope.recorder.cdp import Debugger, DebuggerFailure, Tab, connected
from corscope.recorder.shop import ANSWERS, API, HOME

ROOT: Final = Path(__file__).parents[3]
PICTURES: Final = {what: ROOT / "docs" / f"{what}.png" for what in ("mitmweb", "report", "live", "playground")}
"""What there are pictures of, and where they belong."""
MITMWEB: Final = (sys.executable, "-u", "-c", "from mitmproxy.tools.main import mitmweb; mitmweb()")
"""Starts mitmweb wherever this Python keeps its programs."""

WIDTH: Final = 1400
HEIGHT: Final = 720
REPORT_HEIGHT: Final = 900
SCALE: Final = 1.25
"""Pixels of the picture for one of the page's, because readers on the web see it smaller than it is."""
FONTS: Final = "Helvetica Neue, Arial, Liberation Sans, sans-serif"
"""mitmweb's own list without the system's font, which may be so wide that columns are cut off."""
CHOOSE_FONT: Final = f"document.body.style.fontFamily = {json.dumps(FONTS)}"
TELLING: Final = f"{API}/api/cart"
"""The flow that is selected."""
CLOSED_PORT: Final = 9
LIMIT: Final = 30.0
"""Seconds that one step may take."""


class PictureFailure(Exception):
    """No picture can be made; the message is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A flow as mitmweb's list shows it."""

    method: str
    path: str
    """What mitmweb calls so: the whole URL."""
    mark: str
    status: str
    comment: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes the picture that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="scripts/picture",
        description="Makes the README's pictures, as a real Chromium shows them: of mitmweb with the addon, of the HTML"
        " report on what it recorded, of corscope's live page and of its playground.",
        epilog="Needs Chromium, Chrome or Edge, and a font with emoji for mitmweb's marks (on Debian and Ubuntu,"
        " fonts-noto-color-emoji).",
    )
    parser.add_argument("what", nargs="?", choices=list(PICTURES), default="mitmweb", help="of what (mitmweb)")
    parser.add_argument("--output", metavar="PATH", type=Path, help="where to write (docs/WHAT.png)")
    said = parser.parse_args(arguments)
    output = said.output or PICTURES[said.what]
    executable = find_browsers().get("chromium")
    if executable is None:
        print("picture: no Chromium was found: install Chromium, Chrome or Edge", file=sys.stderr)
        return 1
    try:
        make(executable, output, said.what)
    except (PictureFailure, DebuggerFailure, BrowserFailure, OSError) as fault:
        print(f"picture: {fault}", file=sys.stderr)
        return 1
    print(output)
    return 0


def make(executable: Path, output: Path, what: str = "mitmweb") -> list[Row]:
    """Writes a picture and returns the flows, or the report's stories, that are listed on it.

    Raises PictureFailure, DebuggerFailure, BrowserFailure or OSError.
    """
    folder = Path(tempfile.mkdtemp(prefix="corscope-picture-"))
    try:
        with (
            Mitmweb(folder) as mitmweb,
            launch(
                "chromium",
                executable,
                "about:blank",
                # Only the tabs below have a way out: what the browser asks for itself would be listed as well.
                proxy_port=CLOSED_PORT,
                ca_file=throwaway_confdir() / "mitmproxy-ca-cert.pem",
                headless=True,
                remote_debugging=True,
            ) as browser,
        ):
            assert browser.debugger_url is not None
            rows, png = asyncio.run(_photograph(browser.debugger_url, mitmweb, what))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(png)
    return rows


# -- mitmweb -----------------------------------------------------------------------------------------------------------


class Mitmweb:
    """A mitmweb with the addon that serves the shop. A context manager, which ends it."""

    def __init__(self, folder: Path) -> None:
        self._said = folder / "mitmweb.txt"
        self.recording = folder / "shop.mitm"
        """What it wrote down, whole once it has ended."""
        options = {
            "confdir": throwaway_confdir(),
            "connection_strategy": "lazy",
            "save_stream_file": self.recording,
            "web_open_browser": "false",
        }
        command = [*MITMWEB, "--listen-host", "127.0.0.1", "--listen-port", "0", "--web-port", str(_free_port())]
        for name, value in options.items():
            command += ["--set", f"{name}={value}"]
        command += ["-s", str(ROOT / "addon" / "cors_addon.py"), "-s", str(Path(__file__).with_name("shop.py"))]
        with self._said.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": str(ROOT / "addon")},
            )
        try:
            self.port = int(self._wait_for(r"proxy listening at 127\.0\.0\.1:(\d+)"))
            self.page = self._wait_for(r"Web server listening at (http://\S+)")
            """The address of mitmweb's own page, with the token that opens it."""
        except BaseException:
            self.end()
            raise

    def _wait_for(self, pattern: str) -> str:
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            said = self._said.read_text(encoding="utf-8", errors="replace")
            if found := re.search(pattern, said):
                return found[1]
            if self._process.poll() is not None:
                raise PictureFailure(f"mitmweb ended at once: {' '.join(said.split()[-40:])}")
            time.sleep(0.05)
        raise PictureFailure(f"mitmweb did not start within {LIMIT:.0f} s")

    def end(self) -> None:
        """Ends it, once or more often."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Mitmweb:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _free_port() -> int:
    """mitmweb can't be asked which port it took, so that one is looked for."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


# -- the picture -------------------------------------------------------------------------------------------------------

ROWS: Final = """[...document.querySelectorAll(".flow-table tbody tr:has(td)")].map((row) => {
  const text = (name) => row.querySelector(`.col-${name}`).textContent;
  const mark = row.querySelector(".marker").textContent;
  return {method: text("method"), path: text("path").slice(mark.length), mark, status: text("status"),
    comment: text("comment")};
})"""
"""The flows that the page lists. The mark stands in the column of the path, before it."""

STORIES: Final = """[...document.querySelectorAll(".stories tbody tr")].map((row) => {
  const text = (selector) => row.querySelector(selector).textContent;
  return {method: text("a b"), path: text("a .url"), mark: row.className, status: text(".col-status"),
    comment: text(".col-why")};
})"""
"""What the report lists; the verdict is the row's class."""

STORIES_SETTLED: Final = f"({STORIES}).length > 0 && ({STORIES}).every((row) => row.mark !== 'conditional')"
SETTLED: Final = f"""((rows) => rows.length === {len(ANSWERS)} && rows.every((row) => row.status && row.mark !== "❔"))(
    {ROWS})"""
CORS_VIEW: Final = """document.querySelector(".contentview h5")?.textContent === "CORS" &&
    document.querySelector(".contentview pre, .contentview .cm-content")?.textContent.startsWith("blocked")"""
QUIET: Final = """getComputedStyle(document.querySelector(".connection-indicator")).opacity === "0" &&
    !document.querySelector(".dropdown-menu.show")"""
"""Whether the sign that says “connected” has faded, and the menu is closed."""


async def _open_tab(debugger: Debugger, proxy: str) -> Tab:
    """Opens an empty tab that uses a proxy of its own."""
    context = await debugger.call("Target.createBrowserContext", proxyServer=proxy)
    target = await debugger.call("Target.createTarget", url="about:blank", browserContextId=context["browserContextId"])
    return await debugger.attach(target["targetId"])


async def _photograph(debugger_url: str, mitmweb: Mitmweb, what: str) -> tuple[list[Row], bytes]:
    proxy = f"http://127.0.0.1:{mitmweb.port}"
    look, way = {
        "mitmweb": (_look, "direct://"),
        "report": (_look_at_report, "direct://"),
        "live": (_look_at_live, proxy),
        "playground": (_look_at_playground, proxy),
    }[what]
    async with connected(debugger_url) as debugger:
        shop = await _open_tab(debugger, proxy)
        await shop.call("Page.navigate", url=HOME)
        await shop.wait_for("the end of the shop's page", "document.title === 'Shop: all is tried'")
        tab = await _open_tab(debugger, way)
        rows = await look(tab, mitmweb)
        taken = await tab.call("Page.captureScreenshot", format="png")
        return rows, base64.b64decode(taken["data"])


async def _open_page(tab: Tab, page: str, height: int) -> None:
    """Opens a page in a light window of that height."""
    metrics = {"width": WIDTH, "height": height, "deviceScaleFactor": SCALE, "mobile": False}
    await tab.call("Emulation.setDeviceMetricsOverride", **metrics)
    await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    await tab.call("Emulation.setScrollbarsHidden", hidden=True)
    await tab.call("Page.navigate", url=page)


async def _look(tab: Tab, mitmweb: Mitmweb) -> list[Row]:
    """Arranges mitmweb's page and returns its rows."""
    await _open_page(tab, mitmweb.page, HEIGHT)
    await tab.wait_for("the list of flows", SETTLED)
    await tab.evaluate(CHOOSE_FONT)
    await tab.click("the flow", "td.col-path", f"{re.escape(TELLING)}$")
    await tab.click("the response", ".flow-detail nav a", "^Response$")
    await tab.click("the choice of views", ".contentview .controls a", "^View:")
    await tab.click("the CORS view", ".dropdown-menu li a", "^cors$")
    await tab.wait_for("the verdict", CORS_VIEW)
    await tab.wait_for("the end of the page's changes", QUIET)
    return [Row(**row) for row in await tab.evaluate(ROWS)]


async def _look_at_report(tab: Tab, mitmweb: Mitmweb) -> list[Row]:
    """Checks what mitmweb wrote down, arranges the report's page and returns its rows."""
    mitmweb.end()
    report = mitmweb.recording.with_name("report.html")
    command = [sys.executable, "-m", "corscope.cli", "check", mitmweb.recording.name, "-o", report.name]
    done = subprocess.run(
        [*command, "--stack", "nginx"],
        cwd=report.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT / "addon")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 1:  # the shop has faults
        raise PictureFailure(f"the shop was not checked: {' '.join(done.stderr.split()[-40:])}")
    return await _look_at_stories(tab, report.as_uri())


async def _look_at_live(tab: Tab, _: Mitmweb) -> list[Row]:
    """Arranges the live page and returns its rows."""
    return await _look_at_stories(tab, "http://corscope.test/live")


async def _look_at_stories(tab: Tab, page: str) -> list[Row]:
    """Arranges a page that lists stories, and returns its rows."""
    await _open_page(tab, page, REPORT_HEIGHT)
    await tab.wait_for("the list of stories", STORIES_SETTLED)
    await tab.evaluate(CHOOSE_FONT)
    await tab.click("the story", ".stories tbody a", f"{re.escape(TELLING)}$")
    await tab.wait_for("the sequence", "document.querySelector('.sequence') !== null")
    return [Row(**row) for row in await tab.evaluate(STORIES)]


async def _look_at_playground(tab: Tab, _: Mitmweb) -> list[Row]:
    """Runs a preset in the playground and shows what became of it; returns no rows, for it lists none."""
    await _open_page(tab, "https://app.corscope.test/playground#preset=wildcard-with-credentials", REPORT_HEIGHT)
    await tab.wait_for("the playground", "document.querySelector('#run')?.disabled === false")
    await tab.evaluate(CHOOSE_FONT)
    await tab.click("the button", "#run", "^Run$")
    await tab.wait_for("the verdict", "document.querySelector('#runs .sequence') !== null")
    await tab.evaluate("document.querySelector('#results').scrollIntoView()")
    return []


if __name__ == "__main__":
    sys.exit(main())
