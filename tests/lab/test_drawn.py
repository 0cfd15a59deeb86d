"""The scenarios that chance draws."""

from __future__ import annotations

import json

import pytest

from corscope.lab.answers import Asked, Place, answer, place_of, scenario_of, table_json
from corscope.lab.drawn import drawn, is_drawn, scenario_drawn
from corscope.lab.scenarios import HTTPS, METHODS, PREFLIGHT_STATUSES, WEBS, Context, Initiator, Mode, Role, Scenario


def many(web: str) -> list[Scenario]:
    return list(drawn(WEBS[web], "random/t/800"))


def test_a_scenario_is_drawn_from_its_id_alone() -> None:
    found = list(drawn(HTTPS, "random/seed/8"))
    scenario_drawn.cache_clear()
    assert scenario_drawn("https", "seed-7") == found[7]


@pytest.mark.parametrize("web", WEBS)
def test_seeds_and_numbers_make_others(web: str) -> None:
    found = [*many(web), *drawn(WEBS[web], "random/u/800")]
    assert len({one.id for one in found}) == 1600
    assert len({(one.context, one.hops, one.steps) for one in found}) > 1590


@pytest.mark.parametrize("web", WEBS)
def test_much_is_combined(web: str) -> None:
    found = many(web)
    contexts = {Context.PAGE, Context.WORKER, Context.SANDBOX, Context.CROSS, Context.BLOB_WORKER, Context.DATA}
    roles = {Role.SIBLING, Role.CROSS, Role.THIRD, Role.APP, Role.PORT, Role.SCHEME}
    if Role.IDN in WEBS[web].origins:
        contexts, roles = contexts | {Context.IDN}, roles | {Role.IDN}
    assert {one.context for one in found} == contexts
    assert {hop.role for one in found for hop in one.hops} == roles
    steps = [step for one in found for step in one.steps]
    assert {step.initiator for step in steps} == {
        *(Initiator.FETCH, Initiator.XHR, Initiator.EVENT_SOURCE, Initiator.MODULE, Initiator.IMAGE, Initiator.SCRIPT),
        *(Initiator.STYLE, Initiator.FONT, Initiator.VIDEO, Initiator.TRACK),
    }  # fmt: skip
    assert {step.method for step in steps} == set(METHODS)
    assert {step.mode for step in steps} == {Mode.CORS, Mode.NO_CORS}
    assert {len(one.hops) for one in found} == {1, 2, 3, 4}
    assert {len(one.steps) for one in found} == {1, 2, 3}
    answers = [preflight.status for one in found for hop in one.hops for preflight in hop.preflights]
    assert set(answers) == set(PREFLIGHT_STATUSES)


@pytest.mark.parametrize("web", WEBS)
def test_what_is_special_is_tagged_as_in_the_table(web: str) -> None:
    assert {one.tag for one in many(web)} == {
        "random/t", "cookie/random/t", "stored/random/t", "redirect-user/random/t",
    }  # fmt: skip
    for one in many(web):
        names = {name for hop in one.hops for said in hop.answers for name, _ in said.headers}
        assert ("Set-Cookie" in names) == one.tag.startswith("cookie/")
        assert ("ETag" in names and "no-store" not in str(one.hops[-1])) == one.tag.startswith("stored/")
        # A redirect names a user only there, if there is a redirect at all.
        users = any(hop.user_info for hop in one.hops)
        assert users == (one.tag.startswith("redirect-user/") and len(one.hops) > 1)


@pytest.mark.parametrize("web", WEBS)
def test_the_web_of_the_lab_answers_for_each(web: str) -> None:
    for one in many(web):
        for number, hop in enumerate(one.hops):
            place = Place(web=web, run="t", scenario=one.id, hop=number)
            assert scenario_of(place) == one
            path = f"/x/{web}/t/{one.id}/{number}"
            assert place_of(path) == place
            origin = WEBS[web].origins[hop.role]
            served = answer(Asked(method="GET", origin=origin, path=path))
            assert served is not None
            assert served.status == hop.answers[0].status


def test_a_redirect_leads_to_the_next_hop() -> None:
    one = next(one for one in many("https") if len(one.hops) > 1 and not one.tag.startswith("redirect-user/"))
    served = answer(Asked(method="GET", origin=HTTPS.origins[one.hops[0].role], path=f"/x/https/t/{one.id}/0"))
    assert served is not None
    assert dict(served.headers)["Location"] == f"{HTTPS.origins[one.hops[1].role]}/x/https/t/{one.id}/1"


@pytest.mark.parametrize(
    ("only", "count"),
    [
        ("random/a/3", 3),
        ("random/a/3,random/b/2", 5),
        ("status/,random/a/3", 143),
        ("random/a/0", 0),
        ("random/a/", 0),
        ("random/a/-1", 0),
        ("random/A/3", 0),
        ("random/a/10000", 0),
        ("random/a b/3", 0),
    ],
)
def test_the_page_asks_for_them_by_seed_and_count(only: str, count: int) -> None:
    assert len(json.loads(table_json(HTTPS, only))["scenarios"]) == count


def test_the_addon_draws_none_for_a_page() -> None:
    assert json.loads(table_json(HTTPS, "random/a/3", local=False))["scenarios"] == []


@pytest.mark.parametrize(
    ("id_", "is_one"),
    [("a-0", True), ("seed1-9999", True), ("0000", False), ("a-10000", False), ("A-1", False), ("a-1-1", False)],
)
def test_ids(id_: str, is_one: bool) -> None:
    assert is_drawn(id_) == is_one


@pytest.mark.parametrize("web", ["other", ""])
def test_other_webs_have_none(web: str) -> None:
    assert scenario_of(Place(web=web, run="t", scenario="a-1", hop=0)) is None


def test_a_scenario_has_the_origin_of_its_context() -> None:
    assert {one.origin for one in many("https") if one.context is Context.SANDBOX} == {"null"}
    assert scenario_drawn("http", "a-1").origin.startswith(("http://", "null"))
