"""The catalogue of findings: its entries, and a case file for each, through engine, session, JSON and text.

A case is a text file in `cases`, named after the finding that it proves. Its first line says in a sentence what
happens. `>` lines are a request (method and URL, then its headers), `<` lines its response (status, then headers),
`=` lines what is expected of it once all is said. `@` lines before a request say what is not in it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Formatter

import pytest

from builders import AGENTS, exchange, judged
from corscope.catalogue import CATALOGUE, FIREFOX_REASONS, Entry, fill
from corscope.model import Exchange, Severity, Verdict
from corscope.report import as_json, comment, explanation, firefox_reason, headline, log_line, texts
from corscope.session import Session

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))

DEVTOOLS_ERRORS = frozenset(
    [
        "DisallowedByMode",
        "InvalidResponse",
        "WildcardOriginNotAllowed",
        "MissingAllowOriginHeader",
        "MultipleAllowOriginValues",
        "InvalidAllowOriginValue",
        "AllowOriginMismatch",
        "InvalidAllowCredentials",
        "CorsDisabledScheme",
        "PreflightInvalidStatus",
        "PreflightDisallowedRedirect",
        "PreflightWildcardOriginNotAllowed",
        "PreflightMissingAllowOriginHeader",
        "PreflightMultipleAllowOriginValues",
        "PreflightInvalidAllowOriginValue",
        "PreflightAllowOriginMismatch",
        "PreflightInvalidAllowCredentials",
        "InvalidAllowMethodsPreflightResponse",
        "InvalidAllowHeadersPreflightResponse",
        "MethodDisallowedByPreflightResponse",
        "HeaderDisallowedByPreflightResponse",
        "RedirectContainsCredentials",
        "InsecureLocalNetwork",
        "InvalidLocalNetworkAccess",
        "NoCorsRedirectModeNotFollow",
        "LocalNetworkAccessPermissionDenied",
    ]
)
"""CDP Network.CorsError, as far as browsers still send it."""


# ---------------------------------------------------------------------- entries


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=list(CATALOGUE))
def test_entries_are_whole(entry: Entry) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", entry.id)
    assert Severity(entry.severity)
    assert entry.title
    assert len(entry.title) <= 32, "the title is a column's text"
    assert entry.why[0].isupper() or entry.why[0] in "“`{"
    assert entry.why.endswith((".", "}"))
    assert entry.fix
    assert entry.section.startswith("https://")
    assert "#" in entry.section


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=list(CATALOGUE))
def test_browsers_names_are_their_own(entry: Entry) -> None:
    for error in (entry.devtools_error, entry.preflight_error):
        assert error is None or error in DEVTOOLS_ERRORS
    assert (entry.devtools_error is None) is (entry.console is None), "Chromium prints what it names, and no more"
    assert entry.firefox is None or entry.firefox in FIREFOX_REASONS
    if entry.severity != "error":
        assert entry.devtools_error is None


def test_filling_forgets_nothing() -> None:
    assert fill("{a} and {b}", {"a": "1", "b": "{a}"}) == "1 and {a}"
    with pytest.raises(KeyError):
        fill("{a} and {b}", {"a": "1"})


def test_every_key_is_the_entrys_own() -> None:
    assert all(key == entry.id for key, entry in CATALOGUE.items())
    assert len({entry.title for entry in CATALOGUE.values()}) == len(CATALOGUE)


# ---------------------------------------------------------------------- cases


@dataclass
class Step:
    """An exchange of a case, and what is expected of it."""

    exchange: Exchange
    expected: list[tuple[str, str]] = field(default_factory=list)


def parse(text: str) -> list[Step]:
    """Parses a case's text."""
    steps: list[Step] = []
    at = 1000.0
    for block in re.split(r"\n\s*\n", text.partition("\n")[2].strip()):
        given: dict[str, list[str]] = {"@": [], ">": [], "<": [], "=": []}
        for line in block.splitlines():
            given[line[0]].append(line[2:])
        about = dict(line.partition(" ")[::2] for line in given["@"])
        for number in range(int(about.get("times", 1))):
            numbered = {
                mark: [line.replace("##", str(number + 1)).replace("#", str(number)) for line in lines]
                if "times" in about
                else lines
                for mark, lines in given.items()
            }
            at += float(about.get("after", 0.02))
            one = exchange(
                numbered[">"][0],
                origin=None,
                mode=None,
                site=None,
                dest=None,
                agent=AGENTS[about.get("browser", "chromium")],
                headers=[line.partition(": ")[::2] for line in numbered[">"][1:]],
                status=int(numbered["<"][0]),
                response=[line.partition(": ")[::2] for line in numbered["<"][1:]],
                proxy_made="proxy-made" in about,
                connection=about.get("connection"),
                at=at,
                flow=f"flow-{len(steps) + 1}",
            )
            steps.append(Step(one, [line.partition(" ")[::2] for line in numbered["="]]))
    return steps


def run(steps: list[Step]) -> dict[str, Verdict]:
    """Returns the last verdict on each exchange of a case."""
    session = Session()
    told = [verdict for step in steps for verdict in session.judge(step.exchange)] + session.finish()
    return {verdict.flow_id: verdict for verdict in told}


def test_every_finding_has_a_case() -> None:
    assert {path.stem for path in CASES} == set(CATALOGUE)


LEAKS = re.compile(r"[{}]|\bNone\b|\bb'|corscope|Outcome|Severity|<[A-Z]|SECRET|  +\S*$|: *$|\( *\)")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    steps = parse(text)
    verdicts = run(steps)
    proven = set()
    for step in steps:
        verdict = verdicts[step.exchange.id]
        data = json.loads(json.dumps(as_json(verdict)))
        findings = {finding["id"]: finding for finding in data["findings"]}
        proven |= findings.keys()
        shown = comment(verdict)
        fixes = " ".join(finding["fix"] for finding in data["findings"])
        known = {
            "verdict": data["verdict"],
            "kind": data["kind"],
            "mode": data["mode"],
            "credentials": data["credentials"],
            "error": data["devtools_error"] or "none",
            "findings": ", ".join(findings),
            "console": data["console"],
            "firefox": firefox_reason(verdict.findings[0]) if verdict.findings else None,
        }
        assert {"verdict", "findings"} <= {key for key, _ in step.expected}, "a case says what it expects"
        for key, value in step.expected:
            if key == "text":
                assert value in shown
            elif key == "fix":
                assert value in fixes
                assert value in shown
            else:
                assert known[key] == value, key
        check_rendering(verdict, shown)
    assert path.stem in proven, "the case proves what it is named after"


def check_rendering(verdict: Verdict, shown: str) -> None:
    """Checks that every form of a verdict says the same in whole sentences."""
    assert shown.splitlines()[0] == headline(verdict)
    assert len(headline(verdict)) <= 60
    explained = "\n".join(explanation(as_json(verdict)))
    for finding in verdict.findings:
        assert finding.severity == CATALOGUE[finding.id].severity
        for words in (texts(finding).message, texts(finding).fix):
            assert words in shown
            assert words in explained
    if verdict.outcome == "blocked":
        # A CORS failure that is a mere symptom is not what the headline names.
        named = [one for one in verdict.findings if one.id == "proxy-error"] or verdict.findings
        assert texts(named[0]).title[:20] in headline(verdict)
        assert verdict.findings[0].severity is Severity.ERROR
    for text in (shown, explained, log_line(verdict)):
        for line in text.splitlines():
            assert LEAKS.search(line) is None, line


HEADER = re.compile(r"(Access-Control-Allow-(?:Origin|Credentials)|Access-Control-Max-Age): ([^\s,]+)")
LIST = re.compile(r"(Access-Control-Allow-(?:Methods|Headers)): (.+)$")


def advice(text: str) -> list[tuple[bytes, bytes]]:
    """Returns the headers that a fix says to send."""
    return [(name.encode(), value.encode()) for name, value in HEADER.findall(text) + LIST.findall(text)]


@pytest.mark.parametrize(
    "path",
    [path for path in CASES if "Access-Control-" in CATALOGUE[path.stem].fix + "{fix}"],
    ids=lambda path: path.stem,
)
def test_the_fix_helps(path: Path) -> None:
    """What a finding says to send makes the finding go away."""
    steps = parse(path.read_text(encoding="utf-8"))
    for index, verdict in enumerate(run(steps).values()):
        for finding in verdict.findings:
            headers = advice(texts(finding).fix)
            if not headers:
                continue
            one = steps[index].exchange
            named = {name.lower() for name, _ in headers}
            kept = tuple((name, value) for name, value in one.response_headers if name.lower() not in named)
            mended = list(steps)
            mended[index] = Step(replace(one, response_headers=(*kept, *headers)))
            assert finding.id not in [other.id for other in run(mended)[one.id].findings]


def test_a_template_names_only_what_its_rule_gives() -> None:
    """Every entry's texts are filled in the cases above; here the names are kept to a known set."""
    known = {
        "origin",
        "value",
        "said",
        "method",
        "methods",
        "header",
        "headers",
        "status",
        "location",
        "scheme",
        "count",
        "error",
    }
    for entry in CATALOGUE.values():
        for text in (entry.title, entry.why, entry.fix, entry.console or ""):
            names = {name for _, name, _, _ in Formatter().parse(text) if name}
            assert names <= known | {"console", "fix", "missing"}


def test_the_same_words_for_a_lone_exchange() -> None:
    verdict = judged(exchange("GET https://b.test/x"))
    assert texts(verdict.findings[0]).title == "no Allow-Origin"
    assert texts(verdict.findings[0]).message == (
        "The response does not say that https://a.test may read it, so the browser keeps it from the page."
    )
