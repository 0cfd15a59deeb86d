"""Scores corscope's verdicts against what browsers did: scripts/score, and the test that holds the score.

Each recording is replayed through a real mitmdump with the addon; its JSON Lines are compared with the truth.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from corscope.captures.capture import Damage
from corscope.captures.sources import read_capture
from corscope.checking import check
from corscope.headers import get, get_all
from corscope.model import Exchange
from corscope.proxy import MITMDUMP
from corscope.report import as_json

ADDON_ROOT = Path(__file__).parent.parent.parent
RECORDINGS = ADDON_ROOT.parent / "tests" / "recordings"


OF_THE_SERVER = frozenset(("origin-reflected-with-credentials", "wildcard-until-login"))
"""Findings that compare answers to several requests. They are true of the lab's server, which lets in every origin, and
answers some URLs with `*` and others with a name."""


class Grade(StrEnum):
    """What a verdict is worth, held against what the browser did."""

    RIGHT = "right"
    WRONG = "wrong"
    """A definite verdict that the browser contradicts; there must be none."""
    MISSING = "missing"
    """No verdict on an exchange that has a truth; there must be none."""
    UNDECIDED = "undecided"
    """`conditional`, or `exempt` with the warning `mode-unknown`, where the traffic tells."""
    UNDECIDABLE = "undecidable"
    """`conditional` where an exchange that looks the same ended the other way: rightly so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One exchange with both sides."""

    grade: Grade
    truth: Mapping[str, Any]
    verdict: Mapping[str, Any] | None
    clean: bool = False
    """Whether there was nothing to be said: the browser allowed it, and its answer is as good as can be."""

    @property
    def alarms(self) -> list[str]:
        """The findings, but for mere information, on an exchange that is clean: false alarms."""
        return [id_ for id_ in self._warnings if id_ not in OF_THE_SERVER]

    @property
    def of_the_server(self) -> list[str]:
        """The findings on an exchange that is clean by itself which are about its server as a whole."""
        return [id_ for id_ in self._warnings if id_ in OF_THE_SERVER]

    @property
    def _warnings(self) -> list[str]:
        # What is left open is counted as such.
        if not self.clean or self.verdict is None or self.verdict["verdict"] == "conditional":
            return []
        return [one["id"] for one in self.verdict["findings"] if one["severity"] != "info"]

    @property
    def false_errors(self) -> list[str]:
        """The findings of severity `error` on an exchange that the browser allowed; there must be none."""
        if self.verdict is None or not self.truth["cors"] or self.truth["verdict"] != "allowed":
            return []
        return [one["id"] for one in self.verdict["findings"] if one["severity"] == "error"]

    @property
    def reason_due(self) -> bool:
        """Whether a reason can be compared: rightly judged blocked, and the browser named one that the wire tells."""
        return (
            self.grade is Grade.RIGHT
            and bool(self.truth["cors"])
            and self.truth["verdict"] == "blocked"
            and self.truth["reason"] is not None
            and not self.truth["reason_undecidable"]
        )

    @property
    def reason_right(self) -> bool:
        """Whether the verdict names the browser's own reason."""
        return self.verdict is not None and self.verdict.get("devtools_error") == self.truth["reason"]

    def __str__(self) -> str:
        """One line for whoever looks into a fault."""
        said = self.verdict or {}
        return (
            f"{self.grade}: {self.truth['method']} {self.truth['url']} {self.truth['tag']} ({self.truth['context']},"
            f" {self.truth['initiator']}, credentials {self.truth['credentials']}): browser {self.truth['verdict']}"
            f" {self.truth['reason']}, said {said.get('verdict')} {said.get('devtools_error')}"
            f" (credentials {said.get('credentials')}, evidence {said.get('credentials_evidence')})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How a recording went."""

    name: str
    judged: tuple[Judged, ...]

    def count(self, grade: Grade) -> int:
        """How many exchanges got a grade."""
        return sum(one.grade is grade for one in self.judged)

    @property
    def reasons(self) -> tuple[int, int]:
        """How many reasons are the browser's own, of how many that can be compared."""
        due = [one for one in self.judged if one.reason_due]
        return sum(one.reason_right for one in due), len(due)

    def faults(self) -> Iterator[Judged]:
        """What is wrong or missing, then reasons that differ."""
        yield from (one for one in self.judged if one.grade in (Grade.WRONG, Grade.MISSING))
        yield from (one for one in self.judged if one.reason_due and not one.reason_right)


def recordings(folder: Path = RECORDINGS) -> list[Path]:
    """The recordings in a folder that have a truth beside them, by name."""
    return sorted(path for path in folder.glob("*.mitm.xz") if truth_of(path).exists())


def truth_of(recording: Path) -> Path:
    """The truth file of a recording."""
    return recording.with_name(recording.name.removesuffix(".mitm.xz") + ".truth.jsonl.gz")


def clean(exchange: Exchange, truth: Mapping[str, Any], setters: Container[str]) -> bool:
    """Tell whether nothing is to be said of an exchange: the browser allowed it, and so would a careful reviewer.

    That is, its answer names the one origin that asked, or lets in everybody where there are no credentials; speaks of
    credentials only where there are some; tells caches that it varies; sets no cookie; and leaves Authorization to no
    wildcard. Nor did a request with credentials lose all the cookies that its host had set; `setters` are the hosts
    that set any.
    """
    asked, answer = exchange.request_headers, exchange.response_headers
    origin, status, include = get(asked, b"origin"), exchange.status, truth["credentials"] == "include"
    if not truth["cors"] or truth["verdict"] != "allowed" or status is None or origin in (None, b"null"):
        return False
    if include and not truth["preflight"] and get(asked, b"cookie") is None and exchange.host in setters:
        return False
    wanted = get(asked, b"access-control-request-headers") or b""
    listed = get(answer, b"access-control-allow-headers") or b""
    if b"authorization" in wanted and b"authorization" not in listed.lower():
        return False
    allowed = get_all(answer, b"access-control-allow-origin")
    good = 200 <= status < 300 and get(answer, b"set-cookie") is None
    good = good and (get(answer, b"access-control-max-age") or b"0").isdigit()
    if get_all(answer, b"access-control-allow-credentials") != ([b"true"] if include else []):
        return False
    if allowed == [b"*"]:
        return good and not include
    varies = b"origin" in (get(answer, b"vary") or b"").lower()
    return good and allowed == [origin] and (truth["preflight"] or varies)


def exchanges_in(recording: Path) -> dict[str, Exchange]:
    """Return a recording's exchanges by their ids; raises ValueError for a damaged one."""
    damages: list[Damage] = []
    found = {entry.exchange.id: entry.exchange for entry in read_capture(recording, damaged=damages.append)}
    if damages:
        raise ValueError(f"{recording}: {damages[0].where}: {damages[0].what}")
    return found


def verdicts(recording: Path, options: Iterable[str] = ()) -> dict[str, Mapping[str, Any]]:
    """Replays a recording through mitmdump with the addon; returns the verdicts by flow id."""
    with tempfile.TemporaryDirectory(prefix="corscope-score-") as folder:
        flows, report = Path(folder, "flows.mitm"), Path(folder, "report.jsonl")
        flows.write_bytes(lzma.decompress(recording.read_bytes()))
        command = [
            *MITMDUMP,
            *("-q", "-nr", str(flows), "-s", str(ADDON_ROOT / "cors_addon.py")),
            *("--set", f"confdir={folder}", "--set", f"cors_report={report}"),
            *(part for option in options for part in ("--set", option)),
        ]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode or not report.exists():
            raise RuntimeError(f"mitmdump failed on {recording.name}: {(done.stderr or done.stdout).strip()[-2000:]}")
        lines = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {line["flow_id"]: line for line in lines}


def checked(recording: Path) -> dict[str, Mapping[str, Any]]:
    """Return the verdicts of `corscope check` on a recording, which are those of the addon, much sooner."""
    return {one.flow_id: as_json(one) for one in check(recording)}


def truths_in(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a truth file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def grade(truth: Mapping[str, Any], verdict: Mapping[str, Any] | None) -> Grade | None:
    """Compares one verdict with the truth; None where the truth has nothing to compare with."""
    if truth["cors"] and truth["verdict"] is None:
        return None
    if verdict is None:
        return Grade.MISSING
    said = verdict["verdict"]
    if said == "conditional" or is_undecided_mode(verdict):
        return Grade.UNDECIDABLE if truth["undecidable"] else Grade.UNDECIDED
    if not truth["cors"]:
        # Outside the protocol it blocks nothing, but for user information in a redirect of the page's own origin.
        return Grade.WRONG if said == "blocked" and truth["verdict"] != "blocked" else Grade.RIGHT
    return Grade.RIGHT if said == truth["verdict"] else Grade.WRONG


def is_undecided_mode(verdict: Mapping[str, Any]) -> bool:
    """Tell an exemption that leaves the request's mode open, and warns of it: it is no definite verdict."""
    return verdict["verdict"] == "exempt" and any(one["id"] == "mode-unknown" for one in verdict["findings"])


def score(recording: Path, judge: Callable[[Path], Mapping[str, Mapping[str, Any]]] = verdicts) -> Score:
    """Judges a recording, by default through a mitmdump, and grades every exchange that has a truth."""
    said, exchanges = judge(recording), exchanges_in(recording)
    setters = {one.host for one in exchanges.values() if get(one.response_headers, b"set-cookie") is not None}
    judged = []
    for truth in truths_in(truth_of(recording)):
        verdict = said.get(truth["flow_id"])
        found = grade(truth, verdict)
        if found is not None:
            is_clean = clean(exchanges[truth["flow_id"]], truth, setters)
            judged.append(Judged(grade=found, truth=truth, verdict=verdict, clean=is_clean))
    return Score(name=recording.name.removesuffix(".mitm.xz"), judged=tuple(judged))


def table(scores: Iterable[Score], markdown: bool) -> str:
    """The scores as a table, for a terminal or for the README."""
    heading = ("recording", "exchanges", "right", "wrong", "open", "open, rightly so", "same error name")
    rows = [heading]
    for one in scores:
        equal, due = one.reasons
        rows.append(
            (
                one.name,
                f"{len(one.judged):,}",
                f"{one.count(Grade.RIGHT):,}",
                f"{one.count(Grade.WRONG) + one.count(Grade.MISSING):,}",
                f"{one.count(Grade.UNDECIDED):,}",
                f"{one.count(Grade.UNDECIDABLE):,}",
                f"{equal:,} of {due:,}",
            )
        )
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([lines[0], "|---|" + "---:|" * (len(heading) - 1), *lines[1:]])
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def alarms(scores: Iterable[Score]) -> str:
    """What was said of exchanges of which there was nothing to say."""
    judged = [one for score in scores for one in score.judged]
    raised = sum(bool(one.alarms) for one in judged)
    kinds = Counter(id_ for one in judged for id_ in one.alarms)
    of_server = Counter(id_ for one in judged for id_ in one.of_the_server)
    errors = sum(bool(one.false_errors) for one in judged)
    return (
        f"false alarms: {raised:,} of {sum(one.clean for one in judged):,} clean exchanges{_listed(kinds)}; errors on "
        f"exchanges that the browser allowed: {errors:,}; said of the lab's server as a whole, and "
        f"true: {of_server.total():,}{_listed(of_server)}"
    )


def _listed(kinds: Counter[str]) -> str:
    return f" ({', '.join(f'{id_} {count:,}' for id_, count in kinds.most_common())})" if kinds else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Scores the recordings that the command line names, or all."""
    parser = argparse.ArgumentParser(
        prog="scripts/score",
        description="Scores corscope's verdicts against what browsers did in the recordings; exit 1 if any is wrong.",
        epilog="`open` counts verdicts that depend on the credentials mode; `rightly so` those where an exchange that"
        " looks the same on the wire ended the other way.",
    )
    parser.add_argument(
        "recording", nargs="*", type=Path, help="NAME.mitm.xz; all in tests/recordings if none is named"
    )
    parser.add_argument("--markdown", action="store_true", help="print the table for the README")
    parser.add_argument("--faults", type=int, default=20, metavar="N", help="print up to N faults of a recording (20)")
    parser.add_argument("--open", type=int, default=0, metavar="N", help="print up to N needlessly open verdicts (0)")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION", help="an option for mitmdump")
    said = parser.parse_args(arguments)
    chosen = said.recording or recordings()
    if not chosen:
        print("score: no recordings; make them with scripts/record_truth", file=sys.stderr)
        return 1
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        scores = list(pool.map(lambda one: score(one, lambda path: verdicts(path, said.set)), chosen))
    for one in scores:
        for fault in list(one.faults())[: said.faults]:
            print(f"{one.name}: {fault}")
        needless = [judged for judged in one.judged if judged.grade is Grade.UNDECIDED]
        for judged in needless[: said.open]:
            print(f"{one.name}: {judged}")
        if needless and said.open:
            kinds = Counter("/".join(judged.truth["tag"].split("/")[:2]) for judged in needless)
            print(f"{one.name}: open: {dict(kinds.most_common(12))}")
    print(table(scores, said.markdown))
    print(alarms(scores))
    return 1 if any(one.count(Grade.WRONG) + one.count(Grade.MISSING) for one in scores) else 0


if __name__ == "__main__":
    sys.exit(main())
