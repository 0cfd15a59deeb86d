"""Recording HARs with the installed browsers, on a small part of the table."""

from __future__ import annotations

import lzma
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from corscope.recorder import har
from corscope.recorder.record import VISITS, Serving
from corscope.recorder.score import truths_in
from corscope.recorder.truth import Seen

ONLY = "preflight-check/origin/missing,check/origin/null/missing"


def request(method: str, url: str, time: float) -> Seen:
    """A request of the lab on the wire."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    return Seen(
        flow_id=f"{method} {url} {time}",
        time=time,
        method=method,
        origin=f"{scheme}://{host}",
        path=f"/{path}",
        request=(),
        body=b"",
        status=200,
        response=(),
    )


def entry(method: str, url: str, time: float, **more: str) -> Mapping[str, object]:
    """What a HAR says of a request."""
    began = datetime.fromtimestamp(time, UTC).isoformat()
    return {"startedDateTime": began, "request": {"method": method, "url": url}, **more}


URL = "https://a.example/1"


def test_a_request_belongs_to_the_latest_entry_that_began_before_it() -> None:
    entries = [entry("PUT", URL, 10), entry("OPTIONS", URL, 10.01), entry("PUT", URL, 20), entry("PUT", URL, 30)]
    requests = [request("OPTIONS", URL, 10.008), request("PUT", URL, 20.5), request("PUT", URL, 30)]
    assert har.places(requests, entries) == [1, 2, 3]


def test_an_entry_from_a_cache_tells_of_no_request_on_the_wire() -> None:
    entries = [entry("GET", URL, 10), entry("GET", URL, 20, _fromCache="disk"), entry("GET", URL, 30)]
    assert har.places([request("GET", URL, 10), request("GET", URL, 30)], entries) == [0, 2]


def test_a_request_of_which_nothing_is_told_has_no_entry() -> None:
    assert har.places([request("OPTIONS", URL, 10)], [entry("PUT", URL, 10)]) == [None]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "tool",
    [
        pytest.param(tool, marks=pytest.mark.browser("firefox" if tool == "firefox" else "chromium"))
        for tool in ("chromium", "firefox", "playwright")
    ],
)
def test_the_tools_still_write_what_the_recordings_show(
    tool: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if tool == "playwright":
        pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
    assert har.main(["--tool", tool, "--web", "https", "--only", ONLY, "--into", str(tmp_path)]) == 0
    names = [f"{tool}-https"] + (["chromium-https-sensitive"] if tool == "chromium" else [])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}{suffix}" for name in names for suffix in (".har.xz", ".truth.jsonl.gz")
    )
    for name in names:
        # Small parts of the table end like the same parts of the whole.
        made, kept = (
            Counter(
                (truth["tag"], truth["preflight"], truth["verdict"], truth["entry"] is None)
                for truth in truths_in(folder / f"{name}.truth.jsonl.gz")
                if truth["tag"].startswith(tuple(ONLY.split(",")))
            )
            for folder in (tmp_path, har.CAPTURES)
        )
        assert made == kept
        assert b'"entries"' in lzma.decompress((tmp_path / f"{name}.har.xz").read_bytes())
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said] == names


def test_a_browser_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(har, "find_browsers", dict)
    assert har.main(["--tool", "firefox", "--into", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "record_hars: firefox: firefox is not installed\n"


def test_playwright_is_asked_for_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    web = Serving(
        visit=VISITS[0],
        port=9,
        ca_file=tmp_path / "ca.pem",
        address="https://app.corscope.test/",
        results=tmp_path / "results.jsonl",
        deadline=0,
    )
    with pytest.raises(har.HarFailure, match="pip install playwright"):
        har.export_with_playwright(tmp_path, web, tmp_path)


def test_a_part_of_the_table_never_replaces_the_kept_recordings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        har.main(["--only", "status/"])
    assert "--into" in capsys.readouterr().err
