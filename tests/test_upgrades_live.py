"""Redirects from https to plain http in real browsers, which stop them as mixed content, or upgrade them, or go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from corscope.browsers import Kind
from proxies import Mitmdump, eventually, final, read_report
from upgrades_web import CASES, CONTEXTS, PAGE
from visitors import visitor

WEB = Path(__file__).parent / "upgrades_web.py"

type Ends = Mapping[str, Mapping[str, bool]]
"""By context and case, whether the page got an answer."""
type Verdicts = Mapping[str, dict[str, Any]]
"""By the mark of a redirect."""


@pytest.fixture(scope="module", params=["upgrades", "plain"])
def page(request: pytest.FixtureRequest) -> str:
    """The page that is opened."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def visit(kind: Kind, page: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ends, Verdicts]:
    """How each redirect ended in the page, and the verdicts on them."""
    report = tmp_path_factory.mktemp("upgrades") / "verdicts.jsonl"
    with Mitmdump("-s", str(WEB), cors_report=report) as mitmdump, visitor(kind, mitmdump) as browser:
        browser.open(f"{PAGE}/{page}")
        eventually(lambda: browser.run("typeof go === 'function'"))
        browser.run(f"go({json.dumps(CASES)}).then((ends) => {{ window.ends = ends; }}), true")
        ends: Ends = eventually(lambda: browser.run("window.ends"))
        mitmdump.stop()
    verdicts = {
        line["url"].partition("?")[2].partition("&")[0]: line
        for line in final(read_report(report))
        if "/hop?" in line["url"]
    }
    return ends, verdicts


def test_each_redirect_is_judged_as_it_ended(visit: tuple[Ends, Verdicts]) -> None:
    ends, verdicts = visit
    for context in CONTEXTS:
        for case, ended in ends[context].items():
            verdict = verdicts[quote(f"{case}, {context}", safe="")]
            if case.startswith("home"):
                # Not CORS's business; that it was upgraded is not followed up.
                assert (verdict["verdict"], verdict["reason"]) == ("exempt", "redirect-mixed-content"), (context, case)
            else:
                assert verdict["verdict"] == ("allowed" if ended else "blocked"), (context, case)


def test_a_policy_upgrades_what_the_window_asks_for(visit: tuple[Ends, Verdicts], page: str) -> None:
    ends, _ = visit
    assert set(ends["window"].values()) == {page == "upgrades"}
    assert set(ends["worker"].values()) == {False}


def test_shared_workers_go_on_to_plain_http_in_chromium_alone(visit: tuple[Ends, Verdicts], kind: Kind) -> None:
    """Should this fail, a browser has changed its mind: the verdicts above hold whatever it does."""
    ends, _ = visit
    assert set(ends["shared worker"].values()) == {kind == "chromium"}
