"""HARs that real tools wrote, read and judged, against what the pages saw; and what such HARs tell at all."""

from __future__ import annotations

import io
import json
import lzma
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from corscope.captures.capture import Damage
from corscope.captures.har import read_har
from corscope.checking import check_entries
from corscope.model import Exchange
from corscope.recorder.score import Grade, grade, truths_in
from corscope.report import as_json
from corscope.session import Session

CAPTURES = Path(__file__).parent / "captures"
SUFFIX = ".truth.jsonl.gz"
NAMES = sorted(path.name.removesuffix(SUFFIX) for path in CAPTURES.glob(f"*{SUFFIX}"))
CHROMIUM = [name for name in NAMES if name.startswith("chromium")]
FIREFOX = [name for name in NAMES if name.startswith("firefox")]
PLAYWRIGHT = [name for name in NAMES if name.startswith("playwright")]
WRITERS = pytest.mark.parametrize("name", NAMES)
SHOWN = 8
"""Faults that a failure names."""


@dataclass(frozen=True, kw_only=True)
class Read:
    """A HAR, read and judged."""

    exchanges: Mapping[str, Exchange]
    damages: list[Damage]
    verdicts: Mapping[str, dict[str, Any]]
    """As JSON, by the entry's index."""


def har(name: str) -> bytes:
    """The HAR itself, as its writer wrote it."""
    zipped = CAPTURES / f"{name}.zip"
    if zipped.exists():
        with zipfile.ZipFile(zipped) as archive:
            return archive.read("har.har")
    return lzma.decompress((CAPTURES / f"{name}.har.xz").read_bytes())


@cache
def truths(name: str) -> list[dict[str, Any]]:
    """What became of each request that was on the wire."""
    return list(truths_in(CAPTURES / f"{name}{SUFFIX}"))


@cache
def told(name: str) -> dict[str, dict[str, Any]]:
    """The truth by the entry's index, where there is an entry."""
    return {str(truth["entry"]): truth for truth in truths(name) if truth["entry"] is not None}


@cache
def read(name: str) -> Read:
    """Reads and judges a HAR."""
    damages = list[Damage]()
    entries = list(read_har(io.BytesIO(har(name)), wanted=None, damaged=damages.append))
    return Read(
        exchanges={entry.exchange.id: entry.exchange for entry in entries},
        damages=damages,
        verdicts={one.verdict.flow_id: as_json(one.verdict) for one in check_entries(entries, Session())},
    )


def graded(name: str) -> Iterator[tuple[Grade, Mapping[str, Any], Mapping[str, Any]]]:
    """Each verdict on an entry that has a truth, with both."""
    verdicts = read(name).verdicts
    for index, truth in told(name).items():
        if (verdict := verdicts.get(index)) and (found := grade(truth, verdict)):
            yield found, truth, verdict


def none(faults: list[str]) -> None:
    """Fails with the first few faults, if there are any."""
    if faults:
        pytest.fail(f"{len(faults)} of them:\n" + "\n".join(faults[:SHOWN]), pytrace=False)


def line(truth: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """One line for whoever looks into a fault."""
    return (
        f"entry {truth['entry']}: {truth['method']} {truth['url']} {truth['tag']} ({truth['context']},"
        f" {truth['initiator']}, credentials {truth['credentials']}): browser {truth['verdict']} {truth['reason']},"
        f" said {verdict['verdict']} {verdict['devtools_error']} (mode {verdict['mode']}, credentials"
        f" {verdict['credentials']} {verdict['credentials_evidence']}), observed {verdict.get('observed')}"
    )


def test_all_three_tools_are_recorded() -> None:
    assert NAMES == [
        "chromium-https",
        "chromium-https-sensitive",
        "chromium-localhost",
        "chromium-localhost-sensitive",
        "firefox-https",
        "firefox-localhost",
        "playwright-attached-https",
        "playwright-https",
        "playwright-localhost",
        "playwright-minimal-https",
    ]


# -- judged ------------------------------------------------------------------------------------------------------------


@WRITERS
def test_every_entry_is_read_once_and_without_damage(name: str) -> None:
    urls = [entry["request"]["url"] for entry in json.loads(har(name))["log"]["entries"]]
    assert not read(name).damages
    assert read(name).exchanges.keys() == {str(index) for index, url in enumerate(urls) if url.startswith("http")}


@WRITERS
def test_no_definite_verdict_contradicts_what_the_page_saw(name: str) -> None:
    none([line(truth, verdict) for found, truth, verdict in graded(name) if found is Grade.WRONG])


@WRITERS
def test_a_browsers_own_record_contradicts_no_definite_verdict(name: str) -> None:
    against = [
        f"entry {index}: {verdict['verdict']} {verdict['url']} {verdict['observed']}"
        for index, verdict in read(name).verdicts.items()
        if verdict.get("observed") and verdict["observed"]["agrees"] is False
    ]
    none(against)


@WRITERS
def test_what_a_record_is_taken_to_say_is_what_the_page_saw(name: str) -> None:
    exchanges = read(name).exchanges
    wrong = [
        f"entry {index}: {truth['method']} {truth['url']} {truth['tag']}: {exchanges[index].observed}"
        for index, truth in told(name).items()
        if (observed := exchanges[index].observed) is not None
        and observed.delivered is not None
        and observed.delivered is not (truth["verdict"] == "allowed")
        # What became of a beacon nobody can see.
        and truth["verdict"] is not None
    ]
    none(wrong)


DEFINITE = {"chromium": (400, 400), "firefox": (396, 404), "playwright": (160, 160)}
"""Of the exchanges that CORS concerns: how many have a definite verdict at least, of how many with any verdict."""


@WRITERS
def test_so_many_verdicts_are_definite(name: str) -> None:
    grades = Counter(found for found, truth, _ in graded(name) if truth["cors"])
    least, judged = DEFINITE[name.partition("-")[0]]
    assert grades[Grade.RIGHT] >= least
    assert grades.total() == judged


# -- what HARs tell ----------------------------------------------------------------------------------------------------
#
# What the reader rests on. Where one of these fails after a new recording, that browser writes something else.


def entries_with_truth(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each entry that has a truth, as it was written, with it."""
    entries = json.loads(har(name))["log"]["entries"]
    for truth in truths(name):
        if truth["entry"] is not None:
            yield entries[truth["entry"]], truth


def has(entry: Mapping[str, Any], part: str, header: str) -> bool:
    """Tells whether a message of an entry has a header."""
    return any(field["name"].lower() == header for field in entry[part]["headers"])


@WRITERS
def test_an_entry_has_one_truth(name: str) -> None:
    placed = [truth["entry"] for truth in truths(name) if truth["entry"] is not None]
    assert len(placed) == len(set(placed)) > 350
    for entry, truth in entries_with_truth(name):
        assert (entry["request"]["method"], entry["request"]["url"]) == (truth["method"], truth["url"])


@pytest.mark.parametrize("name", CHROMIUM)
def test_chromium_writes_an_error_on_what_it_blocked_but_on_no_preflight(name: str) -> None:
    seen = Counter(
        (truth["preflight"], truth["verdict"], entry["response"]["_error"])
        for entry, truth in entries_with_truth(name)
        if truth["cors"] and truth["verdict"]
    )
    assert seen.keys() == {
        (False, "allowed", None),
        (False, "blocked", "net::ERR_FAILED"),
        (True, "allowed", None),
        (True, "blocked", None),
        (True, "blocked", "net::ERR_INVALID_REDIRECT"),
    }
    # An opaque answer, which has no body to read, was delivered all the same.
    aborted = [truth for entry, truth in entries_with_truth(name) if entry["response"]["_error"] == "net::ERR_ABORTED"]
    assert {(truth["cors"], truth["initiator"], truth["page_saw"]["ok"]) for truth in aborted} == {
        (False, "fetch no-cors", True)
    }


@pytest.mark.parametrize("name", CHROMIUM)
def test_chromium_writes_the_response_that_it_blocked_but_for_workers(name: str) -> None:
    for entry, truth in entries_with_truth(name):
        if truth["cors"] and truth["verdict"] == "blocked" and not truth["preflight"]:
            response, in_worker = entry["response"], truth["context"] == "worker"
            assert response["status"] == (0 if in_worker else truth["status"])
            assert bool(response["headers"]) is not in_worker
            assert has(entry, "request", "origin") is not in_worker
            assert "_connectionId" not in entry
            assert response["content"]["size"] == 0


@pytest.mark.parametrize("name", CHROMIUM + FIREFOX)
def test_a_referer_has_the_origin_that_asks_and_the_tabs_page_need_not(name: str) -> None:
    log = json.loads(har(name))["log"]
    tabs = {page["id"]: page["title"] for page in log["pages"]}
    compared, frames = 0, 0
    for entry in log["entries"]:
        sent = {field["name"].lower(): field["value"] for field in entry["request"]["headers"]}
        origin, referer = sent.get("origin", "null"), sent.get("referer")
        if origin != "null" and referer is not None:
            compared += 1
            assert referer.startswith(f"{origin}/")
        if origin != "null" and not tabs.get(entry.get("pageref"), "").startswith(f"{origin}/"):
            frames += 1
    assert compared > 390
    assert frames > 0
    # What has no origin of its own sends none.
    assert not any(has(entry, "request", "referer") for entry, truth in entries_with_truth(name) if in_sandbox(truth))


def in_sandbox(truth: Mapping[str, Any]) -> bool:
    """Tells whether a sandboxed frame asked."""
    return bool(truth["context"] == "sandbox")


@pytest.mark.parametrize("name", CHROMIUM)
def test_chromium_marks_preflights_and_what_came_from_its_cache(name: str) -> None:
    for entry in json.loads(har(name))["log"]["entries"]:
        preflight = has(entry, "request", "access-control-request-method")
        assert (entry["_initiator"]["type"] == "preflight") is (entry["_resourceType"] == "preflight") is preflight
        if "_fromCache" in entry:
            assert "_connectionId" not in entry
            assert not has(entry, "request", "origin")


@pytest.mark.parametrize("name", CHROMIUM)
def test_the_times_that_chromium_was_blocked_do_not_tell_what_was_sent(name: str) -> None:
    seen = {
        (entry["response"]["status"] > 0, entry["timings"]["_blocked_queueing"] == -1)
        for entry in json.loads(har(name))["log"]["entries"]
    }
    assert {(True, True), (True, False), (False, True)} <= seen
    assert all("_blocked_proxy" not in entry["timings"] for entry in json.loads(har(name))["log"]["entries"])


@pytest.mark.parametrize("name", FIREFOX)
def test_firefox_writes_neither_who_asked_nor_why_it_blocked(name: str) -> None:
    log = json.loads(har(name))["log"]
    assert not any("_initiator" in entry or "_blockedReason" in entry for entry in log["entries"])


@pytest.mark.parametrize("name", CHROMIUM)
def test_chromium_leaves_credentials_out_unless_asked(name: str) -> None:
    entries = json.loads(har(name))["log"]["entries"]
    secret = {("request", "cookie"), ("request", "authorization"), ("response", "set-cookie")}
    found = {(part, header) for entry in entries for part, header in secret if has(entry, part, header)}
    assert found == (secret if name.endswith("-sensitive") else set())


@pytest.mark.parametrize("name", CHROMIUM + FIREFOX)
def test_developer_tools_list_preflights_behind_the_request_that_waits_for_them(name: str) -> None:
    entries = json.loads(har(name))["log"]["entries"]
    waiting = {entry["request"]["url"]: index for index, entry in reversed(list(enumerate(entries)))}
    behind = [truth["entry"] - waiting[truth["url"]] for truth in truths(name) if truth["preflight"]]
    assert min(behind) > 0
    assert len(behind) == 106


@pytest.mark.parametrize("name", CHROMIUM + FIREFOX)
def test_the_connection_of_developer_tools_is_a_port(name: str) -> None:
    # The proxy's, which all connections led to; Chromium has their identifiers elsewhere.
    entries = json.loads(har(name))["log"]["entries"]
    assert len({entry["connection"] for entry in entries if "connection" in entry}) == 1
    identifiers = {entry["_connectionId"] for entry in entries if "_connectionId" in entry}
    assert len(identifiers) > 5 if name in CHROMIUM else not identifiers


@pytest.mark.parametrize("name", FIREFOX)
def test_firefox_writes_blocked_responses_like_others(name: str) -> None:
    def look(entry: Mapping[str, Any]) -> tuple[object, ...]:
        response = entry["response"]
        return (
            response["status"] > 0,
            entry.keys(),
            response.keys(),
            response["content"].keys(),
            "connection" in entry,
        )

    looks: dict[str, list[tuple[object, ...]]] = {"allowed": [], "blocked": []}
    for entry, truth in entries_with_truth(name):
        if truth["cors"] and not truth["preflight"] and truth["verdict"]:
            assert entry["response"]["status"] == truth["status"]
            looks[truth["verdict"]].append(look(entry))
    assert looks["blocked"]
    assert all(one in looks["allowed"] for one in looks["blocked"])


@pytest.mark.parametrize("name", FIREFOX)
def test_firefox_writes_no_status_for_a_request_that_was_not_sent(name: str) -> None:
    placed = {truth["entry"] for truth in truths(name)}
    entries = json.loads(har(name))["log"]["entries"]
    refused = {truth["url"] for truth in truths(name) if truth["preflight"] and truth["verdict"] == "blocked"}
    unsent = [entry for index, entry in enumerate(entries) if index not in placed and entry["response"]["status"] == 0]
    assert refused <= {entry["request"]["url"] for entry in unsent}
    for entry in unsent:
        assert (entry["time"], entry["response"]["headers"], "connection" in entry) == (0, [], False)


@pytest.mark.parametrize("name", PLAYWRIGHT)
def test_playwright_writes_neither_preflights_nor_what_was_blocked(name: str) -> None:
    assert {truth["entry"] is None for truth in truths(name) if truth["preflight"]} == {True}
    assert {truth["entry"] is None for truth in truths(name) if not truth["preflight"]} == {False}
    for entry, truth in entries_with_truth(name):
        if truth["cors"] and truth["verdict"]:
            response, blocked = entry["response"], truth["verdict"] == "blocked"
            assert response.get("_failureText") == ("net::ERR_FAILED" if blocked else None)
            assert (response["status"] == -1) is blocked is (response["headers"] == [])
