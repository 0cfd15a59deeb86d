"""Answers the lab's page whether its browser did what corscope predicted, from the latest verdicts on its requests."""

import asyncio
import datetime
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from mitmproxy import version

from corscope import __version__
from corscope.lab.agreement import Judged, Row, as_json, counts, rows, words
from corscope.lab.answers import AGREEMENT_PATH, Asked, Served, table_size, web_of_page
from corscope.lab.steps import Outcome
from corscope.pages.guards import found, plain, refusal
from corscope.pages.history import History, Noted
from corscope.report import unfollowed
from corscope.session import DEFAULT_GRACE

SETTLING_SECONDS = 1.5
"""How much longer than the grace time a verdict may take to settle: the addon looks twice a second."""

PATIENCE = 20.0
"""Seconds after which verdicts are taken as they are, however long the grace time is."""

LOOK_SECONDS = 0.25
"""How often the verdicts are looked at while they settle."""

REPORT_BYTES = 16_000_000
"""How long the page's report may be; that of the whole table has a tenth of it."""

DETAIL = 200
"""Characters that are kept of what the page says in detail."""


class Verification:
    """Compares a run of the table with the verdicts in the history."""

    def __init__(self, history: History, named: Mapping[str, int]) -> None:
        self._history = history
        self._named = named
        """The step that a flow's request names in its body, by the flow's id."""
        self.grace = DEFAULT_GRACE
        """Seconds for which a verdict may wait for what follows."""
        self.rules = "auto"
        """Whose rules the verdicts are by: the option `cors_browser`."""

    async def answer(self, asked: Asked) -> Served:
        """Answer the page's report of a run, once its verdicts have settled; refusals included."""
        refused = refusal(asked)
        if refused is not None:
            return refused
        if asked.method != "POST":
            return plain(405, f"{AGREEMENT_PATH} takes a POST, not {asked.method}.")
        web = web_of_page(asked.origin)
        if web is None:
            return plain(404, f"No page of the lab is at {asked.origin}.")
        if len(asked.content) > REPORT_BYTES:
            return plain(413, f"A report has {REPORT_BYTES:,} bytes at most.")
        try:
            run, outcomes, told = _report(asked.content)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as fault:
            return plain(400, f"This is no report of a run: {type(fault).__name__}.")
        judged = await self._judged(f"/x/{web.name}/{run}/")
        verdicts = [Judged(one.verdict, self._named.get(one.verdict.flow_id)) for one in judged]
        made = rows(web, outcomes, verdicts)
        proof = {
            "corscope": __version__,
            "mitmproxy": version.VERSION,
            "browser": asked.header("user-agent") or "",
            "rules": self.rules,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "page": asked.origin,
            "run": run,
            **told,
            "table": table_size(web),
            "exchanges": len(judged),
            "unsettled": sum(not one.verdict.settled for one in judged),
            "rewritten": sum(one.rewrite is not None and one.rewrite.applied for one in judged),
            "dropped": self._dropped(outcomes),
            **counted(made),
        }
        return found("application/json", _written(proof, made))

    async def _judged(self, prefix: str) -> list[Noted]:
        """Return the latest verdicts on a run's exchanges when no time that passes changes them."""
        deadline = time.monotonic() + min(self.grace + SETTLING_SECONDS, PATIENCE)
        while True:
            sequence = self._history.sequence
            judged = [one for one in self._history.all() if _is_below(one.verdict.url, prefix)]
            left = deadline - time.monotonic()
            if left <= 0 or not unfollowed(one.verdict for one in judged):
                return judged
            if await self._history.wait(sequence, left):
                await asyncio.sleep(LOOK_SECONDS)

    def _dropped(self, outcomes: Mapping[tuple[str, int], Outcome]) -> bool:
        """Tell whether exchanges since the run began may have been let go of."""
        oldest = next(self._history.all(), None)
        if not self._history.dropped or oldest is None:
            return False
        return oldest.verdict.timestamp > min((one.start for one in outcomes.values()), default=0.0)


def counted(made: list[Row]) -> dict[str, Any]:
    """Return the counts of rows, and the sentences that say why some can't be compared."""
    found = counts(made)
    return {"counts": found, "words": words([why for reasons in found["reasons"].values() for why in reasons])}


def _is_below(url: str, prefix: str) -> bool:
    return url[url.find("/", 8) :].startswith(prefix)


def _report(content: bytes) -> tuple[str, dict[tuple[str, int], Outcome], dict[str, Any]]:
    """Read the page's report: the run's name, how its steps ended, and what is to be passed on of it.

    Raises ValueError, KeyError, TypeError, OverflowError or RecursionError for anything else.
    """
    said = json.loads(content)
    run = said["run"]
    if not isinstance(run, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", run):
        raise ValueError("the run's name")
    outcomes = {}
    for one in said["results"]:
        ok = one["ok"]
        if ok is not None and not isinstance(ok, bool):
            raise TypeError("ok")
        outcomes[str(one["id"]), int(one["step"])] = Outcome(
            ok=ok,
            detail=str(one["detail"])[:DETAIL],
            start=_number(one["start"]) / 1000,
            end=_number(one["end"]) / 1000,
        )
    told = {
        "only": str(said.get("only", ""))[:DETAIL],
        "cookies": bool(said["cookies"]),
        "complete": bool(said["complete"]),
        "hidden": bool(said.get("hidden")),
        "left_out": int(said.get("leftOut", 0)),
        "seconds": round(_number(said.get("seconds", 0)), 1),
    }
    return run, outcomes, told


def _number(value: Any) -> float:  # noqa: ANN401 - whatever JSON it is
    """Return a number of the page's. Raises ValueError or TypeError for anything else."""
    number = float(value)
    if not abs(number) < 1e15:
        raise ValueError("a number beyond all bounds, or none")
    return number


def _written(proof: dict[str, Any], made: list[Row]) -> bytes:
    """Return the proof as JSON, a row a line, so that two of them can be compared by eye and by diff."""
    head = json.dumps(proof, indent=1)
    lines = ",\n".join(json.dumps(as_json(row), separators=(",", ":")) for row in made)
    return f'{head.removesuffix("}").rstrip()},\n "rows": [\n{lines}\n]}}\n'.encode()
