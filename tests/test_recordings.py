"""Corscope's verdicts against what real browsers did: the figures that the README shows.

The verdicts are those of `corscope check`; tests/test_cli.py holds that the addon's are the same.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from corscope.recorder.score import Grade, Judged, Score, alarms, checked, recordings, score, table

# In one process, which scores each recording once.
pytestmark = pytest.mark.xdist_group("recordings")

PATHS = {path.name.removesuffix(".mitm.xz"): path for path in recordings()}
SHOWN = 12
"""Faults that a failure names."""


@functools.cache
def scored_as(name: str) -> Score:
    """The score of a recording, by its name."""
    return score(PATHS[name], checked)


@pytest.fixture(params=PATHS)
def scored(request: pytest.FixtureRequest) -> Score:
    """The score of one recording."""
    return scored_as(request.param)


def none(faults: list[Judged]) -> None:
    """Fails with the first few faults, if there are any."""
    if faults:
        lines = "\n".join(str(fault) for fault in faults[:SHOWN])
        pytest.fail(f"{len(faults)} of them:\n{lines}", pytrace=False)


def test_both_browsers_and_all_webs_are_recorded() -> None:
    webs = ("https", "https-nocookies", "http", "localhost")
    assert PATHS.keys() == {f"{browser}-{web}" for browser in ("chromium", "firefox") for web in webs}


def test_no_definite_verdict_is_wrong(scored: Score) -> None:
    assert len(scored.judged) > 8000
    none([one for one in scored.judged if one.grade in (Grade.WRONG, Grade.MISSING)])


def test_blocked_exchanges_get_the_browsers_own_reason(scored: Score) -> None:
    none([one for one in scored.judged if one.reason_due and not one.reason_right])


def test_a_strong_signal_leaves_nothing_open(scored: Score) -> None:
    # A cookie or Sec-Fetch-Storage-Access: credentialed. On plain http even then a POST may be one that CORS does not
    # concern, and looks the same: such are undecidable. And it says nothing of what fails outside the protocol.
    open_ones = [one for one in scored.judged if one.truth["signal"] and one.grade is Grade.UNDECIDED]
    none([one for one in open_ones if one.truth["cors"]])


def test_nothing_is_said_of_clean_exchanges(scored: Score) -> None:
    assert sum(one.clean for one in scored.judged) > 500
    none([one for one in scored.judged if one.alarms])


def test_no_error_is_found_in_what_the_browser_allowed(scored: Score) -> None:
    none([one for one in scored.judged if one.false_errors])


def test_the_readme_shows_the_false_alarms() -> None:
    shown = alarms([scored_as(name) for name in PATHS])
    assert shown in (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_the_score() -> None:
    shown_table = table([scored_as(name) for name in PATHS], markdown=True)
    assert shown_table in (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
