"""Whole captures judged: final verdicts, in order, in bounded memory; and the Python API."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import corscope
from builders import ANY, GOOD, exchange, preflight
from corscope import checking
from corscope.captures.capture import Damage, Entry, UnreadableCapture
from corscope.captures.sources import read_capture
from corscope.checking import Checked, check_entries
from corscope.formats.document import Takes, entry_of, kind_of
from corscope.model import Credentials, Exchange, Observed, Outcome
from corscope.report import as_json, explanation
from corscope.session import Session
from corscope.settings import SettingError, new_session
from proxies import ADDON, PAGE, allowed_flow, blocked_flow, cors_flow, exempt_flow, write_recording

FOLDER = Path(__file__).parent / "recordings"

COOKIE = {"Cookie": "sid=1", "Sec-Fetch-Storage-Access": "active"}


def outcomes(*exchanges: Exchange) -> list[tuple[str, str]]:
    entries = [Entry(one) for one in exchanges]
    return [(one.verdict.flow_id, str(one.verdict.outcome)) for one in check_entries(entries, Session())]


def test_what_comes_later_settles_what_came_before_and_the_order_stays() -> None:
    assert outcomes(
        exchange("GET https://b.test/1", response=ANY, site="same-site", flow="1", at=1.0, connection="x"),
        exchange("GET https://b.test/2", response=GOOD, flow="2", at=2.0, connection="y"),
        exchange(
            "GET https://b.test/3", headers=COOKIE, response=ANY, site="same-site", flow="3", at=3.0, connection="x"
        ),
    ) == [("1", "blocked"), ("2", "allowed"), ("3", "blocked")]


@pytest.mark.parametrize("name", ["chromium-http", "firefox-https"])
def test_what_is_said_at_the_end_is_the_last_that_was_said_on_the_way(name: str) -> None:
    recording = FOLDER / f"{name}.mitm.xz"
    last: dict[str, dict[str, object]] = {}
    session = new_session()
    for entry in read_capture(recording, damaged=undamaged):
        last.update({verdict.flow_id: as_json(verdict) for verdict in session.judge(entry.exchange)})
    last.update({verdict.flow_id: as_json(verdict) for verdict in session.finish()})
    said = [as_json(one.verdict) for one in check_entries(read_capture(recording, damaged=undamaged), new_session())]
    assert len(said) > 9000
    assert {str(one["flow_id"]): one for one in said} == last


def undamaged(damage: Damage) -> None:
    raise AssertionError(damage)


def test_the_end_of_a_capture_settles_what_nothing_followed() -> None:
    asked = preflight(
        "https://b.test/x", "PUT", response={**ANY, "Access-Control-Allow-Methods": "PUT"}, flow="1", at=1
    )
    later = exchange("GET https://b.test/y", response=GOOD, flow="2", at=9.0)
    assert outcomes(asked, later) == [("1", "blocked"), ("2", "allowed")]


def test_a_request_without_a_response_has_no_verdict_of_its_own() -> None:
    assert outcomes(exchange("GET https://b.test/1", status=None, flow="1")) == []


def test_requests_without_a_response_are_told_unless_a_preflight_shows_why() -> None:
    refused = exchange("PUT https://b.test/x", status=None, flow="1", at=2.0)
    lost = exchange("GET https://b.test/x", status=None, flow="2", at=3.0)
    asked = preflight("https://b.test/x", "PUT", status=403, flow="3", at=1.0)
    unanswered: list[Entry] = []
    entries = [Entry(one) for one in (asked, refused, lost)]
    assert len(list(check_entries(entries, Session(), unanswered=unanswered.append))) == 1
    assert unanswered == [entries[2]]


def test_what_a_reader_had_to_put_elsewhere_comes_out_in_its_place() -> None:
    first, second = exchange("GET https://b.test/1", flow="a"), exchange("GET https://b.test/2", flow="b", at=2000.0)
    told = check_entries([Entry(second, number=1), Entry(first, number=0)], Session())
    assert [(one.number, one.verdict.flow_id) for one in told] == [(0, "a"), (1, "b")]


def test_each_exchange_has_a_verdict_also_where_an_id_repeats() -> None:
    """As in a file that was joined from others."""
    first, again = (exchange("GET https://b.test/1", response=ANY, flow="a", at=at) for at in (1.0, 2.0))
    assert outcomes(first, again) == [("a", "allowed"), ("a (1)", "allowed")]


def test_no_more_is_held_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "HELD", 3)
    read: list[str] = []

    def entries() -> Iterator[Entry]:
        for number in range(10):
            read.append(str(number))
            yield Entry(exchange(f"GET https://b.test/{number}", response=ANY, flow=str(number), at=number))

    told = [(one.verdict.flow_id, len(read)) for one in check_entries(entries(), Session())]
    assert [flow for flow, _ in told] == [str(number) for number in range(10)]
    assert told[0] == ("0", 4)


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize(("between", "expected"), [(8, "blocked"), (9, "conditional")])
def test_what_is_told_at_once_does_not_change_how_long_the_rest_is_held(
    numbered: bool, between: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "HELD", 10)
    exchanges = [exchange("GET https://b.test/1", response=ANY, site="same-site", flow="first", at=1.0, connection="x")]
    exchanges += [
        exchange(
            f"GET https://a.test/{n}.png", origin=None, mode="no-cors", site="same-origin", dest="image", flow=str(n)
        )
        for n in range(between)
    ]
    exchanges.append(
        exchange("GET https://b.test/2", headers=COOKIE, response=GOOD, flow="proof", at=3.0, connection="x")
    )
    entries = [Entry(one, number=number if numbered else None) for number, one in enumerate(exchanges)]
    for counted in ({}, {"passed": lambda _: None}, {"passed": lambda _: None, "allowed": lambda _: None}):
        told = list(check_entries(entries, new_session("chromium"), **counted))  # type: ignore[arg-type]
        assert [one.number for one in told] == sorted(one.number for one in told)
        assert {one.verdict.flow_id: str(one.verdict.outcome) for one in told}["first"] == expected


def test_what_comes_in_another_order_is_told_in_the_captures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "HELD", 3)
    order = [2, 0, 1, 5, 3, 9, 4, 8, 7, 6]
    entries = [Entry(exchange(f"GET https://b.test/{n}", flow=str(n), at=at), number=n) for at, n in enumerate(order)]
    assert [one.number for one in check_entries(entries, Session())] == list(range(10))


def test_a_preflight_without_origin_shows_why_its_request_has_no_answer() -> None:
    """As a record of it may lack that header: then it is none of the protocol's, and passed by."""
    asked = exchange(
        "OPTIONS https://b.test/x", headers={"Access-Control-Request-Method": "PUT"}, origin=None, flow="1"
    )
    entries = [
        Entry(exchange("GET https://a.test/", origin=None, mode="navigate", dest="document", flow="0")),
        Entry(asked),
    ]
    entries.append(Entry(exchange("PUT https://b.test/x", status=None, flow="2", at=asked.started + 1)))
    for counted in ({}, {"passed": lambda _: None}):
        unanswered: list[Entry] = []
        list(check_entries(entries, Session(), unanswered=unanswered.append, **counted))  # type: ignore[arg-type]
        assert unanswered == []


def test_ordinary_exchanges_may_be_passed_by() -> None:
    image = exchange(
        "GET https://a.test/i.png", origin=None, mode="no-cors", site="same-origin", dest="image", flow="i"
    )
    entries = [Entry(exchange("GET https://b.test/1", response=GOOD, flow="1")), Entry(image, wanted=False)]
    passed: list[bool] = []
    told = [one.verdict.flow_id for one in check_entries(entries, Session(), passed=passed.append)]
    assert (told, passed) == (["1"], [False])
    assert [one.number for one in check_entries(entries, Session())] == [0, 1]


def test_what_is_allowed_need_not_come_out_where_nothing_is_to_be_said_of_it() -> None:
    """Nor where only what follows tells that it is allowed."""
    settled = exchange("GET https://b.test/1", response=ANY, site="same-site", flow="settled", at=1.0, connection="x")
    refused = exchange("GET https://b.test/2", flow="refused", at=2.0, connection="y")
    certain = exchange("GET https://b.test/3", headers=COOKIE, response=GOOD, flow="certain", at=3.0, connection="z")
    proof = preflight("https://b.test/4", "PUT", response=ANY, site="same-site", flow="proof", at=4.0, connection="x")
    entries = [Entry(one, wanted=one is not certain) for one in (settled, refused, certain, proof)]
    allowed: list[bool] = []
    told = [one.verdict.flow_id for one in check_entries(entries, new_session("chromium"), allowed=allowed.append)]
    assert told == ["refused", "proof"]
    assert allowed == [False, True]


@pytest.mark.parametrize("name", ["chromium-http", "firefox-https"])
@pytest.mark.parametrize("held", [50, checking.HELD])
def test_what_need_not_come_out_changes_nothing_else(name: str, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "HELD", held)

    def told(**counted: Callable[[bool], None]) -> list[Checked]:
        entries = read_capture(FOLDER / f"{name}.mitm.xz", damaged=undamaged)
        return list(check_entries(entries, new_session(), **counted))

    passed: list[bool] = []
    allowed: list[bool] = []
    every, brief = told(passed=passed.append), told(passed=lambda _: None, allowed=allowed.append)
    numbers = {one.number for one in brief}
    left_out = [one for one in every if one.number not in numbers]
    assert [said(one) for one in brief] == [said(one) for one in every if one.number in numbers]
    assert {(one.verdict.outcome, one.verdict.findings) for one in left_out} == {(Outcome.ALLOWED, ())}
    assert len(left_out) == len(allowed) > 1000
    assert len(passed) > 100
    assert not any((one.verdict.outcome, one.verdict.findings) == (Outcome.ALLOWED, ()) for one in brief)


def said(one: Checked) -> tuple[int, dict[str, object]]:
    return one.number, as_json(one.verdict)


# -- what the browser's own record says --------------------------------------------------------------------------------


def recorded(observed: Observed | None, **more: object) -> Exchange:
    """Passes without credentials only, and nothing on the wire tells; a HAR from which cookies were left out."""
    one = exchange("GET https://b.test/x", response=ANY, **more)  # type: ignore[arg-type]
    one.sanitized, one.in_order, one.connection, one.observed = True, False, None, observed
    return one


@pytest.mark.parametrize(
    ("observed", "credentials", "outcome", "agrees"),
    [
        (Observed(True, ""), Credentials.OMIT, Outcome.ALLOWED, True),
        (Observed(False, "net::ERR_FAILED"), Credentials.INCLUDE, Outcome.BLOCKED, True),
        (Observed(None, "net::ERR_ABORTED"), Credentials.UNKNOWN, Outcome.CONDITIONAL, None),
    ],
)
def test_a_browsers_own_record_decides_what_the_wire_leaves_open(
    observed: Observed, credentials: Credentials, outcome: Outcome, agrees: bool | None
) -> None:
    verdict = corscope.judge(recorded(observed))
    assert (verdict.credentials, verdict.outcome) == (credentials, outcome)
    assert as_json(verdict)["observed"] == {
        "delivered": observed.delivered,
        "said": observed.said,
        "not_cors": None,
        "agrees": agrees,
    }


@pytest.mark.parametrize(
    ("observed", "line"),
    [
        (Observed(True, ""), "by its own record the browser let the page have it, as this verdict says"),
        (
            Observed(False, "net::ERR_FAILED"),
            "warning: By its own record the browser kept this answer from the page (net::ERR_FAILED)",
        ),
        (
            Observed(None, "net::ERR_BLOCKED_BY_CLIENT", "an extension"),
            "by its own record the browser stopped it, and not by CORS: an extension (net::ERR_BLOCKED_BY_CLIENT)",
        ),
        (Observed(None, "net::ERR_ABORTED"), None),
        (None, None),
    ],
)
def test_an_explanation_says_whether_the_browsers_record_agrees(observed: Observed | None, line: str | None) -> None:
    one = exchange("GET https://b.test/x", response=GOOD)
    one.observed = observed
    said = [told for told in explanation(as_json(corscope.judge(one))) if "own record" in told]
    said = [told.partition(", and by what was on the wire it is allowed.")[0] for told in said]
    assert said == ([line] if line is not None else [])


def test_a_browsers_own_record_never_changes_what_the_wire_decides() -> None:
    verdict = corscope.judge(exchange("GET https://b.test/x", headers=COOKIE, response=ANY))
    assert verdict.outcome is Outcome.BLOCKED
    told = exchange("GET https://b.test/x", headers=COOKIE, response=ANY)
    told.observed = Observed(True, "")
    verdict = corscope.judge(told)
    assert (verdict.outcome, as_json(verdict)["observed"]["agrees"]) == (Outcome.BLOCKED, False)
    assert verdict.findings[-1].id == "browser-disagrees"
    assert verdict.reason == verdict.findings[0]


def test_what_the_browser_stopped_for_another_reason_is_not_called_cors_alone() -> None:
    told = exchange("GET https://b.test/x", headers=COOKIE, response=ANY)
    told.observed = Observed(None, "net::ERR_BLOCKED_BY_CLIENT", "an extension")
    verdict = corscope.judge(told)
    assert (verdict.outcome, as_json(verdict)["observed"]["agrees"]) == (Outcome.BLOCKED, False)
    assert verdict.findings[-1].values["did"] == "stopped this for a reason that is not CORS, an extension"


def test_a_contradiction_that_is_silenced_is_not_told() -> None:
    one = exchange("GET https://b.test/x", response=GOOD)
    one.observed = Observed(False, "net::ERR_FAILED")
    session = Session()
    session.silence = frozenset({"browser-disagrees"})
    (verdict,) = session.judge(one)
    assert kind_of(verdict) is Takes.CORS
    assert not any("record" in line for line in explanation(as_json(verdict)))


@pytest.mark.parametrize("fail_on", ["blocked", "conditional", "warning"])
def test_a_contradiction_fails_no_run_but_one_that_fails_on_warnings(fail_on: str) -> None:
    one = exchange("GET https://b.test/x", response=GOOD)
    one.observed = Observed(False, "net::ERR_FAILED")
    verdict = corscope.judge(one)
    assert kind_of(verdict) is Takes.TROUBLE
    assert entry_of(verdict, "a.har", 0, fail_on=fail_on)["fails"] is (fail_on == "warning")


# -- the API -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    flows = [blocked_flow(), allowed_flow(), exempt_flow(), cors_flow(origin="https://other.example")]
    return write_recording(tmp_path / "four.mitm", flows)


def test_check_yields_the_verdicts_of_a_capture(recording: Path) -> None:
    assert [str(one.outcome) for one in corscope.check(recording)] == ["blocked", "allowed", "exempt", "blocked"]


def test_check_tells_only_what_is_asked_for(recording: Path) -> None:
    assert [one.url for one in corscope.check(recording, origins=["https://other.example"])] == [
        "https://api.example/v1"
    ]
    assert [str(one.outcome) for one in corscope.check(recording, filter="~u allowed")] == ["allowed"]
    silent = next(corscope.check(recording, silence=["allow-origin-wildcard-with-credentials"]))
    assert "allow-origin-wildcard-with-credentials" not in [one.id for one in silent.findings]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"browser": "chrom"}, "browser takes auto, chromium, firefox, spec, not 'chrom' (did you mean chromium?)"),
        ({"silence": ["allow-origin-mising"]}, "did you mean allow-origin-missing?"),
        ({"origins": ["https://app.example/"]}, "write https://app.example"),
        ({"filter": "~q ("}, "filter: '~q (' is no flow filter"),
    ],
)
def test_an_argument_that_makes_no_sense_is_named_at_once(
    arguments: dict[str, object], said: str, recording: Path
) -> None:
    with pytest.raises(SettingError) as raised:
        corscope.check(recording, **arguments)  # type: ignore[arg-type]
    assert said in str(raised.value)


def test_a_string_is_one_origin_or_ids_and_not_its_characters(recording: Path) -> None:
    ids = "allow-origin-wildcard-with-credentials, allow-credentials-missing"
    told = list(corscope.check(recording, silence=ids, origins=PAGE))
    assert told
    assert {finding.id for verdict in told for finding in verdict.findings}.isdisjoint(ids.split(", "))
    assert list(corscope.check(recording, origins="https://nobody.example")) == []


def test_damage_is_told_and_what_is_no_capture_is_an_error(recording: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mitm"
    cut.write_bytes(recording.read_bytes()[:-100])
    damages: list[Damage] = []
    assert len(list(corscope.check(cut, on_damage=damages.append))) == 3
    assert len(damages) == 1
    (tmp_path / "page.html").write_text("<html>")
    with pytest.raises(UnreadableCapture):
        list(corscope.check(tmp_path / "page.html"))
    with pytest.raises(FileNotFoundError):
        list(corscope.check(tmp_path / "nowhere.mitm"))


def test_judge_takes_one_exchange_by_itself() -> None:
    assert corscope.judge(exchange("GET https://b.test/x", response=GOOD)).outcome is Outcome.ALLOWED
    with pytest.raises(SettingError):
        corscope.judge(exchange("GET https://b.test/x"), browser="opera")


def test_judge_refuses_an_exchange_without_a_response() -> None:
    with pytest.raises(ValueError, match="has no response"):
        corscope.judge(exchange("GET https://b.test/x", status=None))


def test_the_api_is_loaded_on_demand_only() -> None:
    program = (
        "import sys, corscope; print('mitmproxy' in sys.modules); corscope.check; print('mitmproxy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ADDON.parent, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
    with pytest.raises(AttributeError, match="no attribute 'chek'"):
        corscope.chek  # type: ignore[attr-defined]  # noqa: B018


def test_what_a_failing_test_prints_of_a_verdict_holds_no_secret() -> None:
    verdict = corscope.judge(
        exchange("GET https://b.test/x?token=SECRET", headers={"Cookie": "sid=SECRET"}, response=ANY)
    )
    assert repr(verdict) == (
        "<Verdict blocked: GET https://b.test/x?token=… (200, actual), allow-origin-wildcard-with-credentials>"
    )
