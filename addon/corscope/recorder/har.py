"""Records the HARs that real tools write of the lab's scenarios: scripts/record_hars.

Chromium's and Firefox's developer tools and Playwright's `record_har` write them, each with its own code, while a real
browser runs a part of the lab's table. Beside each `NAME.har.xz` (or `NAME.zip`, as Playwright writes it)
`NAME.truth.jsonl.gz` tells what became of each request. What the tools wrote is kept to the byte.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gzip
import json
import lzma
import shutil
import sys
import tempfile
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from corscope.browsers import BrowserFailure, Kind, Marionette, find_browsers, launch, spki_fingerprint
from corscope.lab.steps import Outcome
from corscope.recorder.cdp import DebuggerFailure, Tab, connected
from corscope.recorder.record import (
    VISITS,
    Serving,
    lent_by_chromium,
    preferences_of,
    recorded,
    seen,
    served,
)
from corscope.recorder.score import RECORDINGS
from corscope.recorder.truth import Seen, Truth, truths

CAPTURES: Final = Path(__file__).parents[3] / "tests" / "captures"
TAGS: Final = (
    "check/origin/echo/true",
    "check/origin/star/",
    "check/origin/missing/missing",
    "check/origin/other/missing",
    "check/origin/null/missing",
    "check/origin/twice-same/missing",
    "check/credentials/missing/echo",
    "check/credentials/True/echo",
    "check/role/app/missing",
    "check/role/port/good",
    "check/role/third/no-credentials",
    "initiator/fetch/no-cors/missing",
    "initiator/xhr/cors/missing",
    "initiator/eventsource/cors/missing",
    "initiator/img/cors/good",
    "initiator/img/cors/missing",
    "initiator/img/no-cors/missing",
    "initiator/script/cors/good",
    "initiator/script/cors/missing",
    "initiator/script/no-cors/missing",
    "initiator/module/cors/missing",
    "initiator/style/cors/missing",
    "initiator/font/cors/",
    "initiator/video/cors/missing",
    "initiator/beacon/cors/missing",
    "initiator/form/navigate/missing",
    "context/worker/fetch/missing",
    "context/sandbox/fetch/missing",
    "context/cross/fetch/missing",
    "status/401/good",
    "status/404/",
    "status/500/missing",
    "method/PUT/exact",
    "method/PUT/missing",
    "method/DELETE/star",
    "method/PATCH/other",
    "header/x-custom/missing",
    "header/bearer/exact",
    "header/bearer/star",
    "preflight-status/204/",
    "preflight-status/301/good",
    "preflight-status/404/missing",
    "preflight-status/500/good",
    "preflight-then/missing",
    "preflight-check/origin/missing",
    "preflight-check/credentials/missing",
    "redirect/app-cross/good/",
    "redirect/cross-third/good/",
    "redirect/cross-cross/missing/good",
    "redirect-preflight/null/good",
    "redirect-user/u:p/good",
    "cookie/good/include-include",
    "cookie/missing/include-same-origin",
    "sequence/include-same-origin/star-uncredentialed",
    "retry/preflight/missing",
    "warm/put-delete/exact",
    "stored/default/good",
    "stored/304/good/missing",
)
"""The part of the table that is run: everything once, nothing in all its variants."""
ONLY_OF_FLOWS: Final = frozenset(("flow_id", "console", "signal", "reason_undecidable"))
"""What of a truth says nothing of a HAR's entry."""
SETTLING: Final = 2.0
"""Seconds between the page's end and the export, for what the tools are told late."""
EARLY: Final = 0.01
"""Seconds by which a request may be on the wire before the tools say that it began: Chromium's preflights are, by three
thousandths. A page's steps are further apart."""
SCRIPT_SECONDS: Final = 50
"""Within which Firefox has to write a HAR; its connection waits a little longer."""


class HarFailure(Exception):
    """A HAR can't be made; the message is one line."""


type Export = Callable[[Path, Serving, Path], Mapping[str, Path]]
"""Lets a browser (its executable) run a served table, and writes HARs into a folder: by what ends their names."""


# -- Chromium ----------------------------------------------------------------------------------------------------------

READY: Final = """(async () => {
  const {TargetManager} = await import("./core/sdk/sdk.js");
  return Boolean(TargetManager.TargetManager.instance().primaryPageTarget());
})()"""
"""Whether the developer tools listen to their page."""

WRITE: Final = """(async (sanitize) => {
  const [{Writer}, {NetworkPanel}, {Progress}] = await Promise.all([
    import("./models/har/har.js"), import("./panels/network/network.js"), import("./core/common/common.js")]);
  const view = NetworkPanel.NetworkPanel.instance().networkLogView;
  let written = "";
  const stream = {write: async (text) => { written += text; }};
  await Writer.Writer.write(stream, view.harRequests(), {sanitize}, new Progress.Progress());
  return written;
})"""
"""What “Export HAR” does, with a string for a file: NetworkLogView.exportAll."""


def export_with_chromium(executable: Path, web: Serving, into: Path) -> Mapping[str, Path]:
    """Writes what Chromium's developer tools export, as they do by default and with sensitive data."""
    with launch(
        "chromium",
        executable,
        "about:blank",
        proxy_port=web.port,
        ca_file=web.ca_file,
        headless=True,
        remote_debugging=True,
        preferences=preferences_of("chromium", web.visit),
    ) as browser:
        assert browser.debugger_url is not None
        sanitized, sensitive = asyncio.run(_through_devtools(browser.debugger_url, web))
    files = {"": into / "sanitized.har", "-sensitive": into / "sensitive.har"}
    files[""].write_text(sanitized, encoding="utf-8")
    files["-sensitive"].write_text(sensitive, encoding="utf-8")
    return files


async def _through_devtools(debugger_url: str, web: Serving) -> tuple[str, str]:
    async with connected(debugger_url) as debugger:
        target = await debugger.call("Target.createTarget", url="about:blank")
        page = await debugger.attach(target["targetId"])
        opened = await debugger.call("Target.openDevTools", targetId=target["targetId"], panelId="network")
        tools = await debugger.attach(opened["targetId"])
        await tools.wait_for("the developer tools", READY)
        # Hidden pages get slow timers and no media.
        await page.call("Page.bringToFront")
        await page.call("Page.navigate", url=web.address)
        while not web.done():
            await asyncio.sleep(0.5)
        await asyncio.sleep(SETTLING)
        return await _written(tools, sanitize=True), await _written(tools, sanitize=False)


async def _written(tools: Tab, *, sanitize: bool) -> str:
    text = await tools.evaluate(f"{WRITE}({json.dumps(sanitize)})")
    if not text:
        raise HarFailure("Chromium's developer tools have no HAR writer where it is looked for")
    return str(text)


# -- Firefox -----------------------------------------------------------------------------------------------------------

OPEN: Final = """
const [address, done] = arguments;
(async () => {
  const {require} = ChromeUtils.importESModule("resource://devtools/shared/loader/Loader.sys.mjs");
  const {gDevTools} = require("devtools/client/framework/devtools");
  const toolbox = await gDevTools.showToolboxForTab(gBrowser.selectedTab, {toolId: "netmonitor"});
  await toolbox.getNetMonitorAPI();
  gBrowser.selectedBrowser.fixupAndLoadURIString(address, {
    triggeringPrincipal: Services.scriptSecurityManager.getSystemPrincipal()});
})().then(() => done({}), (error) => done({error: String(error)}));
"""
"""Opens the network monitor, then the page."""

SAVE: Final = """
const [done] = arguments;
(async () => {
  const {require} = ChromeUtils.importESModule("resource://devtools/shared/loader/Loader.sys.mjs");
  const {gDevTools} = require("devtools/client/framework/devtools");
  const panel = gDevTools.getToolboxForTab(gBrowser.selectedTab).getPanel("netmonitor");
  const {store, connector, windowRequire} = panel.panelWin;
  const load = (name) => windowRequire("devtools/client/netmonitor/src/" + name);
  const {HarMenuUtils} = load("har/har-menu-utils");
  const {HarExporter} = load("har/har-exporter");
  const {getDisplayedRequests} = load("selectors/index");
  const requests = getDisplayedRequests(store.getState());
  return HarExporter.fetchHarData(HarMenuUtils.getDefaultHarOptions(requests, connector));
})().then((text) => done({text}), (error) => done({error: String(error)}));
"""
"""What “Save All As HAR” does before it asks for a file: HarMenuUtils.saveAllAsHar, HarExporter.save."""


def export_with_firefox(executable: Path, web: Serving, into: Path) -> Mapping[str, Path]:
    """Writes what Firefox's network monitor saves."""
    with (
        launch(
            "firefox",
            executable,
            "about:blank",
            proxy_port=web.port,
            ca_file=web.ca_file,
            headless=True,
            remote_debugging=True,
            preferences=preferences_of("firefox", web.visit),
        ) as browser,
        browser.marionette() as marionette,
    ):
        marionette.call("WebDriver:NewSession", {})
        marionette.call("WebDriver:SetTimeouts", {"script": SCRIPT_SECONDS * 1000})
        marionette.call("Marionette:SetContext", {"value": "chrome"})
        _run(marionette, OPEN, web.address)
        while not web.done():
            time.sleep(0.5)
        time.sleep(SETTLING)
        text = _run(marionette, SAVE)["text"]
    path = into / "firefox.har"
    path.write_text(text, encoding="utf-8")
    return {"": path}


def _run(marionette: Marionette, script: str, *arguments: str) -> dict[str, Any]:
    answer: Any = marionette.call("WebDriver:ExecuteAsyncScript", {"script": script, "args": arguments})
    value: dict[str, Any] = answer["value"]
    if "error" in value:
        raise HarFailure(f"Firefox's network monitor is not what it was: {value['error']}")
    return value


# -- Playwright --------------------------------------------------------------------------------------------------------


def export_with_playwright(
    executable: Path,
    web: Serving,
    into: Path,
    *,
    suffix: str = ".har",
    mode: Literal["full", "minimal"] = "full",
    content: Literal["attach", "embed", "omit"] = "embed",
) -> Mapping[str, Path]:
    """Writes what Playwright's `record_har` writes with the options given."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as fault:
        raise HarFailure("not installed here: pip install playwright") from fault

    path = into / f"playwright{suffix}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            # Chromium lets localhost go past a proxy unless it is told this.
            proxy={"server": f"http://127.0.0.1:{web.port}", "bypass": "<-loopback>"},
            args=[f"--ignore-certificate-errors-spki-list={spki_fingerprint(web.ca_file)}"],
        )
        context = browser.new_context(record_har_path=path, record_har_mode=mode, record_har_content=content)
        page = context.new_page()
        page.goto(web.address)
        while not web.done():
            page.wait_for_timeout(500)
        page.wait_for_timeout(1000 * SETTLING)
        context.close()
        browser.close()
    return {"": path}


# -- recording ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one tool is made to write HARs."""

    name: str
    kind: Kind
    """The browser that the tool drives."""
    export: Export
    webs: tuple[str, ...]


RECIPES: Final = (
    Recipe(name="chromium", kind="chromium", export=export_with_chromium, webs=("https", "localhost")),
    Recipe(name="firefox", kind="firefox", export=export_with_firefox, webs=("https", "localhost")),
    Recipe(name="playwright", kind="chromium", export=export_with_playwright, webs=("https", "localhost")),
    Recipe(
        name="playwright-minimal",
        kind="chromium",
        export=partial(export_with_playwright, mode="minimal", content="omit"),
        webs=("https",),
    ),
    Recipe(
        name="playwright-attached",
        kind="chromium",
        export=partial(export_with_playwright, suffix=".zip", content="attach"),
        webs=("https",),
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes the HARs that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="scripts/record_hars",
        description=__doc__.split("\n\n")[0],
        epilog="Playwright is wanted only for its own HARs: pip install playwright. It drives the installed Chromium.",
    )
    names = [recipe.name for recipe in RECIPES]
    parser.add_argument("--tool", choices=names, action="append", help="only this one")
    parser.add_argument("--web", choices=("https", "localhost"), action="append", help="only this one")
    parser.add_argument("--only", metavar="TAGS", default=",".join(TAGS), help="other scenarios than the usual ones")
    parser.add_argument("--into", metavar="FOLDER", type=Path, default=CAPTURES, help="where to write")
    said = parser.parse_args(arguments)
    if said.only != parser.get_default("only") and said.into == CAPTURES:
        parser.error("--only makes other recordings, which must not replace the kept ones: say --into FOLDER")
    browsers = find_browsers()
    for recipe in RECIPES:
        if said.tool and recipe.name not in said.tool:
            continue
        try:
            if recipe.kind not in browsers:
                raise HarFailure(f"{recipe.kind} is not installed")
            for web in recipe.webs:
                if not said.web or web in said.web:
                    _record(recipe, browsers[recipe.kind], web, said.only, said.into)
        except (HarFailure, DebuggerFailure, BrowserFailure, OSError) as fault:
            print(f"record_hars: {recipe.name}: {fault}", file=sys.stderr)
            return 1
    return 0


def _record(recipe: Recipe, executable: Path, web: str, only: str, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    visit = next(visit for visit in VISITS if visit.name == web)
    folder = Path(tempfile.mkdtemp(prefix="corscope-record-"))
    try:
        with served(visit, only, folder) as serving:
            written = recipe.export(executable, serving, folder)
        flows, outcomes = recorded(folder)
        requests = [seen(flow) for flow in flows]
        lines = truths(visit.web.name, requests, outcomes, lent=lent_by_chromium(RECORDINGS, visit))
        for suffix, path in written.items():
            _keep(path, into / f"{recipe.name}-{web}{suffix}", requests, lines, outcomes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep(
    har: Path,
    into: Path,
    requests: Sequence[Seen],
    lines: Iterable[Truth],
    outcomes: Mapping[tuple[str, int], Outcome],
) -> None:
    """Writes a HAR with its truth."""
    entries = entries_of(har)
    entry_of = dict(zip((request.flow_id for request in requests), places(requests, entries), strict=True))
    told = []
    for line in lines:
        ended = outcomes.get((line.scenario, line.step)) if line.step is not None else None
        kept_of_line = {key: value for key, value in dataclasses.asdict(line).items() if key not in ONLY_OF_FLOWS}
        page_saw = None if ended is None else {"ok": ended.ok, "detail": ended.detail}
        told.append({"entry": entry_of[line.flow_id], **kept_of_line, "page_saw": page_saw})
    if har.suffix == ".zip":
        kept = into.with_name(f"{into.name}.zip")
        shutil.copyfile(har, kept)
    else:
        kept = into.with_name(f"{into.name}.har.xz")
        kept.write_bytes(lzma.compress(har.read_bytes(), preset=9 | lzma.PRESET_EXTREME))
    said = "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in told)
    truth = into.with_name(f"{into.name}.truth.jsonl.gz")
    truth.write_bytes(gzip.compress(said.encode(), mtime=0))
    counts = Counter(str(line.verdict) for line in lines)
    print(
        f"{into.name}: {len(entries)} entries, {len(told)} with truth: {counts['allowed']} allowed,"
        f" {counts['blocked']} blocked, {counts['None']} stopped for other reasons;"
        f" {sum(one['entry'] is None for one in told)} in no entry;"
        f" {(kept.stat().st_size + truth.stat().st_size) / 1024:.0f} KB",
        flush=True,
    )


def entries_of(path: Path) -> list[dict[str, Any]]:
    """Returns the entries of a HAR, plain, or zipped as Playwright does."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            text = archive.read("har.har")
    else:
        text = path.read_bytes()
    entries: list[dict[str, Any]] = json.loads(text)["log"]["entries"]
    return entries


def places(requests: Sequence[Seen], entries: Sequence[Mapping[str, Any]]) -> list[int | None]:
    """Returns for each request on the wire the entry that tells of it; None where there is none.

    A browser's clock and the proxy's are the same, but a request may wait before it is sent: each has the latest entry
    for its method and URL that began before it.
    """
    free: dict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
    for number, entry in enumerate(entries):
        # What came from a cache was on no wire.
        if "_fromCache" not in entry:
            began = datetime.fromisoformat(entry["startedDateTime"]).timestamp()
            free[entry["request"]["method"], entry["request"]["url"]].append((began, number))
    found: list[int | None] = []
    for request in requests:
        candidates = free[request.method, request.url]
        before = [one for one in candidates if one[0] <= request.time + EARLY]
        best = max(before, default=None)
        if best is not None:
            candidates.remove(best)
        found.append(best[1] if best is not None else None)
    return found


if __name__ == "__main__":
    sys.exit(main())
