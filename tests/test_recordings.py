"""Corscope's verdicts against what real browsers did: the figures that the README shows."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

from corscope.recorder.score import Grade, Judged, Score, alarms, recordings, table
from scoring import SCORES

NAMES = [path.name.removesuffix(".mitm.xz") for path in recordings()]
SHOWN = 12
"""Faults that a failure names."""


@pytest.fixture(scope="module")
def futures(request: pytest.FixtureRequest) -> dict[str, Future[Score]]:
    """All recordings' scores, which have been worked on since the tests began."""
    return request.config.stash[SCORES]


@pytest.fixture(params=NAMES)
def scored(request: pytest.FixtureRequest, futures: dict[str, Future[Score]]) -> Score:
    """The score of one recording."""
    return futures[request.param].result()


def none(faults: list[Judged]) -> None:
    """Fails with the first few faults, if there are any."""
    if faults:
        lines = "\n".join(str(fault) for fault in faults[:SHOWN])
        pytest.fail(f"{len(faults)} of them:\n{lines}", pytrace=False)


def test_both_browsers_and_all_webs_are_recorded() -> None:
    webs = ("https", "https-nocookies", "http", "localhost")
    assert set(NAMES) == {f"{browser}-{web}" for browser in ("chromium", "firefox") for web in webs}


@pytest.mark.timeout(600)
def test_no_definite_verdict_is_wrong(scored: Score) -> None:
    assert len(scored.judged) > 8000
    none([one for one in scored.judged if one.grade in (Grade.WRONG, Grade.MISSING)])


@pytest.mark.timeout(600)
def test_blocked_exchanges_get_the_browsers_own_reason(scored: Score) -> None:
    none([one for one in scored.judged if one.reason_due and not one.reason_right])


@pytest.mark.timeout(600)
def test_a_strong_signal_leaves_nothing_open(scored: Score) -> None:
    # A cookie or Sec-Fetch-Storage-Access: credentialed. On plain http even then a POST may be one that CORS does not
    # concern, and looks the same: such are undecidable.
    none([one for one in scored.judged if one.truth["signal"] and one.grade is Grade.UNDECIDED])


@pytest.mark.timeout(600)
def test_nothing_is_said_of_clean_exchanges(scored: Score) -> None:
    assert sum(one.clean for one in scored.judged) > 500
    none([one for one in scored.judged if one.alarms])


@pytest.mark.timeout(600)
def test_no_error_is_found_in_what_the_browser_allowed(scored: Score) -> None:
    none([one for one in scored.judged if one.false_errors])


@pytest.mark.timeout(600)
def test_the_readme_shows_the_false_alarms(futures: dict[str, Future[Score]]) -> None:
    shown = alarms([future.result() for future in futures.values()])
    assert shown in (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.timeout(600)
def test_the_readme_shows_the_score(futures: dict[str, Future[Score]]) -> None:
    shown_table = table([future.result() for future in futures.values()], markdown=True)
    assert shown_table in (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
