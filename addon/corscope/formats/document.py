"""What every format is made from: the entries of a report, one after the other, and at the end their summary.

An entry is a verdict in its JSON form (`corscope.report.as_json`) with these keys besides:
`capture`: the capture's name as the user gave it; `number`: which exchange of it, from 0; `wire`: what
`corscope.report.wire_json` returns; `known`: whether all that is wrong with it is in the user's baseline.
"""

from typing import Any, NamedTuple, Protocol

type Entry = dict[str, Any]


class CaptureSummary(NamedTuple):
    """What was read of one capture."""

    name: str
    exchanges: int
    """With a response; those without one have no verdict."""
    verdicts: dict[str, int]
    """How many exchanges came out `allowed`, `blocked`, `conditional` and `exempt`; each key is there."""
    warnings: tuple[str, ...] = ()
    """What could not be read, a line each."""


class Summary(NamedTuple):
    """What was read of all captures."""

    captures: tuple[CaptureSummary, ...]
    findings: dict[str, int]
    """How often each finding was made, those of exempt exchanges included; the most frequent first."""
    failed: bool
    """Whether what was found reaches `--fail-on`."""
    new: int = 0
    """Exchanges with something wrong that is not in the baseline; 0 where there is none."""

    @property
    def verdicts(self) -> dict[str, int]:
        """The sums over all captures."""
        keys = ("allowed", "blocked", "conditional", "exempt")
        return {key: sum(capture.verdicts[key] for capture in self.captures) for key in keys}


class Format(Protocol):
    """Writes a report; made with the text file that it writes to. Holds no more than it needs for its end."""

    def add(self, entry: Entry) -> None:
        """Take the next entry, in the captures' order. Exempt ones come only where something was found of them."""

    def finish(self, summary: Summary) -> None:
        """Write what is left; the file stays open."""
