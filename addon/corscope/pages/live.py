"""The live page's data: what was judged, as server-sent events, and what can be saved of it.

A response that an addon makes is sent once it is whole, so that a stream of events is a row of finite ones: each waits
for news, tells them, and the browser's EventSource asks again with the id of the last event that it got. Verdicts
become JSON here, when somebody looks, and nowhere on the way of a flow.
"""

import asyncio
import io
import json
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any
from urllib.parse import parse_qs

from corscope.formats.document import CaptureSummary, Entry, Format, Summary, Takes, entry_of, kind_of
from corscope.formats.har import Har
from corscope.formats.html import Chunk, Html
from corscope.formats.json_lines import JsonLines
from corscope.lab.answers import Asked, Served
from corscope.model import Outcome
from corscope.pages.guards import found, plain
from corscope.pages.history import History, Noted
from corscope.report import wire_json

logger = logging.getLogger(__name__)

CAPTURE = "live"
"""What the entries' capture is called."""

CHUNK = 250
"""Entries of one event."""

CHUNKS = 8
"""Events of one response: what is more comes with the next."""

SLICE = 25
"""Entries that are made at once, some milliseconds' work; between them the proxy goes on."""

WAIT_SECONDS = 15.0
"""How long a request for news waits for some."""

GATHER_SECONDS = 0.1
"""How long what comes after the first news is waited for, to be told with it."""

RETRY_MILLISECONDS = 250
"""After which the browser asks again. (Firefox takes half a second at least.)"""

EVENTS = "text/event-stream; charset=utf-8"

SAVED: dict[str, tuple[str, Callable[[io.StringIO], Format]]] = {
    "html": ("text/html; charset=utf-8", Html),
    "jsonl": ("application/jsonl; charset=utf-8", JsonLines),
    "har": ("application/json; charset=utf-8", Har),
}
"""What can be saved: by the URL's suffix the Content-Type, and what writes it."""


class Live:
    """Tells what a history holds."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._faulty: set[str] = set()
        self.stack = ""
        """The server software that configurations are shown for; empty for a guess."""

    # ------------------------------------------------------------------ entries

    def _entry(self, one: Noted, *, names: bool = False) -> Entry | None:
        """Return an entry, None where a fault of ours keeps it from being made; `names` as in `wire_json`."""
        try:
            entry = entry_of(one.verdict, CAPTURE, one.number, self.stack, rewrite=one.rewrite)
            if names and one.verdict.exchange is not None:
                entry["wire"] = wire_json(one.verdict.exchange, names=True)
            # What can't be written would be found out too late.
            json.dumps(entry)
        except Exception:
            if one.verdict.flow_id not in self._faulty:
                self._faulty.add(one.verdict.flow_id)
                logger.exception("corscope could not show an exchange on its live page; it is left out there.")
            return None
        return entry

    async def _entries(self, several: Iterable[Noted], *, names: bool = False) -> AsyncIterator[tuple[Noted, Entry]]:
        """Make entries, letting the proxy go on in between."""
        for count, one in enumerate(several, 1):
            entry = self._entry(one, names=names)
            if entry is not None:
                yield one, entry
            if count % SLICE == 0:
                await asyncio.sleep(0)

    # ------------------------------------------------------------------ events

    async def events(self, asked: Asked) -> Served:
        """Return what came since the event that is named, or waits for something."""
        history = self._history
        after = self._after(asked)
        if after is not None and asked.method == "GET":
            waited = history.sequence <= after
            await history.wait(after, WAIT_SECONDS)
            if waited and history.sequence > after:
                await asyncio.sleep(GATHER_SECONDS)
        # While that was awaited, all may have been cleared.
        era = history.era
        after = self._after(asked)
        lines = [f"retry: {RETRY_MILLISECONDS}", ""]
        if after is None:
            after = 0
            lines += _event("reset", {}, f"{era}-0")
        # What comes while entries are made is told next time.
        latest = history.sequence
        news = history.since(after)
        told = news[: CHUNK * CHUNKS]
        for begin in range(0, len(told), CHUNK):
            part = told[begin : begin + CHUNK]
            lines += _event("entries", await self._chunk(part), f"{era}-{part[-1].sequence}")
        # What is left of a cleared sequence has no entry of its own.
        reached = told[-1].sequence if len(told) < len(news) else latest
        lines += _event("state", self._state(len(news) - len(told)), f"{era}-{reached}")
        return found(EVENTS, "\n".join([*lines, ""]).encode())

    def _after(self, asked: Asked) -> int | None:
        """Return the sequence number after which news are asked for, None for all: from the start, or after it was
        forgotten.
        """
        told = asked.header("last-event-id") or _query(asked).get("after", "")
        known = re.fullmatch(r"([0-9a-f]+)-([0-9]{1,15})", told)
        return int(known[2]) if known and known[1] == self._history.era else None

    async def _chunk(self, part: Sequence[Noted]) -> dict[str, Any]:
        """Return some entries as the report's script decodes them, with the sequence number of each flow; those that it
        does not list by their flows alone.
        """
        chunk = Chunk()
        unlisted: list[str] = []
        sequences: list[tuple[str, int]] = []
        async for one, entry in self._entries(part):
            sequences.append((one.verdict.flow_id, one.sequence))
            if kind_of(one.verdict) <= Takes.CORS:
                chunk.add(entry)
            else:
                unlisted.append(one.verdict.flow_id)
        return {**chunk.json(), "unlisted": unlisted, "sequences": sequences}

    def _state(self, behind: int) -> dict[str, int]:
        """Return the counts; `behind` is how many entries are still to be told."""
        history = self._history
        return {
            "exchanges": history.exchanges + history.passed_by,
            "passed_by": history.passed_by,
            "dropped": history.dropped,
            "oldest": history.oldest,
            "behind": behind,
        }

    # ------------------------------------------------------------------ saving

    async def save(self, asked: Asked, what: str, suffix: str) -> Served:
        """Return a story, or all that is remembered, as a file to be saved; `what` is `story` or `report`."""
        history = self._history
        if what == "story":
            chosen = history.story(_query(asked).get("flow", ""))
            if not chosen:
                return plain(404, "No such exchange is remembered: it was dropped, or cleared.")
        else:
            chosen = sorted(history.all(), key=lambda one: one.number)
        kind, writer = SAVED[suffix]
        file = io.StringIO()
        report = writer(file)
        verdicts: Counter[str] = Counter()
        findings: Counter[str] = Counter()
        async for one, entry in self._entries(chosen, names=suffix == "har"):
            verdicts[entry["verdict"]] += 1
            findings.update(finding["id"] for finding in entry["findings"])
            # Of a single story all is wanted.
            if what == "story" or kind_of(one.verdict) <= report.takes:
                report.add(entry)
        counts = {str(outcome): verdicts[outcome] for outcome in Outcome}
        summary = CaptureSummary(CAPTURE, sum(counts.values()), counts)
        report.finish(Summary((summary,), dict(findings.most_common()), failed=counts[Outcome.BLOCKED] > 0))
        name = f"corscope-{what}-{chosen[0].number}" if what == "story" else f"corscope-{what}"
        served = found(kind, file.getvalue().encode("utf-8", "surrogateescape"))
        disposition = ("Content-Disposition", f'attachment; filename="{name}.{suffix}"')
        return Served(status=served.status, headers=(*served.headers, disposition), content=served.content)


def _query(asked: Asked) -> dict[str, str]:
    """Return the parameters of a request's URL, the first of each name."""
    query = asked.path.partition("?")[2]
    return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}


def _event(name: str, data: object, id_: str) -> list[str]:
    """Return the lines of a server-sent event. JSON in ASCII has no line feed."""
    return [f"event: {name}", f"id: {id_}", f"data: {json.dumps(data, separators=(',', ':'))}", ""]
