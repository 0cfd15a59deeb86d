"""The catalogue of findings: its entries, and a case file for each, through engine, session, JSON and text.

A case is a text file in `cases`, named after the finding that it proves. Its first line says in a sentence what
happens; so may more of them before an exchange. `>` lines are a request (method and URL, then its headers), `<` lines
its response (status, then headers), `=` lines what is expected of it once all is said. `@` lines before a request say
what is not in it:

- `@ after SECONDS`: how long after the exchange before it begins; `@ took SECONDS`: how long its answer takes
- `@ browser NAME`, `@ connection NAME`, `@ http VERSION`: who asks, and on what
- `@ proxy-made`, `@ sanitized`: the answer is the proxy's own; the capture's writer left cookies out
- `@ delivered`, `@ kept WORDS`: by the browser's own record the page got the answer, or did not; and the record's words
- `@ silence ID`: the user does not want to hear of a finding
- `@ times COUNT`: the exchange comes so often, `#` standing for how many came before it, `##` for one more
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Formatter

import pytest

from builders import AGENTS, exchange, ids, judged
from corscope.catalogue import CATALOGUE, FIREFOX_REASONS, Entry, fill
from corscope.cookie_jar import Reason
from corscope.model import Exchange, Finding, Observed, Severity, Verdict
from corscope.public_suffixes import is_platform, is_public_suffix
from corscope.report import ROOTS, as_json, comment, explanation, firefox_reason, headline, log_line, texts
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


@pytest.mark.parametrize("entry", [entry for entry in CATALOGUE.values() if entry.of], ids=lambda entry: entry.id)
def test_browsers_say_of_a_cause_what_they_say_of_its_fault(entry: Entry) -> None:
    fault = CATALOGUE[entry.of or ""]
    assert fault.of is None, "a cause is that of a fault, and not of another cause"
    for name in ("severity", "devtools_error", "preflight_error", "console", "firefox", "safari", "section"):
        assert getattr(entry, name) == getattr(fault, name), name
    assert (entry.title, entry.why) != (fault.title, fault.why)


def test_every_reason_to_refuse_a_cookie_has_its_words() -> None:
    assert {str(reason) for reason in Reason} <= set(CATALOGUE)


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
    silence: frozenset[str] = frozenset()


def header(line: str) -> tuple[str, str]:
    """Parses a header line, whose value may be empty."""
    name, _, value = line.partition(":")
    return name, value.strip()


def observed(about: dict[str, str]) -> Observed | None:
    """Returns what a case says of the browser's own record."""
    if "kept" in about:
        return Observed(False, about["kept"])
    return Observed(True, "") if "delivered" in about else None


def parse(text: str) -> list[Step]:
    """Parses a case's text."""
    steps: list[Step] = []
    at = 1000.0
    for block in re.split(r"\n\s*\n", text.partition("\n")[2].strip()):
        given: dict[str, list[str]] = {"@": [], ">": [], "<": [], "=": [], "#": []}
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
                headers=[header(line) for line in numbered[">"][1:]],
                status=int(numbered["<"][0]),
                response=[header(line) for line in numbered["<"][1:]],
                took=float(about.get("took", 0.01)),
                proxy_made="proxy-made" in about,
                sanitized="sanitized" in about,
                observed=observed(about),
                http=int(about.get("http", 1)),
                connection=about.get("connection"),
                at=at,
                flow=f"flow-{len(steps) + 1}",
            )
            expected = [line.partition(" ")[::2] for line in numbered["="]]
            steps.append(Step(one, expected, frozenset(about.get("silence", "").split())))
    return steps


def run(steps: list[Step]) -> dict[str, Verdict]:
    """Returns the last verdict on each exchange of a case."""
    session = Session(is_public_suffix=is_public_suffix, is_platform=is_platform)
    session.silence = frozenset().union(*(step.silence for step in steps))
    told = [verdict for step in steps for verdict in session.judge(step.exchange)] + session.finish()
    return {verdict.flow_id: verdict for verdict in told}


def test_every_finding_has_a_case() -> None:
    assert {path.stem for path in CASES} == set(CATALOGUE)


HEADING = re.compile(
    r"Before it, in the same story:|Smallest change, (?:preflight|actual) answer(?:, which was never asked for)?:|"
    r"If it is sent with credentials, besides:"
)
"""Lines that end in a colon because of the list below them."""

LEAKS = re.compile(
    r"[{}]|(?<!SameSite=)\bNone\b|\bb'|corscope|Outcome|Severity|<[A-Z]|SECRET|  +\S*$|: *$|(?<!\w)\( *\)"
)


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
            elif key == "severity":
                id_, _, severity = value.partition(" ")
                assert findings[id_]["severity"] == severity
            else:
                assert known[key] == value, key
        check_rendering(verdict, shown)
    assert path.stem in proven, "the case proves what it is named after"


CLIENT_LINE = re.compile(r"\{ \w+: (?:\"\w+\"|true) \}")
"""JavaScript's own braces."""


def check_rendering(verdict: Verdict, shown: str) -> None:
    """Checks that every form of a verdict says the same in whole sentences."""
    assert shown.splitlines()[0] == headline(verdict)
    assert len(headline(verdict)) <= 60
    explained = "\n".join(explanation(as_json(verdict)))
    severities = list(Severity)
    for finding in verdict.findings:
        if finding.severity != CATALOGUE[finding.id].severity:
            # What a risk, or a cookie that stays at home, weighs is told from the answer: never more than usual.
            assert severities.index(finding.severity) > severities.index(Severity(CATALOGUE[finding.id].severity))
            assert finding.severity is not Severity.ERROR
        for words in (texts(finding).message, texts(finding).fix):
            assert words in shown
            assert words in explained
    if verdict.outcome == "blocked":
        # A CORS failure that is a mere symptom is not what the headline names.
        symptom = verdict.findings[0].id in ("allow-origin-missing", "origin-null-not-allowed")
        behind = ROOTS if symptom else {"proxy-error", "login-redirect"}
        named = [one for one in verdict.findings if one.id in behind] or verdict.findings
        assert texts(named[0]).title[:20] in headline(verdict)
        assert verdict.findings[0].severity is Severity.ERROR
    for text in (shown, explained, log_line(verdict)):
        for line in text.splitlines():
            if line.startswith("  - "):
                # What the server sent, whatever that was.
                assert "SECRET" not in line
            elif HEADING.fullmatch(line) is None:
                assert LEAKS.search(CLIENT_LINE.sub("options", line)) is None, line


HEADER = re.compile(
    r"(Access-Control-Allow-(?:Origin|Credentials)|Access-Control-Max-Age|Cross-Origin-Resource-Policy|Vary): "
    r"([^\s,]*[^\s,.])"
)
LIST = re.compile(r"(Access-Control-(?:Allow-Methods|Allow-Headers|Expose-Headers)): (.+)$")
LEFT_OUT = re.compile(r"[Ll]eave (Access-Control-[A-Za-z-]+) out")
STATUS = re.compile(r"\bwith (204)\b")


@dataclass
class Advice:
    """What a fix says to send, as far as that can be read from its words."""

    headers: tuple[tuple[bytes, bytes], ...] = ()
    left_out: frozenset[bytes] = frozenset()
    status: int | None = None
    everywhere: bool = False
    """Whether the other answers of the same URL are meant, too."""

    def __bool__(self) -> bool:
        return bool(self.headers or self.left_out or self.status)

    def followed(self, one: Exchange) -> Exchange:
        """Returns an exchange with the response that was advised."""
        named = {name.lower() for name, _ in self.headers} | self.left_out
        kept = tuple((name, value) for name, value in one.response_headers if name.lower() not in named)
        return replace(one, response_headers=(*kept, *self.headers), status=self.status or one.status)


def advice(text: str) -> Advice:
    """Returns what a fix says to send."""
    headers = tuple((name.encode(), value.encode()) for name, value in HEADER.findall(text) + LIST.findall(text))
    status = STATUS.search(text)
    return Advice(
        headers,
        # Where a header may be left out instead, the other way is followed.
        frozenset(name.lower().encode() for name in LEFT_OUT.findall(text)) if not headers else frozenset(),
        int(status[1]) if status else None,
        everywhere="to both" in text or "every answer" in text,
    )


def mended(steps: list[Step], index: int, said: Advice) -> list[Step]:
    """Returns a case in which an exchange's advice was followed."""
    url = steps[index].exchange
    return [
        replace(step, exchange=said.followed(step.exchange))
        if number == index or (said.everywhere and (step.exchange.host, step.exchange.path) == (url.host, url.path))
        else step
        for number, step in enumerate(steps)
    ]


def told(path: Path) -> Iterator[tuple[list[Step], int, Verdict, Finding]]:
    """Yields each finding of a case with the exchange that it was told of."""
    steps = parse(path.read_text(encoding="utf-8"))
    for index, verdict in enumerate(run(steps).values()):
        for finding in verdict.findings:
            yield steps, index, verdict, finding


def what(finding: Finding) -> tuple[str, str]:
    """Tells findings apart: what may be wrong is one for each fault."""
    return finding.id, finding.values.get("fault", "")


FOLLOWED = [path for path in CASES if any(advice(texts(finding).fix) for *_, finding in told(path))]


@pytest.mark.parametrize("path", FOLLOWED, ids=lambda path: path.stem)
def test_the_fix_helps(path: Path) -> None:
    """What a finding says to send makes the finding go away."""
    for steps, index, verdict, finding in told(path):
        said = advice(texts(finding).fix)
        if said:
            left = run(mended(steps, index, said))[verdict.flow_id].findings
            assert what(finding) not in map(what, left)


def test_what_says_a_header_is_followed() -> None:
    """The words of every fix that names a header to send can be read, so that the test above leaves none out."""
    named = {
        entry.id for entry in CATALOGUE.values() if re.search(r"(?:[Ss]end|with)[^.;]*: [A-Z][A-Za-z-]+:", entry.fix)
    }
    assert named - {finding.id for path in FOLLOWED for *_, finding in told(path)} == set()
    assert len(FOLLOWED) > 60


ATTRIBUTES = re.compile(r"SameSite=None|Secure|Partitioned|Path=/|Domain=[a-z.]+[a-z]")


def cookie_advice(text: str) -> list[str]:
    """Returns the attributes with which a fix says to set a cookie."""
    said = re.search(r"[Ss]et (?:it|the cookie) with(?:: | a Domain)([^.]*(?:\.com)?)", text)
    return ATTRIBUTES.findall(said[1]) if said else []


COOKIES = [path for path in CASES if any(cookie_advice(texts(finding).fix) for *_, finding in told(path))]


@pytest.mark.parametrize("path", COOKIES, ids=lambda path: path.stem)
def test_the_cookie_as_it_should_be_set_helps(path: Path) -> None:
    """A cookie with the attributes that a finding names makes the finding go away, and travels or says why not."""
    for steps, _, verdict, finding in told(path):
        wanted = cookie_advice(texts(finding).fix)
        if not wanted:
            continue
        keys = {one.partition("=")[0] for one in wanted}
        again = []
        for step in steps:
            lines = []
            for name, value in step.exchange.response_headers:
                if name == b"Set-Cookie":
                    kept = [one for one in value.decode().split("; ") if one.partition("=")[0] not in keys]
                    value = "; ".join((*kept, *wanted)).encode()
                lines.append((name, value))
            again.append(replace(step, exchange=replace(step.exchange, response_headers=tuple(lines))))
        assert finding.id not in ids(run(again)[verdict.flow_id])


def test_the_cookies_that_are_set_anew() -> None:
    said = {path.stem for path in COOKIES}
    assert said == {entry.id for entry in CATALOGUE.values() if cookie_advice(entry.fix)}
    assert len(said) >= 8


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
        "port",
        "scheme",
        "count",
        "error",
        "client",
        "cookies",
        "dest",
        "did",
        "evidence",
        "exposed",
        "host",
        "record",
        "spent",
        "suffix",
        "verdict",
        "who",
    }
    for entry in CATALOGUE.values():
        for text in (entry.title, entry.why, entry.fix, entry.console or "", entry.safari or ""):
            names = {name for _, name, _, _ in Formatter().parse(text) if name}
            assert names <= known | {"console", "fix", "missing"}


def test_the_same_words_for_a_lone_exchange() -> None:
    verdict = judged(exchange("GET https://b.test/x"))
    assert texts(verdict.findings[0]).title == "no Allow-Origin"
    assert texts(verdict.findings[0]).message == (
        "The response does not say that https://a.test may read it, so the browser keeps it from the page."
    )
