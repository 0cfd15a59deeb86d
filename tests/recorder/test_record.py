"""Recording with the installed browsers, on a small part of the table."""

from __future__ import annotations

import lzma
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader

from corscope.browsers import Kind
from corscope.lab.drawn import drawn
from corscope.lab.scenarios import HTTPS
from corscope.lab.web import request_origin
from corscope.recorder import record
from corscope.recorder.score import Grade, checked, recordings, score, truth_of, truths_in

DRAWN = "random/test/120"
"""What chance adds to the part of the table."""


def endings(recording: Path, prefix: str) -> dict[tuple[str, int, str, bool], tuple[str, str]]:
    """Verdict and reason by what was asked, for the tags that start with a prefix."""
    return {
        (line["tag"], line["credentials"], line["url"].split("/")[2], line["initiator"]): (
            line["verdict"],
            line["reason"],
        )
        for line in truths_in(truth_of(recording))
        if line["tag"].startswith(prefix)
    }


def flows(recording: Path) -> Iterator[http.HTTPFlow]:
    with lzma.open(recording) as file:
        for flow in FlowReader(file).stream():
            assert isinstance(flow, http.HTTPFlow)
            yield flow


@pytest.mark.timeout(300)
def test_browsers_still_do_what_the_recordings_say(
    kind: Kind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {path.name: path for path in recordings()}
    if kind == "firefox":
        # It does not say why it blocked: what Chromium said is told of it.
        shutil.copy(truth_of(kept["chromium-https.mitm.xz"]), tmp_path)
    assert (
        record.main(["--browser", kind, "--web", "https", "--only", f"status/,{DRAWN}", "--into", str(tmp_path)]) == 0
    )
    said = capsys.readouterr().out
    steps = 140 + sum(len(scenario.steps) for scenario in drawn(HTTPS, DRAWN))
    assert re.match(rf"{kind}-https \((Chrome|Firefox)/\d+\): {steps} steps", said)
    (path,) = recordings(tmp_path)
    assert path.name == f"{kind}-https.mitm.xz"
    assert endings(path, "status/") == endings(kept[path.name], "status/")
    by_id = {flow.id: flow for flow in flows(path)}
    for line in truths_in(truth_of(path)):
        flow = by_id[line["flow_id"]]
        url = request_origin(flow.request) + flow.request.path
        assert (flow.request.data.method.decode(), url) == (line["method"], line["url"])
        assert flow.response is not None
        assert not flow.response.raw_content
    # Of what chance drew no verdict was ever held against a browser.
    by_chance = [one for one in score(path, checked).judged if one.truth["tag"].endswith(DRAWN.rpartition("/")[0])]
    assert len(by_chance) > 200
    assert [str(one) for one in by_chance if one.grade in (Grade.WRONG, Grade.MISSING)] == []


def test_a_browser_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(record, "find_browsers", lambda: {"chromium": tmp_path})
    assert record.main(["--browser", "firefox", "--into", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "record_truth: not installed: firefox\n"


def test_a_part_of_the_table_never_replaces_the_kept_recordings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        record.main(["--only", "status/"])
    assert "--into" in capsys.readouterr().err


@pytest.mark.parametrize("only", ["statuses/", "random/a", "random/SEED/5", "random/a/0"])
def test_what_selects_no_scenario_is_named(only: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert record.main(["--only", only, "--into", str(tmp_path / "new")]) == 2
    said = capsys.readouterr().err
    assert said == (
        f"record_truth: --only {only}: no scenario has a tag that starts so, and random/SEED/COUNT it is not\n"
    )
    assert not (tmp_path / "new").exists()
