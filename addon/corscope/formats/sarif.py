"""SARIF 2.1.0: what is wrong, for GitHub's code scanning and whatever else shows results of static analysis.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html, and what GitHub reads of it:
https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support
"""

import hashlib
import json
from typing import Any, TextIO

from corscope import __version__
from corscope.baselines import Fingerprint
from corscope.catalogue import CATALOGUE
from corscope.catalogue.markdown import in_general, section
from corscope.formats.document import Entry, Summary, Takes
from corscope.formats.files import relative_uri
from corscope.formats.problems import KEPT, Problem, Problems, counted, gaps, warnings
from corscope.report import docs

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_GITHUB_LEVELS = {"error": "error", "warning": "warning", "info": "recommendation"}


class Sarif:
    """Writes one run, with a result for each problem and a rule for each kind of finding."""

    takes = Takes.TROUBLE

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._problems = Problems()

    def add(self, entry: Entry) -> None:
        """Take the next entry."""
        self._problems.add(entry)

    def finish(self, summary: Summary) -> None:
        """Write it all."""
        problems = self._problems.ordered()
        rules = list(dict.fromkeys(problem.place.finding for problem in problems))
        baseline = any(problem.known for problem in problems) or summary.new > 0
        run = {
            "tool": {
                "driver": {
                    "name": "corscope",
                    "version": __version__,
                    "semanticVersion": __version__,
                    "rules": [_rule(id_) for id_ in rules],
                }
            },
            "invocations": [
                {
                    "executionSuccessful": not any(capture.unreadable for capture in summary.captures),
                    "toolExecutionNotifications": self._notifications(summary),
                }
            ],
            "results": [_result(problem, rules.index(problem.place.finding), baseline) for problem in problems],
            "properties": {"exchanges": counted(summary), **summary.verdicts},
        }
        json.dump({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, self._file, ensure_ascii=False, indent=1)
        self._file.write("\n")

    def _notifications(self, summary: Summary) -> list[dict[str, Any]]:
        lines = [*warnings(summary), *gaps(summary)]
        lines += [
            f"{count:,} findings of level {_LEVELS[severity]} in further places are not listed: more than {KEPT:,}."
            for severity, count in self._problems.left_out.items()
        ]
        return [{"level": "warning", "message": {"text": line}} for line in lines]


def _rule(id_: str) -> dict[str, Any]:
    entry = CATALOGUE[id_]
    why, fix = in_general(entry.why), in_general(entry.fix)
    return {
        "id": id_,
        # GitHub wants a name; a rule's id is one already, and reads better.
        "name": id_,
        "shortDescription": {"text": in_general(entry.title)},
        "fullDescription": {"text": why},
        "defaultConfiguration": {"level": _LEVELS[entry.severity]},
        "helpUri": entry.section,
        "help": {
            "text": f"{why}\n\nTo see it: {in_general(entry.see)}\n\nTo fix it: {fix}\n\nSee {docs(id_)}",
            "markdown": "\n".join([*section(entry, linked=False), f"See `{docs(id_)}` of corscope."]),
        },
        "properties": {
            "tags": ["cors", "http"],
            "precision": "very-high" if entry.severity == "error" else "high",
            "problem.severity": _GITHUB_LEVELS[entry.severity],
            "standard": entry.section,
        },
    }


def _result(problem: Problem, rule: int, baseline: bool) -> dict[str, Any]:
    print_ = _hash(problem.place)
    result = {
        "ruleId": problem.place.finding,
        "ruleIndex": rule,
        "level": _LEVELS[problem.severity],
        "message": {"text": _message(problem)},
        "locations": [_location(problem)],
        # Of the fingerprints GitHub reads only the one that it would else make from the file's first line, which is
        # the same for all that is wrong in a capture.
        "partialFingerprints": {"primaryLocationLineHash": print_, "corscope/v1": print_},
        "occurrenceCount": problem.count,
        "webRequest": _request(problem.entry),
        "webResponse": _response(problem.entry),
        "properties": {
            "verdict": problem.entry["verdict"],
            "kind": problem.place.kind,
            "origin": problem.place.origin,
            "credentials": problem.entry["credentials"],
            "browser": problem.entry["browser"],
            "exchange": problem.entry["number"],
            "flowId": problem.entry["flow_id"],
        },
    }
    if baseline and problem.severity != "info":
        result["baselineState"] = "unchanged" if problem.known else "new"
        accepted = {"kind": "external", "status": "accepted", "justification": "It is in the baseline."}
        result["suppressions"] = [accepted] if problem.known else []
    elif baseline:
        # Where one result has suppressions, all have.
        result["suppressions"] = []
    return result


def _hash(place: Fingerprint) -> str:
    return hashlib.sha256("\n".join(place).encode()).hexdigest()[:32]


def _message(problem: Problem) -> str:
    """Return what was found: GitHub shows the first thousand characters."""
    finding, entry = problem.finding, problem.entry
    evidence = "; ".join(entry["credentials_evidence"])
    lines = [
        f"{finding['title']} — CORS {entry['verdict']} ({entry['kind']}): {problem.where} from {problem.page}.",
        finding["message"],
        f"Fix: {finding['fix']}",
        f"Credentials: {entry['credentials']}{f' ({evidence})' if evidence else ''}.",
        problem.seen,
    ]
    # A SARIF message may hold links, [text](target): captured text shall make none.
    return "\n".join(lines).replace("](", "] (")


def _location(problem: Problem) -> dict[str, Any]:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": relative_uri(problem.entry["capture"])},
            # Lines mean nothing in a capture, but GitHub shows no result without one.
            "region": {"startLine": 1},
        },
        "logicalLocations": [
            {"name": problem.place.url, "fullyQualifiedName": problem.where, "kind": "resource"},
        ],
    }


def _request(entry: Entry) -> dict[str, Any]:
    return {
        "protocol": "HTTP",
        "method": entry["method"],
        "target": entry["url"],
        "headers": _headers(entry["wire"]["request"]),
    }


def _response(entry: Entry) -> dict[str, Any]:
    return {
        "protocol": "HTTP",
        "statusCode": entry["status"],
        "headers": _headers(entry["wire"]["response"]),
    }


def _headers(lines: list[list[str]]) -> dict[str, str]:
    """Return header lines by name; those of one name are joined, as HTTP does."""
    headers: dict[str, str] = {}
    for name, value in lines:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
