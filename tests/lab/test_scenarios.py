"""The lab's table and the web that answers for it."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from corscope.lab import scenarios as table
from corscope.lab.answers import (
    ASSETS,
    BODIES,
    FOLDER,
    Asked,
    Place,
    Served,
    answer,
    origins,
    path_of,
    place_of,
    table_json,
)
from corscope.lab.scenarios import WEBS, Body, Context, Credentials, Initiator, Mode, Role, Scenario, Step, scenarios

PAGE = "https://app.corscope.test"
CROSS = "https://api.corscope-other.test"


def steps(web: str) -> Iterator[tuple[Scenario, Step]]:
    for scenario in scenarios(web):
        for step in scenario.steps:
            yield scenario, step


def ask(
    scenario: Scenario, method: str = "GET", hop: int = 0, web: str = "https", seen: int = 0, **headers: str
) -> Served | None:
    """Asks the lab's web for a hop of a scenario as a browser would; underscores in header names are dashes."""
    place = Place(web=web, run="t", scenario=scenario.id, hop=hop)
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    origin = WEBS[web].origins[scenario.hops[hop].role]
    return answer(Asked(method=method, origin=origin, path=path_of(place), headers=fields, seen=seen))


def first(tag: str, web: str = "https", **wanted: object) -> Scenario:
    """The first scenario with a tag whose first step has these attributes."""
    for scenario in scenarios(web):
        if scenario.tag == tag and all(getattr(scenario.steps[0], key) == value for key, value in wanted.items()):
            return scenario
    raise AssertionError(tag)


# -- the table ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["scenarios.scenarios('https')", "drawn.scenario_drawn('https', 'seed-7')"])
def test_what_is_made_is_the_same_in_another_process(call: str) -> None:
    # String hashes differ between processes: nothing in the table may hang on them, nor in what chance draws.
    program = f"""if True:
        import hashlib
        from corscope.lab import drawn, scenarios
        print(hashlib.sha256(repr({call}).encode()).hexdigest())"""
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(FOLDER.parent.parent)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("web", WEBS)
def test_ids_are_unique_and_no_scenario_comes_twice(web: str) -> None:
    rows = scenarios(web)
    assert len({scenario.id for scenario in rows}) == len(rows)
    assert len({(scenario.context, scenario.hops, scenario.steps) for scenario in rows}) == len(rows)


@pytest.mark.parametrize("web", WEBS)
def test_a_table_has_thousands_of_scenarios(web: str) -> None:
    assert 4000 < len(scenarios(web)) < 6000


@pytest.mark.parametrize("web", WEBS)
def test_every_value_of_every_dimension_occurs(web: str) -> None:
    roles = {hop.role for scenario in scenarios(web) for hop in scenario.hops}
    contexts = {scenario.context for scenario in scenarios(web)}
    if web == "localhost":  # where there are no international names
        assert (roles, contexts) == (set(Role) - {Role.IDN}, set(Context) - {Context.IDN})
    else:
        assert (roles, contexts) == (set(Role), set(Context))
    asked = [step for _, step in steps(web)]
    assert {step.initiator for step in asked} == set(Initiator)
    assert {step.mode for step in asked} == set(Mode) - {Mode.SAME_ORIGIN}  # of which nothing is on the wire
    assert {step.credentials for step in asked} == set(Credentials)
    assert {step.method for step in asked} >= set(table.METHODS)
    assert {step.cache for step in asked} == {"default", "no-store", "no-cache", "reload"}
    sent = {step.headers for step in asked}
    assert sent >= {*table.HEADER_SETS.values(), *table.SAFELIST_EDGES.values()}
    answers = [one for scenario in scenarios(web) for hop in scenario.hops for one in hop.answers]
    assert {one.status for one in answers} >= {*table.STATUSES, *table.REDIRECT_STATUSES}
    assert {one.body for one in answers} >= set(table.BODIES.values())
    preflights = [one for scenario in scenarios(web) for hop in scenario.hops for one in hop.preflights]
    assert {one.status for one in preflights} == set(table.PREFLIGHT_STATUSES)
    page = WEBS[web].page
    for kinds, lines in (
        (table.ALLOW_ORIGIN_KINDS, lambda kind: table.allow_origin(kind, page)),
        (table.ALLOW_CREDENTIALS_KINDS, table.allow_credentials),
    ):
        for kind in kinds:
            for where in (answers, preflights):
                name = lines("echo" if kinds is table.ALLOW_ORIGIN_KINDS else "true")[0][0]
                assert any(tuple(line for line in one.headers if line[0] == name) == lines(kind) for one in where), kind


@pytest.mark.parametrize("web", WEBS)
def test_credentialed_and_uncredentialed_requests_come_in_pairs(web: str) -> None:
    # What can't be decided from the wire shows only where both are in the table.
    for prefix in ("method/", "header/", "preflight-check/", "redirect/", "mix"):
        modes: dict[object, set[Credentials]] = {}
        for scenario in scenarios(web):
            if scenario.tag.startswith(prefix):
                (step,) = scenario.steps
                key = (scenario.hops, step.method, step.headers, step.initiator)
                modes.setdefault(key, set()).add(step.credentials)
        assert modes
        assert all({Credentials.INCLUDE, Credentials.SAME_ORIGIN} <= found for found in modes.values()), prefix


def test_all_origins_are_reserved_names_or_this_machine() -> None:
    hosts = {re.sub(r"^https?://|:\d+$", "", origin) for origin in origins()}
    assert all(host.endswith(".test") or host in ("localhost", "127.0.0.1", "[::1]") for host in hosts)


@pytest.mark.parametrize("web", WEBS)
def test_parallel_steps_can_be_told_apart_by_their_bodies(web: str) -> None:
    for scenario in scenarios(web):
        if any(step.parallel for step in scenario.steps):
            assert [step.body for step in scenario.steps] == [f"step={n}" for n in range(len(scenario.steps))]


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("web", WEBS)
def test_every_hop_of_every_scenario_is_answered_as_the_table_says(web: str) -> None:
    for scenario in scenarios(web):
        for number, hop in enumerate(scenario.hops):
            served = ask(scenario, hop=number, web=web, Origin=scenario.origin)
            assert served is not None
            assert served.status == hop.answers[0].status
            preflight = ask(
                scenario, "OPTIONS", number, web, Origin=scenario.origin, Access_Control_Request_Method="PUT"
            )
            assert preflight is not None
            assert preflight.status == hop.preflights[0].status
            for given, said in ((hop.answers[0], served), (hop.preflights[0], preflight)):
                names = {name for name, _ in given.headers}
                kept = [line for line in said.headers if line[0] in names]
                assert [name for name, _ in kept] == [name for name, _ in given.headers]
                for (_, wanted), (_, value) in zip(given.headers, kept, strict=True):
                    assert value == wanted or wanted in (table.RECEIVED_ORIGIN, table.NEXT_HOP)


def test_an_answer_byte_for_byte() -> None:
    scenario = first("check/origin/twice-different/true", credentials=Credentials.INCLUDE)
    served = ask(scenario, Origin=PAGE)
    assert served.headers == (
        ("Content-Type", "application/json"),
        ("Access-Control-Allow-Origin", PAGE),
        ("Access-Control-Allow-Origin", "https://elsewhere.example"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Cache-Control", "no-store"),
        ("Content-Length", "13"),
    )
    assert served.content == b'{"lab": true}'


def test_echo_is_of_the_received_origin_and_real_is_not() -> None:
    echoing = first("redirect/cross-third/good/good")
    assert dict(ask(echoing, hop=1, Origin="null").headers)["Access-Control-Allow-Origin"] == "null"
    assert "Access-Control-Allow-Origin" not in dict(ask(echoing, hop=1).headers)
    real = first("redirect/cross-third/good/real")
    assert dict(ask(real, hop=1, Origin="null").headers)["Access-Control-Allow-Origin"] == PAGE


def test_a_redirect_points_to_the_next_hop() -> None:
    plain, named = first("redirect/cross-third/good/good"), first("redirect-user/u:p/good")
    location = dict(ask(plain, Origin=PAGE).headers)["Location"]
    assert location == f"https://cdn.corscope-third.test/x/https/t/{plain.id}/1"
    assert place_of(location.removeprefix("https://cdn.corscope-third.test")) == Place(
        web="https", run="t", scenario=plain.id, hop=1
    )
    assert dict(ask(named, Origin=PAGE).headers)["Location"].startswith(f"{CROSS.replace('//', '//u:p@')}/x/")


def test_answers_change_when_they_are_asked_for_again() -> None:
    scenario = first("retry/preflight/missing")
    asked = {"method": "OPTIONS", "Origin": PAGE, "Access_Control_Request_Method": "PUT"}
    names = [
        {name for name, _ in ask(scenario, seen=seen, **asked).headers if name.endswith("Origin")} for seen in range(3)
    ]
    assert names == [set(), {"Access-Control-Allow-Origin"}, {"Access-Control-Allow-Origin"}]


def test_a_conditional_request_gets_304_where_the_scenario_has_one() -> None:
    scenario = first("stored/304/good/other")
    assert ask(scenario, Origin=PAGE).status == 200
    served = ask(scenario, Origin=PAGE, If_None_Match='"1"')
    assert (served.status, served.content) == (304, b"")
    assert dict(served.headers)["Access-Control-Allow-Origin"] == "https://elsewhere.example"


def test_head_and_empty_statuses_have_no_body() -> None:
    scenario = first("check/role/app/good")
    get, head = ask(scenario), ask(scenario, "HEAD")
    assert (head.headers, head.content) == (get.headers, b"")
    empty = ask(first("status/204/good"), Origin=PAGE)
    assert (empty.content, "Content-Length" in dict(empty.headers)) == (b"", False)


@pytest.mark.parametrize("origin", [PAGE, "https://example.com", "null"])
def test_cookies_are_set_with_leave_for_the_lab_alone(origin: str) -> None:
    served = answer(Asked(method="GET", origin=PAGE, path="/jar", headers=(("Origin", origin),)))
    assert served is not None
    names = [name for name, _ in served.headers]
    assert names.count("Set-Cookie") == 4
    assert ("Access-Control-Allow-Origin" in names) is (origin == PAGE)
    assert ("Access-Control-Allow-Credentials" in names) is (origin == PAGE)


def test_the_web_has_nothing_else() -> None:
    assert answer(Asked(method="GET", origin="https://example.com", path="/")) is None
    assert answer(Asked(method="GET", origin=PAGE, path="/nothing")) is None
    assert answer(Asked(method="GET", origin=PAGE, path="/x/https/t/99999/0")) is None
    assert answer(Asked(method="GET", origin=PAGE, path="/x/nowhere/t/0000/0")) is None
    assert answer(Asked(method="GET", origin=PAGE, path="/x/https/t/0000/7")) is None
    assert answer(Asked(method="GET", origin=CROSS, path="/table.json")) is None


@pytest.mark.parametrize(
    ("body", "start"),
    [
        (Body.IMAGE, b"\x89PNG\r\n\x1a\n"),
        (Body.FONT, b"\0\1\0\0"),
        (Body.MEDIA, b"RIFF"),
        (Body.TRACK, b"WEBVTT\n"),
        (Body.EVENTS, b"data: "),
    ],
)
def test_bodies_are_what_they_claim(body: Body, start: bytes) -> None:
    assert BODIES[body][1].startswith(start)


# -- the page ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ASSETS)
def test_assets_are_served_on_every_origin_and_bring_nothing_from_outside(path: str) -> None:
    for origin in sorted(origins()):
        served = answer(Asked(method="GET", origin=origin, path=path + "?run=x"))
        assert served is not None
        assert served.status == 200
        content = served.content.decode()
        assert not re.search(r"https?://|@import|(src|href)=[\"'](?!/|\$\{location\.origin\}/)", content)


@pytest.mark.parametrize("web", WEBS)
def test_the_page_gets_the_whole_table_or_a_part(web: str) -> None:
    page = WEBS[web].page
    whole = json.loads(answer(Asked(method="GET", origin=page, path="/table.json?only="), local=True).content)
    assert [row["id"] for row in whole["scenarios"]] == [scenario.id for scenario in scenarios(web)]
    part = json.loads(answer(Asked(method="GET", origin=page, path="/table.json?only=warm/"), local=True).content)
    assert {row["tag"].split("/")[0] for row in part["scenarios"]} == {"warm"}
    assert set(whole["origins"]) == set(WEBS[web].origins.values())
    assert whole["leftOut"] == 0


@pytest.mark.parametrize("web", ["https", "http"])
def test_what_asks_this_very_machine_is_left_out_where_it_is_not_taken_over(web: str) -> None:
    page = WEBS[web].page
    table = json.loads(answer(Asked(method="GET", origin=page, path="/table.json?only=")).content)
    assert len(table["scenarios"]) + table["leftOut"] == len(scenarios(web))
    assert table["leftOut"] == (39 if web == "https" else 0)
    assert all(".test" in origin for origin in [*table["origins"], *(row["origin"] for row in table["scenarios"])])


def directives(path: str, *, local: bool) -> dict[str, set[str]]:
    """The policy of one of the lab's documents."""
    served = answer(Asked(method="GET", origin=WEBS["https"].page, path=path), local=local)
    assert served is not None
    (policy,) = [value for name, value in served.headers if name == "Content-Security-Policy"]
    return {name: set(sources) for name, *sources in (directive.split() for directive in policy.split("; "))}


@pytest.mark.parametrize("local", [False, True])
def test_the_labs_documents_may_ask_the_lab_and_nobody_else(local: bool) -> None:
    page, agent = (directives(path, local=local) for path in ("/", "/agent.html"))
    lab = {origin for origin in origins() if local or origin.partition("://")[2].split(":")[0].endswith(".test")}
    assert ("http://localhost:8080" in lab) == local
    # No policy can name an IPv6 address.
    named = {"http:" if "[" in origin else origin for origin in lab}
    special = {"frame-src": {"data:"}, "worker-src": {"blob:"}}
    for name in ("script", "style", "img", "font", "media", "connect", "frame", "worker"):
        assert page[f"{name}-src"] == named | special.get(f"{name}-src", set())
    assert page["form-action"] == named
    assert (page["default-src"], page["base-uri"]) == ({"'none'"}, {"'none'"})
    # Only the agent is framed, by the page.
    pages = {web.page for web in WEBS.values()} & lab
    assert (page.pop("frame-ancestors"), agent.pop("frame-ancestors")) == ({"'none'"}, pages)
    assert page == agent


def test_the_page_has_nothing_inline() -> None:
    for name in ("page.html", "agent.html"):
        text = (FOLDER / name).read_text()
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=)", text)


def test_the_page_puts_text_on_the_screen_as_text() -> None:
    for name in ("page.js", "runner.js", "contexts.js", "agent.js"):
        text = (FOLDER / name).read_text()
        assert text.startswith('"use strict";')
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text)


def test_the_page_knows_every_initiator_and_context() -> None:
    agent, contexts = ((FOLDER / name).read_text() for name in ("agent.js", "contexts.js"))
    for name in itertools.chain(Initiator):
        assert re.search(rf"^  (async )?{name}[(:]", agent, re.MULTILINE), name
    for name in Context:
        assert re.search(rf'^  "?{name}"?:', contexts, re.MULTILINE), name


def test_a_step_tells_only_what_differs_from_the_usual() -> None:
    row = next(row for row in json.loads(table_json(WEBS["https"]))["scenarios"] if row["tag"].startswith("method/PUT"))
    (step,) = row["steps"]
    assert set(step) == {"initiator", "mode", "credentials", "method", "body"}
