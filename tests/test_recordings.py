"""Corscope's verdicts against what real browsers did: the figures that the README shows."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from corscope.lab.score import Grade, Judged, Score, recordings, score

NAMES = [path.name.removesuffix(".mitm.xz") for path in recordings()]
SHOWN = 12
"""Faults that a failure names."""


@pytest.fixture(scope="module")
def futures() -> dict[str, Future[Score]]:
    """All recordings' scores, worked on as many at once as there are cores."""
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    return {path.name.removesuffix(".mitm.xz"): pool.submit(score, path) for path in recordings()}


@pytest.fixture(params=NAMES)
def scored(request: pytest.FixtureRequest, futures: dict[str, Future[Score]]) -> Score:
    """The score of one recording."""
    return futures[request.param].result()


def shown(faults: list[Judged]) -> str:
    return f"{len(faults)}:\n" + "\n".join(str(fault) for fault in faults[:SHOWN])


def test_both_browsers_and_all_webs_are_recorded() -> None:
    webs = ("https", "https-nocookies", "http", "localhost")
    assert set(NAMES) == {f"{browser}-{web}" for browser in ("chromium", "firefox") for web in webs}


@pytest.mark.timeout(600)
def test_no_definite_verdict_is_wrong(scored: Score) -> None:
    assert len(scored.judged) > 8000
    wrong = [one for one in scored.judged if one.grade in (Grade.WRONG, Grade.MISSING)]
    assert not wrong, shown(wrong)


@pytest.mark.timeout(600)
def test_blocked_exchanges_get_the_browsers_own_reason(scored: Score) -> None:
    different = [one for one in scored.judged if one.reason_due and not one.reason_right]
    assert not different, shown(different)


@pytest.mark.timeout(600)
def test_a_strong_signal_leaves_nothing_open(scored: Score) -> None:
    still_open = [
        one
        for one in scored.judged
        if one.truth["signal"] and one.verdict is not None and one.verdict["verdict"] == "conditional"
    ]
    assert not still_open, shown(still_open)
