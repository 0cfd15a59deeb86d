"""Records what the installed browsers do with the lab's scenarios: scripts/record_truth.

For each browser and web: a real mitmdump that serves the lab, a real browser on a throw-away profile, and in the end
`NAME.mitm.xz` (the flows, bodies emptied) and `NAME.truth.jsonl.gz` (what the browser did with each).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import gzip
import io
import json
import lzma
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mitmproxy import http
from mitmproxy.io import FlowReader, FlowWriter

from corscope.browsers import BrowserFailure, Kind, find_browsers, launch
from corscope.lab.answers import AGREEMENT_PATH, RESULTS_PATH, origins, selected
from corscope.lab.scenarios import HTTP, HTTPS, LOCALHOST, Web
from corscope.lab.steps import Outcome
from corscope.lab.web import request_origin
from corscope.proxy import MITMDUMP, throwaway_confdir
from corscope.recorder.cdp import Heard, listen
from corscope.recorder.score import RECORDINGS, truths_in
from corscope.recorder.truth import Seen, Truth, truths

LIMIT = 600.0
"""Seconds that one recording may take."""
RAW = "raw.mitm"
RESULTS = "results.jsonl"
"""The files in which mitmdump keeps the flows, and the page's reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One run of a table."""

    name: str
    web: Web
    cookies: bool
    """Whether every origin sets cookies first."""
    third_party_cookies: bool
    """Whether Chromium is told to allow them, as Chrome does by default and some distributions don't."""


VISITS = (
    Visit(name="https", web=HTTPS, cookies=True, third_party_cookies=True),
    Visit(name="https-nocookies", web=HTTPS, cookies=False, third_party_cookies=False),
    Visit(name="http", web=HTTP, cookies=True, third_party_cookies=True),
    Visit(name="localhost", web=LOCALHOST, cookies=True, third_party_cookies=True),
)

PREFERENCES: Mapping[Kind, Mapping[str, object]] = MappingProxyType(
    {
        # The http web is to stay http.
        "chromium": MappingProxyType({"https_first_balanced_mode_enabled": False}),
        "firefox": MappingProxyType({"dom.security.https_first": False}),
    }
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes the recordings that the command line asks for."""
    parser = argparse.ArgumentParser(prog="scripts/record_truth", description=__doc__.split("\n\n")[0])
    add_choices(parser)
    parser.add_argument("--into", metavar="FOLDER", type=Path, default=RECORDINGS, help="where to write")
    parser.add_argument("--keep", action="store_true", help="keep the raw files, and say where")
    said = parser.parse_args(arguments)
    if said.only and said.into == parser.get_default("into"):
        parser.error("--only makes partial recordings, which must not replace the kept ones: say --into FOLDER")
    return go_through(
        "record_truth",
        said,
        lambda kind, executable, visit: _record(kind, executable, visit, said.only, said.into, said.keep),
    )


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Lets a command line choose browsers, webs and scenarios."""
    parser.add_argument("--browser", choices=("chromium", "firefox"), action="append", help="only this one")
    parser.add_argument("--web", choices=[visit.name for visit in VISITS], action="append", help="only this one")
    parser.add_argument(
        "--only",
        metavar="TAG",
        default="",
        help="only scenarios whose tag starts with TAG (or with one of several, parted by commas); random/SEED/COUNT"
        " are as many that chance draws, the same ones for the same seed",
    )


def go_through(name: str, said: argparse.Namespace, act: Callable[[Kind, Path, Visit], None]) -> int:
    """Acts for each chosen web in each chosen browser; returns the exit code: 1 where one fails, 2 for no scenario."""
    if not selected(HTTPS, said.only, draw=True):
        reason = "no scenario has a tag that starts so, and random/SEED/COUNT it is not"
        print(f"{name}: --only {said.only}: {reason}", file=sys.stderr)
        return 2
    found = find_browsers()
    kinds: list[Kind] = [kind for kind in ("chromium", "firefox") if not said.browser or kind in said.browser]
    if missing := [kind for kind in kinds if kind not in found]:
        print(f"{name}: not installed: {', '.join(missing)}", file=sys.stderr)
        return 1
    for visit in VISITS:
        if said.web and visit.name not in said.web:
            continue
        for kind in kinds:
            try:
                act(kind, found[kind], visit)
            except (BrowserFailure, OSError, TimeoutError) as fault:
                print(f"{name}: {kind} {visit.name}: {fault}", file=sys.stderr)
                return 1
    return 0


def _record(kind: Kind, executable: Path, visit: Visit, only: str, into: Path, keep: bool) -> None:
    into.mkdir(parents=True, exist_ok=True)
    name = f"{kind}-{visit.name}"
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="corscope-record-"))
    try:
        heard = drive(kind, executable, visit, only, folder)
        took = time.monotonic() - began
        flows, outcomes = recorded(folder)
        lent = () if heard else lent_by_chromium(into, visit)
        lines = truths(
            visit.web.name,
            [seen(flow) for flow in flows],
            outcomes,
            heard.endings if heard else None,
            heard.sentences if heard else (),
            lent,
        )
        size = _write(into / name, flows, lines)
        _tell(f"{name} ({_product(flows)})", took, len(flows), outcomes, lines, size)
    finally:
        if keep:
            print(f"{name}: raw files in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A web of the lab that a running mitmdump serves."""

    visit: Visit
    port: int
    """The proxy's."""
    ca_file: Path
    address: str
    """What opens the page that runs the table."""
    results: Path
    """Where the page's reports are kept."""
    deadline: float
    """When the page must be done, by the monotonic clock."""

    def done(self) -> bool:
        """Tells whether the page has run its table. Raises TimeoutError when that takes too long."""
        if time.monotonic() > self.deadline:
            raise TimeoutError(f"the page was not done after {LIMIT:.0f} s")
        return any(report["done"] for report in _reports(self.results))


@contextlib.contextmanager
def served(visit: Visit, only: str, folder: Path, *, proxy_arguments: Sequence[str] = ()) -> Iterator[Serving]:
    """Serves a visit's web through mitmdump; the flows and the page's reports are files in the folder afterwards."""
    port = _free_port()
    address = f"{visit.web.page}/?run={time.time_ns() // 1_000_000:x}&only={only}"
    if visit.cookies:
        address += "&cookies=1"
    proxy = _start_proxy(port, folder, proxy_arguments)
    try:
        yield Serving(
            visit=visit,
            port=port,
            ca_file=throwaway_confdir() / "mitmproxy-ca-cert.pem",
            address=address,
            results=folder / RESULTS,
            deadline=time.monotonic() + LIMIT,
        )
    finally:
        proxy.terminate()
        proxy.wait(30)


def preferences_of(kind: Kind, visit: Visit) -> dict[str, object]:
    """Returns the preferences that a browser needs for a visit."""
    preferences = dict(PREFERENCES[kind])
    if kind == "chromium" and visit.third_party_cookies:
        preferences["profile.cookie_controls_mode"] = 0
    return preferences


def drive(
    kind: Kind, executable: Path, visit: Visit, only: str, folder: Path, *, proxy_arguments: Sequence[str] = ()
) -> Heard | None:
    """Lets a browser run a table through mitmdump; the flows and the page's reports are files afterwards."""
    with (
        served(visit, only, folder, proxy_arguments=proxy_arguments) as web,
        launch(
            kind,
            executable,
            "about:blank" if kind == "chromium" else web.address,
            proxy_port=web.port,
            ca_file=web.ca_file,
            headless=True,
            remote_debugging=kind == "chromium",
            preferences=preferences_of(kind, visit),
        ) as browser,
    ):
        if kind == "chromium":
            assert browser.debugger_url is not None
            return asyncio.run(listen(browser.debugger_url, web.address, web.done))
        while not web.done():
            time.sleep(0.5)
        return None


def _start_proxy(port: int, folder: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    package = Path(__file__).parent.parent.parent
    command = [
        *MITMDUMP,
        *("-q", "--listen-host", "127.0.0.1", "--listen-port", str(port)),
        *("--set", f"confdir={throwaway_confdir()}", "--set", "connection_strategy=lazy"),
        *("--set", f"cors_lab_results={folder / 'results.jsonl'}"),
        *("-s", str(Path(__file__).with_name("serve.py")), "-w", str(folder / RAW)),
        *arguments,
    ]
    proxy = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(package)})
    for _ in range(200):
        if proxy.poll() is not None:
            raise OSError(f"mitmdump ended at once, code {proxy.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return proxy
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise TimeoutError("mitmdump does not listen")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def recorded(folder: Path) -> tuple[list[http.HTTPFlow], dict[tuple[str, int], Outcome]]:
    """Returns what a served web left in its folder: the slimmed flows, and how each step of each scenario ended."""
    flows = list(_lab_flows(folder / RAW))
    _slim(flows)
    outcomes = {
        step: Outcome(ok=result["ok"], detail=result["detail"], start=result["start"] / 1000, end=result["end"] / 1000)
        for step, result in results_in(folder / RESULTS).items()
    }
    return flows, outcomes


def results_in(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """What the lab's page said of each step of each scenario."""
    return {(result["id"], result["step"]): result for report in _reports(path) for result in report["results"]}


def _reports(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def _lab_flows(path: Path) -> Iterator[http.HTTPFlow]:
    """The lab's flows in the order of their requests, without bodies and without the page's own reports."""
    flows = []
    with path.open("rb") as file:
        for flow in FlowReader(file).stream():
            if not isinstance(flow, http.HTTPFlow) or flow.response is None:
                continue
            if request_origin(flow.request) in origins() and flow.request.path not in (RESULTS_PATH, AGREEMENT_PATH):
                flows.append(flow)
    flows.sort(key=lambda flow: flow.request.timestamp_start)
    yield from flows


def _slim(flows: Iterable[http.HTTPFlow]) -> None:
    """Takes from flows what weighs much and says nothing: answers' bodies, the proxy's certificates, chance."""
    for number, flow in enumerate(flows):
        assert flow.response is not None
        flow.response.data.content = b""
        flow.client_conn.mitmcert = None
        # No server was connected to; and random identifiers are most of what can't be compressed.
        flow.id = f"00000000-0000-4000-8000-{number:012x}"
        flow.server_conn.id = f"00000000-0000-4000-9000-{number:012x}"
        flow.server_conn.certificate_list = ()
        for message in (flow.request, flow.response):
            message.timestamp_start = round(message.timestamp_start, 4)
            message.timestamp_end = round(message.timestamp_end or message.timestamp_start, 4)
        flow.timestamp_created = round(flow.timestamp_created, 4)


def seen(flow: http.HTTPFlow) -> Seen:
    """Returns what the truth needs of a flow with a response."""
    assert flow.response is not None
    return Seen(
        flow_id=flow.id,
        time=flow.request.timestamp_start,
        method=flow.request.data.method.decode("ascii", "replace"),
        origin=request_origin(flow.request),
        path=flow.request.path,
        request=_lines(flow.request.headers.fields),
        body=flow.request.raw_content or b"",
        status=flow.response.status_code,
        response=_lines(flow.response.headers.fields),
    )


def _lines(fields: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)


def lent_by_chromium(folder: Path, visit: Visit) -> list[Truth]:
    """Returns the truth of Chromium's recording of a visit in a folder; empty if it is not there."""
    path = folder / f"chromium-{visit.name}.truth.jsonl.gz"
    return [Truth(**line) for line in truths_in(path)] if path.exists() else []


def _write(path: Path, flows: Iterable[http.HTTPFlow], lines: Iterable[Truth]) -> int:
    """Writes both files and returns their size."""
    raw = io.BytesIO()
    writer = FlowWriter(raw)
    for flow in flows:
        flow.request.data.content = b""
        writer.add(flow)
    recording = path.with_name(path.name + ".mitm.xz")
    recording.write_bytes(lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME))
    said = "".join(json.dumps(dataclasses.asdict(line), separators=(",", ":")) + "\n" for line in lines)
    truth = path.with_name(path.name + ".truth.jsonl.gz")
    truth.write_bytes(gzip.compress(said.encode(), mtime=0))
    return recording.stat().st_size + truth.stat().st_size


def _product(flows: Sequence[http.HTTPFlow]) -> str:
    """The browser's name and major version, from its User-Agent."""
    agent = flows[0].request.headers.get("user-agent", "") if flows else ""
    return (re.search(r"(?:Chrome|Firefox)/\d+", agent) or re.match(r"[^ ]*", agent) or [""])[0]


def _tell(
    name: str,
    took: float,
    flows: int,
    outcomes: Mapping[tuple[str, int], Outcome],
    lines: Sequence[Truth],
    size: int,
) -> None:
    verdicts = Counter(str(line.verdict) for line in lines)
    late = sum(outcome.detail == "timeout" for outcome in outcomes.values())
    reasonless = sum(line.verdict == "blocked" and line.reason is None for line in lines)
    print(
        f"{name}: {len(outcomes)} steps in {took:.0f} s, {late} timed out; {flows} flows, {len(lines)} with truth:"
        f" {verdicts['allowed']} allowed, {verdicts['blocked']} blocked ({reasonless} without a reason),"
        f" {verdicts['None']} stopped for other reasons; {sum(line.cors for line in lines)} subject to CORS,"
        f" {sum(line.undecidable for line in lines)} undecidable; {size / 1024:.0f} KB",
        flush=True,
    )
    others = Counter((place_of_tag(line), line.net or "") for line in lines if line.verdict is None)
    for (tag, net), count in others.most_common(12):
        print(f"    no truth: {count} × {tag}: {net}")


def place_of_tag(line: Truth) -> str:
    """The first two parts of a line's tag."""
    return "/".join(line.tag.split("/")[:2])


if __name__ == "__main__":
    sys.exit(main())
