"""What the playground takes, what it refuses in a line, and that its presets are right by its own rules."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corscope.catalogue import CATALOGUE
from corscope.lab.answers import AD_HOC, Asked, Place, choose, hop_url, path_of, place_of, serve, step_json
from corscope.lab.playground import (
    DOCUMENT_BYTES,
    LINES,
    RESERVED,
    RULES,
    DocumentError,
    id_of,
    read_document,
    rules_json,
    scenario_of_document,
)
from corscope.lab.presets import PRESETS, by_id
from corscope.lab.scenarios import HTTP, HTTPS, Context, Credentials, Initiator, Mode, Role, Scenario

SIMPLE: dict[str, Any] = {"request": {"initiator": "fetch"}, "server": {"at": "sibling", "answers": [{}]}}


def made(**request: object) -> dict[str, Any]:
    """A document with a request of one's own."""
    return {**copy.deepcopy(SIMPLE), "request": {"initiator": "fetch", **request}}


def answering(*lines: list[str], **answer: object) -> dict[str, Any]:
    """A document with an answer of one's own."""
    return {**SIMPLE, "server": {"at": "sibling", "answers": [{"headers": list(lines), **answer}]}}


def scenario(document: dict[str, Any]) -> Scenario:
    return scenario_of_document(document, HTTPS)


def refused(document: dict[str, Any]) -> str:
    """Why a document is not taken."""
    with pytest.raises(DocumentError) as caught:
        scenario(document)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    return str(caught.value)


# -- what is taken -----------------------------------------------------------------------------------------------------


def test_the_shortest_document_is_a_fetch_of_json() -> None:
    taken = scenario(SIMPLE)
    (step,), (hop,) = taken.steps, taken.hops
    assert (step.initiator, step.mode, step.credentials, step.method) == (
        Initiator.FETCH,
        Mode.CORS,
        Credentials.SAME_ORIGIN,
        "GET",
    )
    assert (hop.role, hop.answers[0].status, hop.preflights[0].status) == (Role.SIBLING, 200, 204)
    assert (taken.context, taken.origin) == (Context.PAGE, HTTPS.page)


def test_a_document_has_the_same_name_whatever_the_order_of_its_keys() -> None:
    turned = {"server": SIMPLE["server"], "request": SIMPLE["request"]}
    assert id_of(SIMPLE) == id_of(turned) == scenario(SIMPLE).id
    assert id_of(made(times=2)) != id_of(SIMPLE)


def test_the_page_origin_is_that_of_the_web() -> None:
    document = answering(["Access-Control-Allow-Origin", "$PAGE/"])
    for web in (HTTPS, HTTP):
        (hop,) = scenario_of_document(document, web).hops
        assert hop.answers[0].headers == (("Access-Control-Allow-Origin", f"{web.page}/"),)


def test_what_a_preflight_asked_about_is_echoed() -> None:
    lines = [["Access-Control-Allow-Headers", "$HEADERS"], ["Access-Control-Allow-Methods", "$METHOD"]]
    document = {**SIMPLE, "server": {"at": "cross", "preflight": {"headers": lines}, "answers": [{}]}}
    taken = scenario(document)
    asks = (("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "x-a,x-b"))
    place = Place(web="https", run="r", scenario=taken.id, hop=0, folder=AD_HOC)
    asked = Asked(method="OPTIONS", origin=HTTPS.origins[Role.CROSS], path=path_of(place), headers=asks)
    served = serve(choose(asked, taken.hops[0]), asked, place, taken)
    assert ("Access-Control-Allow-Headers", "x-a,x-b") in served.headers
    assert ("Access-Control-Allow-Methods", "PUT") in served.headers


def test_a_redirect_leads_to_the_other_host() -> None:
    document = {
        **answering(status=302),
        "redirect": {"at": "third", "name": "login", "user": "user:word", "answers": [{"status": 200}]},
    }
    taken = scenario(document)
    place = Place(web="https", run="r", scenario=taken.id, hop=0, folder=AD_HOC)
    asked = Asked(method="GET", origin=HTTPS.origins[Role.SIBLING], path=path_of(place))
    served = serve(choose(asked, taken.hops[0]), asked, place, taken)
    location = dict(served.headers)["Location"]
    assert location == hop_url(taken, place, 1)
    assert location == f"https://user:word@cdn.corscope-third.test/p/https/r/{taken.id}/1/login"
    assert place_of(location.partition(".test")[2]) == Place(
        web="https", run="r", scenario=taken.id, hop=1, folder=AD_HOC
    )


def test_a_step_says_how_redirects_are_taken() -> None:
    (step,) = scenario(made(redirect="manual")).steps
    assert step_json(step)["redirect"] == "manual"
    assert "redirect" not in step_json(scenario(SIMPLE).steps[0])


def test_every_way_of_every_initiator_can_be_chosen() -> None:
    for initiator, rule in RULES.items():
        for mode, credentials in rule.ways:
            for context in rule.contexts:
                document = made(mode=mode, credentials=credentials)
                document["request"].update({"initiator": initiator, "from": context})
                (step,) = scenario(document).steps
                assert (step.initiator, step.mode, step.credentials) == (initiator, mode, credentials)
    assert rules_json()["initiators"]["font"]["ways"] == ((Mode.CORS, Credentials.SAME_ORIGIN),)


# -- what is not -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({}, "request is missing"),
        ({"request": []}, "server is missing"),
        ({"request": [], "server": {}}, "request: an object is expected"),
        ({**SIMPLE, "script": "alert(1)"}, "“script” is not known"),
        (made(initiator="beacon"), "can be chosen here"),
        (made(initiator=["fetch"]), "can be chosen here"),
        (made(**{"from": "cross"}), "request.from"),
        (made(mode="navigate"), "request.mode"),
        (made(initiator="font", credentials="include"), "request.credentials"),
        (made(initiator="img", method="POST"), "the browser makes the request"),
        (made(initiator="xhr", redirect="manual"), "request.redirect: follow can be chosen here"),
        (made(method="TRACE"), "no script can send 'TRACE'"),
        (made(method="GE T"), "no script can send"),
        (made(method="PUT", mode="no-cors"), "GET, HEAD, POST"),
        (made(body="x"), "a GET has no body"),
        (made(type="text/plain"), "there is no body for it"),
        (made(method="POST", body="\0"), "can't be sent"),
        (made(method="POST", body="x" * 2049), "2,048 are the most"),
        (made(headers=[["X Y", "1"]]), "is no header name"),
        (made(headers=[["X-Tag", "1\r\nX-Other: 2"]]), "can't be sent"),
        (made(headers=[["X-Tag", "ä"]]), "can't be sent"),
        (made(headers=[["X-Tag", "1", "2"]]), "a pair of name and value"),
        (made(headers=[["X-Tag", "1"]] * (LINES + 1)), f"at most {LINES} lines"),
        (made(headers="X-Tag: 1"), "a list"),
        (made(times=0), "from 1 to 3"),
        (made(times=True), "from 1 to 3"),
        (made(times=2.0), "from 1 to 3"),
        (made(user="user"), "user:password"),
        (made(user="user@evil.example:x"), "user:password"),
        ({**SIMPLE, "server": {"at": "evil.example", "answers": [{}]}}, "server.at"),
        ({**SIMPLE, "server": {"at": "scheme", "answers": [{}]}}, "server.at"),
        ({**SIMPLE, "server": {"at": "cross", "answers": []}}, "1 to 3 answers"),
        ({**SIMPLE, "server": {"at": "cross", "answers": [7]}}, "an object is expected"),
        (answering(status=101), "from 200 to 599"),
        (answering(status="200"), "from 200 to 599"),
        (answering(status=407), "a proxy's answer"),
        (answering(body="<script>"), "can be chosen here"),
        (answering(["Location", "https://evil.example/"]), "choose a redirect"),
        (answering(["content-type", "text/html"]), "choose a body"),
        (answering(["Proxy-Authenticate", "Basic"]), "not for the playground"),
        (answering([":status", "200"]), "is no header name"),
        (answering(["Set-Cookie", "a=1\n"]), "can't be sent"),
        ({**SIMPLE, "redirect": {"at": "cross", "answers": [{}]}}, "a redirect has 301, 302"),
        ({**answering(status=302), "redirect": {"at": "cross", "name": "../x", "answers": [{}]}}, "small letters"),
        ({**answering(status=302), "redirect": {"at": "cross", "user": "a@b", "answers": [{}]}}, "letters and digits"),
        ({**answering(status=302), "redirect": "https://evil.example/"}, "an object is expected"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(document: dict[str, Any], why: str) -> None:
    assert why in refused(document)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_headers_that_reach_beyond_the_run_are_refused(name: str) -> None:
    assert "not for the playground" in refused(answering([name.title(), "x"]))


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"7", b"\xff", b"{", b'{"a": 1' + b"0" * 5000 + b"}", b"[" * 16_000, b" " * (DOCUMENT_BYTES + 1)],
    ids=["empty", "list", "number", "no text", "half", "long number", "deep", "long"],
)
def test_what_is_no_document_is_refused_in_a_line(content: bytes) -> None:
    with pytest.raises(DocumentError):
        read_document(content)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(preset=st.sampled_from(PRESETS), data=st.data())
def test_whatever_is_put_into_a_document_is_taken_or_refused(preset: Any, data: st.DataObject) -> None:  # noqa: ANN401
    document = copy.deepcopy(preset.document)
    place: Any = document
    while isinstance(place, dict | list) and place:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            place[key] = data.draw(_VALUES)
            break
        place = place[key]
    said = ""
    try:
        taken = scenario(read_document(json.dumps(document).encode()))
    except DocumentError as error:
        said = str(error)
    else:
        for hop in taken.hops:
            for one in (*hop.answers, *hop.preflights):
                assert all(value.isascii() and value.replace("\t", " ").isprintable() for _, value in one.headers)
    assert "\n" not in said


# -- the presets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.id)
def test_each_preset_is_a_document_and_says_what_it_shows(preset: Any) -> None:  # noqa: ANN401
    for web in (HTTPS, HTTP):
        assert scenario_of_document(preset.document, web).id == id_of(preset.document)
    assert by_id(preset.id) is preset
    assert preset.text.endswith(".")
    assert len(preset.text) < 240
    assert len(preset.title) < 45
    assert preset.finding is None or preset.finding in CATALOGUE


def test_the_classic_questions_are_all_there() -> None:
    ids = [preset.id for preset in PRESETS]
    assert len(ids) == len(set(ids))
    assert {
        *("wildcard-with-credentials", "missing-allow-credentials", "allow-credentials-true-capitalised"),
        *("authorization-by-browser", "authorization-by-application", "samesite-lax", "third-party-cookie"),
        *("eventsource-with-credentials", "echoed-request-headers", "redirect-to-login", "preflight-unauthorized"),
    } <= set(ids)
