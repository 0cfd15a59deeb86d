"""What a browser did with each exchange, told from made-up recordings."""

from __future__ import annotations

from corscope.lab.answers import Place, path_of
from corscope.lab.scenarios import WEBS, Credentials, Scenario, scenarios
from corscope.lab.steps import Outcome
from corscope.recorder.truth import Ending, Seen, Truth, truths

ORIGIN = "https://app.corscope.test"


def first(tag: str, **wanted: object) -> Scenario:
    for scenario in scenarios("https"):
        if scenario.tag == tag and all(getattr(scenario.steps[0], key) == value for key, value in wanted.items()):
            return scenario
    raise AssertionError(tag)


class Recording:
    """Exchanges, outcomes and endings of a run, a second apart."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.outcomes: dict[tuple[str, int], Outcome] = {}
        self.endings: list[Ending] = []

    def exchange(
        self,
        scenario: Scenario,
        time: float,
        method: str = "GET",
        hop: int = 0,
        body: str = "",
        status: int = 200,
        response: tuple[tuple[str, str], ...] = (),
        **request: str,
    ) -> str:
        """Adds an exchange; returns its flow's id."""
        fields = {"Origin": ORIGIN, **{name.replace("_", "-"): value for name, value in request.items()}}
        self.seen.append(
            Seen(
                flow_id=f"flow-{len(self.seen)}",
                time=time,
                method=method,
                origin=WEBS["https"].origins[scenario.hops[hop].role],
                path=path_of(Place(web="https", run="t", scenario=scenario.id, hop=hop)),
                request=tuple(fields.items()),
                body=body.encode(),
                status=status,
                response=response,
            )
        )
        return self.seen[-1].flow_id

    def preflight(self, scenario: Scenario, time: float, hop: int = 0, **request: str) -> str:
        """Adds a preflight."""
        return self.exchange(scenario, time, "OPTIONS", hop, Access_Control_Request_Method="PUT", **request)

    def outcome(self, scenario: Scenario, ok: bool | None, start: float, end: float, step: int = 0) -> None:
        """Says how a step ended for the page."""
        self.outcomes[scenario.id, step] = Outcome(ok=ok, detail="", start=start, end=end)

    def ending(self, time: float, **told: object) -> None:
        """Says how the latest exchange's request ended, as Chromium would."""
        self.endings.append(Ending(url=self.seen[-1].url, time=time, **told))  # type: ignore[arg-type]

    def chromium(self) -> list[Truth]:
        return truths("https", self.seen, self.outcomes, self.endings)

    def firefox(self, lent: list[Truth]) -> list[Truth]:
        return truths("https", self.seen, self.outcomes, lent=lent)


def test_what_the_page_got_was_allowed_all_the_way() -> None:
    scenario, recording = first("redirect/cross-third/good/good"), Recording()
    recording.exchange(scenario, 1.0)
    recording.exchange(scenario, 1.1, hop=1)
    recording.outcome(scenario, True, 0.9, 1.2)
    lines = recording.chromium()
    assert [(line.verdict, line.cors, line.reason) for line in lines] == [("allowed", True, None)] * 2


def test_the_last_exchange_is_the_blocked_one() -> None:
    scenario, recording = first("redirect/cross-third/good/good"), Recording()
    recording.exchange(scenario, 1.0)
    recording.exchange(scenario, 1.1, hop=1)
    recording.outcome(scenario, False, 0.9, 1.2)
    recording.ending(1.0, error="AllowOriginMismatch", parameter="x", text="net::ERR_FAILED")
    lines = recording.chromium()
    assert [line.verdict for line in lines] == ["allowed", "blocked"]
    assert (lines[1].reason, lines[1].parameter) == ("AllowOriginMismatch", "x")


def test_a_failure_without_a_cors_error_is_no_block() -> None:
    scenario, recording = first("check/origin/star/true"), Recording()
    recording.exchange(scenario, 1.0)
    recording.outcome(scenario, False, 0.9, 1.2)
    recording.ending(1.0, text="net::ERR_CONNECTION_RESET")
    (line,) = recording.chromium()
    assert (line.verdict, line.net) == (None, "net::ERR_CONNECTION_RESET")


def test_a_timeout_tells_nothing() -> None:
    scenario, recording = first("check/origin/star/true"), Recording()
    recording.exchange(scenario, 1.0)
    recording.outcome(scenario, None, 0.9, 6.0)
    (line,) = recording.chromium()
    assert line.verdict is None


def test_the_debugger_tells_of_what_the_page_cannot_see() -> None:
    scenario, recording = first("initiator/beacon/cors/good"), Recording()
    recording.preflight(scenario, 1.0)
    recording.exchange(scenario, 1.1, "POST")
    recording.outcome(scenario, None, 0.9, 1.3)
    recording.ending(1.0, finished=True)
    assert [line.verdict for line in recording.chromium()] == ["allowed", "allowed"]
    assert [line.verdict for line in recording.firefox([])] == ["allowed", None]


def test_steps_on_one_url_are_told_apart_by_time() -> None:
    scenario, recording = first("sequence/include-same-origin/star"), Recording()
    recording.exchange(scenario, 1.0)
    recording.ending(1.0, error="WildcardOriginNotAllowed", parameter="*")
    recording.exchange(scenario, 2.0)
    recording.outcome(scenario, False, 0.9, 1.5, step=0)
    recording.outcome(scenario, True, 1.9, 2.5, step=1)
    told = [(line.step, line.credentials, line.verdict, line.reason) for line in recording.chromium()]
    assert told == [(0, "include", "blocked", "WildcardOriginNotAllowed"), (1, "same-origin", "allowed", None)]


def test_requests_at_once_are_told_apart_by_body_and_their_preflights_not_at_all() -> None:
    scenario, recording = first("parallel/include-same-origin/no-credentials/PUT"), Recording()
    recording.preflight(scenario, 1.0)
    recording.preflight(scenario, 1.01)
    recording.exchange(scenario, 1.1, "PUT", body="step=1")
    recording.exchange(scenario, 1.11, "PUT", body="step=0")
    recording.endings.append(
        Ending(url=recording.seen[-1].url, time=1.0, post_data="step=0", error="InvalidAllowCredentials", parameter="")
    )
    recording.outcome(scenario, False, 0.9, 1.5, step=0)
    recording.outcome(scenario, True, 0.9, 1.5, step=1)
    told = [(line.step, line.credentials, line.verdict) for line in recording.chromium()]
    assert told == [
        (None, None, "allowed"),
        (None, None, "allowed"),
        (1, "same-origin", "allowed"),
        (0, "include", "blocked"),
    ]


def test_reasons_are_lent_where_the_other_browser_stopped_at_the_same_place() -> None:
    scenario, recording = first("preflight-then/missing", credentials=Credentials.INCLUDE, method="PUT"), Recording()
    recording.preflight(scenario, 1.0)
    recording.exchange(scenario, 1.1, "PUT")
    recording.outcome(scenario, False, 0.9, 1.2)
    recording.ending(1.0, error="MissingAllowOriginHeader", parameter="")
    chromium = recording.chromium()
    assert [(line.verdict, line.reason) for line in recording.firefox(chromium)][1] == (
        "blocked",
        "MissingAllowOriginHeader",
    )
    # Here Firefox stops at the preflight already.
    recording.seen.pop()
    assert [(line.verdict, line.reason) for line in recording.firefox(chromium)] == [("blocked", None)]


def test_a_lent_reason_is_taken_back_where_the_borrower_accepts_those_lines() -> None:
    doubled = (("access-control-allow-origin", ORIGIN), ("access-control-allow-origin", ""))
    recording = Recording()
    for tag in ("check/origin/exact-and-empty/true", "check/origin/exact-and-empty/missing"):
        scenario = first(tag, credentials=Credentials.INCLUDE)
        recording.exchange(scenario, 1.0, response=doubled)
        recording.ending(1.0, error="MultipleAllowOriginValues", parameter="x")
        recording.outcome(scenario, False, 0.9, 1.2)
    chromium = recording.chromium()
    assert [line.reason for line in recording.firefox(chromium)] == ["MultipleAllowOriginValues"] * 2
    recording.outcome(first("check/origin/exact-and-empty/true", credentials=Credentials.INCLUDE), True, 0.9, 1.2)
    told = [(line.verdict, line.reason) for line in recording.firefox(chromium)]
    assert told == [("allowed", None), ("blocked", None)]


def test_same_origin_and_no_cors_are_not_subject_to_cors() -> None:
    recording = Recording()
    for tag in ("check/role/app/missing", "initiator/img/no-cors/missing", "initiator/form/navigate/missing"):
        recording.exchange(first(tag), 1.0)
        recording.outcome(first(tag), True, 0.9, 1.2)
    assert [line.cors for line in recording.chromium()] == [False] * 3


def test_back_at_the_pages_origin_cors_still_applies() -> None:
    scenario, recording = first("redirect/cross-app/good/good"), Recording()
    recording.exchange(scenario, 1.0)
    recording.exchange(scenario, 1.1, hop=1)
    recording.outcome(scenario, True, 0.9, 1.2)
    assert [line.cors for line in recording.chromium()] == [True, True]


def test_what_looks_alike_and_ends_differently_is_undecidable() -> None:
    recording = Recording()
    for credentials, ok in ((Credentials.SAME_ORIGIN, True), (Credentials.INCLUDE, False)):
        scenario = first("check/origin/star/missing", credentials=credentials)
        star = (("Access-Control-Allow-Origin", "*"),)
        recording.exchange(scenario, 1.0, response=star)
        recording.outcome(scenario, ok, 0.9, 1.2)
    recording.ending(1.0, error="WildcardOriginNotAllowed", parameter="*")
    assert [line.undecidable for line in recording.chromium()] == [True, True]
    # A header that only one of them has tells them apart.
    with_cookie = Recording()
    with_cookie.outcomes, with_cookie.endings = recording.outcomes, recording.endings
    with_cookie.exchange(first("check/origin/star/missing", credentials=Credentials.SAME_ORIGIN), 1.0, response=star)
    with_cookie.exchange(
        first("check/origin/star/missing", credentials=Credentials.INCLUDE), 1.0, response=star, Cookie="a=b"
    )
    lines = with_cookie.chromium()
    assert [line.undecidable for line in lines] == [False, False]
    assert [line.signal for line in lines] == [None, "cookie"]


def test_a_request_that_looks_like_the_other_mode_is_undecidable_where_its_answer_would_end_differently() -> None:
    star, good = ((("Access-Control-Allow-Origin", value),) for value in ("*", ORIGIN))
    recording = Recording()
    for scenario, ok, answer, told in (
        (first("check/origin/star/missing", credentials=Credentials.SAME_ORIGIN), True, star, {}),
        (first("check/origin/star/missing", credentials=Credentials.INCLUDE), False, star, {"Cookie": "a=b"}),
        # Without this one, the cookie would tell them apart.
        (first("check/origin/echo/true", credentials=Credentials.INCLUDE), True, good, {}),
    ):
        recording.exchange(scenario, 1.0, response=answer, **told)
        recording.outcome(scenario, ok, 0.9, 1.2)
    recording.endings.append(Ending(url=recording.seen[1].url, time=1.0, error="WildcardOriginNotAllowed"))
    assert [line.undecidable for line in recording.chromium()] == [True, False, False]
    recording.seen.pop()
    assert [line.undecidable for line in recording.chromium()] == [False, False]


def test_the_console_sentence_goes_to_the_url_it_names() -> None:
    scenario, recording = first("check/origin/missing/true"), Recording()
    recording.exchange(scenario, 1.0)
    recording.outcome(scenario, False, 0.9, 1.2)
    recording.ending(1.0, error="MissingAllowOriginHeader", parameter="")
    sentence = (
        f"Access to fetch at '{recording.seen[0].url}' from origin '{ORIGIN}' has been blocked by CORS policy: No."
    )
    (line,) = truths("https", recording.seen, recording.outcomes, recording.endings, [sentence, "Something else"])
    assert line.console == sentence
