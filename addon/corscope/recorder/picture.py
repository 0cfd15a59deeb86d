"""Makes the README's picture: scripts/picture.

A real mitmweb with the addon serves a little shop; a real Chromium runs the shop's page through it. Then the same
Chromium opens mitmweb's own page, past the proxy, and the debugger takes its picture. Nothing on it is retouched; only
the font is chosen, for the machine's own may be a wide one.
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
from corscope.recorder.cdp import Debugger, DebuggerFailure, Tab, connected
from corscope.recorder.shop import ANSWERS, API, HOME

ROOT: Final = Path(__file__).parents[3]
PICTURE: Final = ROOT / "docs" / "mitmweb.png"
MITMWEB: Final = (sys.executable, "-c", "from mitmproxy.tools.main import mitmweb; mitmweb()")
"""Starts mitmweb wherever this Python keeps its programs."""

WIDTH: Final = 1400
HEIGHT: Final = 720
SCALE: Final = 1.25
"""Pixels of the picture for one of the page's, because readers on the web see it smaller than it is."""
FONTS: Final = "Helvetica Neue, Arial, Liberation Sans, sans-serif"
"""mitmweb's own list without the system's font, which may be so wide that columns are cut off."""
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
        description="Makes the README's picture: a real mitmweb with the addon, as a real Chromium shows it.",
        epilog="Needs Chromium, Chrome or Edge, and a font with emoji for mitmweb's marks (on Debian and Ubuntu,"
        " fonts-noto-color-emoji).",
    )
    parser.add_argument(
        "--output", metavar="PATH", type=Path, default=PICTURE, help="where to write (docs/mitmweb.png)"
    )
    said = parser.parse_args(arguments)
    executable = find_browsers().get("chromium")
    if executable is None:
        print("picture: no Chromium was found: install Chromium, Chrome or Edge", file=sys.stderr)
        return 1
    try:
        make(executable, said.output)
    except (PictureFailure, DebuggerFailure, BrowserFailure, OSError) as fault:
        print(f"picture: {fault}", file=sys.stderr)
        return 1
    print(said.output)
    return 0


def make(executable: Path, output: Path) -> list[Row]:
    """Writes the picture and returns the flows that are listed on it.

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
                ca_file=folder / "ca" / "mitmproxy-ca-cert.pem",
                headless=True,
                remote_debugging=True,
            ) as browser,
        ):
            assert browser.debugger_url is not None
            rows, png = asyncio.run(_photograph(browser.debugger_url, mitmweb))
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
        options = {"confdir": folder / "ca", "connection_strategy": "lazy", "web_open_browser": "false"}
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
                env={**os.environ, "PYTHONPATH": str(ROOT / "addon"), "PYTHONUNBUFFERED": "1"},
            )
        try:
            self.port = int(self._wait_for(r"proxy listening at 127\.0\.0\.1:(\d+)"))
            self.page = self._wait_for(r"Web server listening at (http://\S+)")
            """The address of mitmweb's own page, with the token that opens it."""
        except BaseException:
            self._end()
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

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Mitmweb:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()


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


async def _photograph(debugger_url: str, mitmweb: Mitmweb) -> tuple[list[Row], bytes]:
    async with connected(debugger_url) as debugger:
        shop = await _open_tab(debugger, f"http://127.0.0.1:{mitmweb.port}")
        await shop.call("Page.navigate", url=HOME)
        await shop.wait_for("the end of the shop's page", "document.title === 'Shop: all is tried'")
        return await _look(await _open_tab(debugger, "direct://"), mitmweb.page)


async def _look(tab: Tab, page: str) -> tuple[list[Row], bytes]:
    metrics = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": SCALE, "mobile": False}
    await tab.call("Emulation.setDeviceMetricsOverride", **metrics)
    await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    await tab.call("Emulation.setScrollbarsHidden", hidden=True)
    await tab.call("Page.navigate", url=page)
    await tab.wait_for("the list of flows", SETTLED)
    await tab.evaluate(f"document.body.style.fontFamily = {json.dumps(FONTS)}")
    await tab.click("the flow", "td.col-path", f"{re.escape(TELLING)}$")
    await tab.click("the response", ".flow-detail nav a", "^Response$")
    await tab.click("the choice of views", ".contentview .controls a", "^View:")
    await tab.click("the CORS view", ".dropdown-menu li a", "^cors$")
    await tab.wait_for("the verdict", CORS_VIEW)
    await tab.wait_for("the end of the page's changes", QUIET)
    rows = [Row(**row) for row in await tab.evaluate(ROWS)]
    taken = await tab.call("Page.captureScreenshot", format="png")
    return rows, base64.b64decode(taken["data"])


if __name__ == "__main__":
    sys.exit(main())
