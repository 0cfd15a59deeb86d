"""What the pages remember of the traffic: the latest verdict on each flow, in bounded memory."""

from __future__ import annotations

import asyncio

import pytest

from builders import ANY, GOOD, Talk, exchange, judged
from corscope.model import Exchange, Rewrite, Verdict
from corscope.modes import read_head
from corscope.pages.history import History

URL = "https://b.test/x"


def verdict(flow: str, *, settled: bool = True) -> Verdict:
    """A verdict on a flow."""
    made = judged(exchange(f"GET {URL}/{flow}", response=GOOD, flow=flow))
    made.settled = settled
    return made


def noted(history: History) -> list[tuple[int, int, str]]:
    """What is remembered: sequence, number and flow of each."""
    return [(one.sequence, one.number, one.verdict.flow_id) for one in history.all()]


def test_a_later_verdict_on_a_flow_replaces_the_earlier_and_keeps_its_number() -> None:
    history = History()
    begun = history.sequence
    for flow in ("a", "b", "c", "a"):
        history.note(verdict(flow))
    assert noted(history) == [(begun + 2, 1, "b"), (begun + 3, 2, "c"), (begun + 4, 0, "a")]
    assert (history.exchanges, history.dropped, history.oldest) == (3, 0, begun + 2)


def test_the_oldest_are_let_go_of() -> None:
    history = History(capacity=3)
    for number in range(10):
        history.note(verdict(f"{number}"))
    assert [flow for *_, flow in noted(history)] == ["7", "8", "9"]
    assert (history.exchanges, history.dropped) == (10, 7)
    assert history.oldest == next(history.all()).sequence
    assert history.get("1") is None


def test_large_ones_are_let_go_of_sooner() -> None:
    history = History(largest=100_000)
    for number in range(40):
        # Half of them tell the same in another object, as flows do.
        long = f"{number if number < 20 else 20:02}" + "x" * 10_000
        response = {**GOOD, "X-Long": long}
        history.note(judged(copied(exchange(f"GET {URL}", response=response, flow=f"{number}"))))
        history.pack(1)
    kept = [flow for *_, flow in noted(history)]
    assert kept == [f"{number}" for number in range(40 - len(kept), 40)]
    assert 25 < len(kept) < 30
    assert (history.exchanges, history.dropped) == (40, 40 - len(kept))


def test_what_is_replaced_no_longer_counts() -> None:
    history = History(largest=100_000)
    for number in range(40):
        response = {**GOOD, "X-Long": f"{number:02}" + "x" * 10_000}
        one = copied(exchange(f"GET {URL}", response=response, flow=f"{number % 5}"))
        for _ in range(2):
            history.note(judged(one))
            history.pack(1)
    assert (len(noted(history)), history.dropped) == (5, 0)
    for number in range(5, 15):
        history.note(judged(copied(exchange(f"GET {URL}/{number:010000}", response=GOOD, flow=f"{number}"))))
        history.pack(1)
    # Five of 10 kB, as replaced last, and those with a long URL: no more than a hundred together.
    assert history.dropped > 4


def test_what_came_since_is_told_in_order() -> None:
    history = History()
    begun = history.sequence
    for flow in "abcd":
        history.note(verdict(flow))
    assert [one.verdict.flow_id for one in history.since(begun + 2)] == ["c", "d"]
    assert [one.verdict.flow_id for one in history.since(0)] == list("abcd")
    assert history.since(begun + 4) == []


def test_clearing_forgets_all_and_begins_another_era() -> None:
    history = History(capacity=1)
    for flow in "ab":
        history.note(verdict(flow))
    history.passed_by = 3
    sequence, era = history.sequence, history.era
    history.clear()
    assert noted(history) == []
    assert (history.exchanges, history.dropped, history.passed_by) == (0, 0, 0)
    assert history.sequence > sequence
    assert history.era != era
    assert history.oldest == history.sequence + 1
    history.note(verdict("c"))
    assert noted(history)[0][1:] == (0, "c")


def test_two_histories_are_told_apart() -> None:
    assert History().era != History().era


def test_a_story_is_all_that_belongs_together() -> None:
    talk = Talk()
    passes = {**GOOD, "Access-Control-Allow-Methods": "PUT"}
    first = talk.ask(f"{URL}/1", "PUT", response=passes)
    second = talk.say(f"PUT {URL}/1", response=GOOD)
    other = talk.say(f"GET {URL}/2", response=GOOD)
    history = History()
    for one in (second, other, first):
        history.note(talk[one])
    assert [one.verdict.flow_id for one in history.story(first)] == [second, first]
    assert [one.verdict.flow_id for one in history.story(second)] == [second, first]
    assert [one.verdict.flow_id for one in history.story(other)] == [other]
    assert history.story("none") == []


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_whoever_waits_is_told_at_once() -> None:
    async def run() -> list[bool]:
        history = History()
        waiting = [asyncio.create_task(history.wait(history.sequence, 30)) for _ in range(2)]
        await asyncio.sleep(0)
        history.note(verdict("a"))
        return [*await asyncio.gather(*waiting), await history.wait(history.sequence - 1, 30)]

    assert asyncio.run(asyncio.wait_for(run(), 10)) == [True, True, True]


def test_clearing_is_news() -> None:
    async def run() -> bool:
        history = History()
        waiting = asyncio.create_task(history.wait(history.sequence, 30))
        await asyncio.sleep(0)
        history.clear()
        return await waiting

    assert asyncio.run(asyncio.wait_for(run(), 10))


def test_who_waits_can_be_let_go_on() -> None:
    async def run() -> tuple[bool, int]:
        history = History()
        before = history.sequence
        waiting = asyncio.create_task(history.wait(before, 30))
        await asyncio.sleep(0)
        history.wake()
        return await waiting, history.sequence - before

    assert asyncio.run(asyncio.wait_for(run(), 10)) == (True, 0)


def test_waiting_ends_without_news_and_leaves_nothing_behind() -> None:
    async def run() -> tuple[bool, int]:
        history = History()
        told = await history.wait(history.sequence, 0.01)
        return told, len(history._waiting)

    assert asyncio.run(run()) == (False, 0)


# -- memory ------------------------------------------------------------------------------------------------------------


def copied(one: Exchange) -> Exchange:
    """An exchange with header lines of its own, as each flow brings them."""
    one.request_headers = tuple((bytes([*name]), bytes([*value])) for name, value in one.request_headers)
    one.response_headers = tuple((bytes([*name]), bytes([*value])) for name, value in one.response_headers)
    one.request_picked = read_head(one.request_headers)
    return one


def test_equal_header_lines_are_kept_once() -> None:
    history = History()
    exchanges = [copied(exchange(f"GET {URL}", response=ANY, flow=f"{number}")) for number in range(4)]
    before = [(one.request_headers, one.response_headers) for one in exchanges]
    for one in exchanges:
        history.note(judged(one))
    history.pack(3)
    assert [(one.request_headers, one.response_headers) for one in exchanges] == before
    first, second, third, fourth = exchanges
    for mine, others in ((second, first), (third, first)):
        for line, other in zip(mine.request_headers, others.request_headers, strict=True):
            assert line is other
    assert all(line is not other for line, other in zip(fourth.request_headers, first.request_headers, strict=True))
    history.pack(100)
    assert fourth.response_headers[0] is first.response_headers[0]


def test_what_is_packed_is_judged_and_told_the_same() -> None:
    one = copied(exchange(f"GET {URL}", headers={"Cookie": "sid=1"}, response=ANY))
    was = judged(one)
    history = History()
    history.note(judged(one), Rewrite((), False, was))
    history.pack(10)
    assert one.request_picked is None
    again = judged(one)
    assert (again.outcome, again.findings, again.credentials) == (was.outcome, was.findings, was.credentials)


@pytest.mark.parametrize("most", [0, 5])
def test_nothing_to_pack_is_no_work(most: int) -> None:
    history = History()
    history.pack(most)
    history.note(verdict("a"))
    history.pack(most)
    history.pack(most)
