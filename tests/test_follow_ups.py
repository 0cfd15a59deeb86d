"""What follows what: the steps of one client that wait to be followed."""

from __future__ import annotations

import itertools

import pytest

from builders import PAGE, exchange
from corscope.engine import Fault
from corscope.follow_ups import FollowUps, Step
from corscope.model import Browser, BrowserFamily, Credentials, Kind, RequestMode
from corscope.modes import Request
from corscope.stories import Record, Story

URL = "https://b.test/x"
FAULT = Fault("allow-credentials-not-true", "", {})


def step(*, story: Credentials, only_omit: bool, given_up: bool, preflight: bool) -> Step:
    """Returns a step that a GET may follow."""
    first = exchange(f"GET {URL}", at=1000.0)
    record = Record(
        first,
        Kind.PREFLIGHT if preflight else Kind.REDIRECT,
        RequestMode.CORS,
        PAGE.encode(),
        URL,
        Browser(family=BrowserFamily.CHROMIUM),
        Story(credentials=story),
        b"empty",
        b"*/*",
        if_include=(FAULT,) if only_omit else (),
    )
    return Step(
        flow_id="step",
        record=record,
        started=first.started,
        answered=first.answered,
        origins=(PAGE.encode(),),
        method=b"GET",
        asked=frozenset(),
        is_preflight=preflight,
        dest=b"empty",
        first_url=None,
        page=PAGE.encode(),
        redirects=0,
        given_up=given_up,
    )


@pytest.mark.parametrize("preflight", [False, True], ids=["redirect", "preflight"])
@pytest.mark.parametrize("known", Credentials)
@pytest.mark.parametrize("story", Credentials)
def test_one_step_is_ruled_out_as_two_alike_are(story: Credentials, known: Credentials, preflight: bool) -> None:
    follower = Request(exchange(f"GET {URL}", at=1000.1))
    for only_omit, given_up in itertools.product((False, True), repeat=2):
        found = []
        for count in (1, 2):
            steps = FollowUps()
            for _ in range(count):
                steps.expect(URL, step(story=story, only_omit=only_omit, given_up=given_up, preflight=preflight))
            found.append(len(steps.candidates(follower, known)))
        assert found in ([0, 0], [1, 2])


def test_a_step_with_credentials_is_followed_by_no_request_without_unless_it_was_given_up() -> None:
    follower = Request(exchange(f"GET {URL}", at=1000.1))
    for given_up in (False, True):
        steps = FollowUps()
        steps.expect(URL, step(story=Credentials.INCLUDE, only_omit=True, given_up=given_up, preflight=True))
        assert bool(steps.candidates(follower, Credentials.OMIT)) is given_up
        assert not steps.candidates(follower, Credentials.INCLUDE)
