"""What is wrong, each thing once: entries summed up by the fingerprints of their findings. Bounded in memory."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from corscope.baselines import Fingerprint, fingerprint
from corscope.formats.document import Entry, Summary
from corscope.formats.plain import plain_entry
from corscope.privacy import plain

SEVERITIES = ("error", "warning", "info")
"""The most important first."""

KEPT = 2_000
"""Problems of each severity that are told one by one; of further ones only how often they occurred."""


@dataclass(slots=True)
class Problem:
    """A finding in one place, however often it occurred there."""

    place: Fingerprint
    finding: dict[str, Any]
    """As it was first made, of an exchange of which it decides the verdict where there is one."""
    entry: Entry
    """That exchange, all its texts plain."""
    count: int = 0
    """In how many exchanges it was found."""
    decisive: bool = False
    """Whether it decides the verdict of an exchange, and is not just another fault of it."""
    known: bool = False
    """Whether it is in the user's baseline; what is only worth knowing never is."""

    @property
    def severity(self) -> str:
        """`error`, `warning` or `info`."""
        return str(self.finding["severity"])

    @property
    def where(self) -> str:
        """The method and the URL without query and ids."""
        return f"{self.place.method} {self.place.url}"

    @property
    def page(self) -> str:
        """From where the request came."""
        return self.place.origin or "its own origin"

    @property
    def seen(self) -> str:
        """How often, and where in the captures."""
        times = "once," if self.count == 1 else f"{self.count:,} times, for example"
        return f"Seen {times} in {self.entry['capture']}, exchange {self.entry['number']}."


class Problems:
    """Collects what entries tell."""

    def __init__(self) -> None:
        self._problems: dict[str, dict[Fingerprint, Problem]] = {severity: {} for severity in SEVERITIES}
        self.left_out: Counter[str] = Counter()
        """By severity, how many findings were made in further places than are kept."""

    def add(self, entry: Entry) -> None:
        """Take an entry's findings."""
        met = set[Fingerprint]()
        for index, finding in enumerate(entry["findings"]):
            severity = finding["severity"]
            problems, place = self._problems[severity], fingerprint(entry, finding)
            problem, decisive = problems.get(place), finding["id"] == entry["reason"]
            if problem is None and len(problems) == KEPT:
                self.left_out[severity] += 1
                continue
            if problem is None:
                problem = problems[place] = _problem(place, entry, index)
            elif decisive and not problem.decisive:
                said = _problem(place, entry, index)
                problem.entry, problem.finding = said.entry, said.finding
            # An exchange may have several of one kind, such as a header each.
            problem.count += place not in met
            met.add(place)
            problem.decisive = problem.decisive or decisive
            # An entry is known when all that is wrong with it is, each single thing included.
            problem.known = problem.known or (entry["known"] and severity != "info")

    def ordered(self) -> list[Problem]:
        """Return all: new ones before known ones, then the severest, what decides, and the most frequent first."""
        found = [problem for problems in self._problems.values() for problem in problems.values()]
        return sorted(
            found,
            key=lambda one: (one.known, SEVERITIES.index(one.severity), not one.decisive, -one.count, one.place),
        )


def _problem(place: Fingerprint, entry: Entry, index: int) -> Problem:
    fit = plain_entry(entry)
    return Problem(Fingerprint(*map(plain, place)), fit["findings"][index], fit)


def counted(summary: Summary) -> str:
    """Return how many exchanges came out how, in a sentence without its full stop."""
    verdicts = summary.verdicts
    total = sum(capture.exchanges for capture in summary.captures)
    parts = [f"{verdicts[key]:,} {key}" for key in ("blocked", "conditional", "allowed", "exempt") if verdicts[key]]
    return f"{total:,} exchange{'' if total == 1 else 's'}: {', '.join(parts)}" if parts else "no exchanges"


def warnings(summary: Summary, *, unreadable: bool | None = None) -> list[str]:
    """Return what could not be read of the captures, a plain line each, led by the capture's name.

    `unreadable` picks the captures of which nothing could be read, or the others.
    """
    captures = [one for one in summary.captures if unreadable is None or one.unreadable == unreadable]
    return [plain(_named(capture.name, line)) for capture in captures for line in capture.warnings]


def gaps(summary: Summary) -> list[str]:
    """Return of which captures answers are missing, a plain line each, led by the capture's name."""
    return [plain(f"{capture.name}: {line}") for capture in summary.captures for line in capture.gaps]


def _named(name: str, line: str) -> str:
    # What is said of a capture that can't be read at all names it already.
    return line if line.startswith(f"{name}:") else f"{name}: {line}"
