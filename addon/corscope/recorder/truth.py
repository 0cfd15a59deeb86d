"""Tells what a browser did with each recorded exchange, from what the page saw and what the browser said of itself.

Pure. Makes no judgement of its own on any header: an exchange is blocked because the browser stopped there.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from corscope.lab.answers import Place, place_of, scenario_of
from corscope.lab.scenarios import WEBS, Credentials, Initiator, Lines, Mode, Scenario, Step
from corscope.lab.steps import Outcome, step_named, step_of

SIGNALS = ("cookie", "sec-fetch-storage-access")
"""Request headers that only credentialed requests have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A recorded exchange of the lab, as far as the truth needs it."""

    flow_id: str
    time: float
    """When the request began, in seconds since the epoch."""
    method: str
    """As sent."""
    origin: str
    """Serialized origin of the URL."""
    path: str
    request: Lines
    body: bytes
    status: int
    response: Lines

    @property
    def url(self) -> str:
        """The whole URL."""
        return self.origin + self.path

    def header(self, name: str) -> str | None:
        """The value of a request header, its name in lower case; None without one."""
        return next((value for key, value in self.request if key.lower() == name), None)

    @property
    def names(self) -> frozenset[str]:
        """The names of the request's headers, in lower case."""
        return frozenset(name.lower() for name, _ in self.request)

    @property
    def step_named(self) -> int | None:
        """The step that the body names; None where it names none."""
        return step_named(self.body.decode("utf-8", "replace"))

    @property
    def preflight(self) -> bool:
        """Whether this is a preflight."""
        return self.method == "OPTIONS" and "access-control-request-method" in self.names


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a request ended as Chromium's debugger tells it (Network.loadingFailed, Network.loadingFinished)."""

    url: str
    """Of the first hop."""
    time: float
    """When the request began, in seconds since the epoch."""
    post_data: str = ""
    finished: bool = False
    error: str | None = None
    """The name in corsErrorStatus."""
    parameter: str | None = None
    text: str | None = None
    """The network error's name, when it failed for any reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What the browser did with one exchange: a line of a truth file."""

    flow_id: str
    scenario: str
    step: int | None
    """None for a preflight of requests that were under way together."""
    tag: str
    context: str
    initiator: str
    method: str
    url: str
    status: int
    preflight: bool
    credentials: str | None
    """The mode that the page asked for; None where preflights of several modes can't be told apart."""
    cors: bool
    """Whether the exchange is subject to the CORS protocol."""
    verdict: str | None
    """`allowed`, `blocked`, or None where the browser stopped for another reason than CORS, or didn't tell."""
    reason: str | None = None
    """Chromium's name of the failure; for another browser, what Chromium called the same failure."""
    parameter: str | None = None
    net: str | None = None
    """Another reason to stop."""
    console: str | None = None
    """Chromium's console sentence."""
    signal: str | None = None
    """A request header that only credentialed requests have: `cookie` or `sec-fetch-storage-access`."""
    undecidable: bool = False
    """Another exchange looks the same on the wire and ended the other way."""
    reason_undecidable: bool = False
    """Another exchange looks the same on the wire and was blocked for another reason."""


def path_in(url: str) -> str:
    """The path and query of a URL."""
    return "/" + url.split("/", 3)[-1]


def scenario_step(web: str, key: tuple[str, int]) -> Step:
    """The step with a scenario's id and a number, which must exist."""
    scenario = scenario_of(Place(web=web, run="", scenario=key[0], hop=0))
    assert scenario is not None
    return scenario.steps[key[1]]


def subject_to_cors(step: Step, scenario: Scenario, web: str, hop: int) -> bool:
    """Whether a hop of a step is subject to the CORS protocol: mode cors, and once across origins, ever after."""
    origins = WEBS[web].origins
    crossed = any(origins[one.role] != scenario.origin for one in scenario.hops[: hop + 1])
    return step.mode is Mode.CORS and crossed


def truths(
    web: str,
    exchanges: Sequence[Seen],
    outcomes: Mapping[tuple[str, int], Outcome],
    endings: Sequence[Ending] | None = None,
    sentences: Iterable[str] = (),
    lent: Iterable[Truth] = (),
) -> list[Truth]:
    """Returns the truth about the exchanges of one web's recording, in their order.

    With `endings` the browser has told its reasons (Chromium); without, they are taken from the `lent` truth of
    another browser where it stopped at the same exchange of the same step.
    """
    by_scenario: dict[str, dict[int, Outcome]] = defaultdict(dict)
    for (identifier, position), seen_outcome in outcomes.items():
        by_scenario[identifier][position] = seen_outcome
    groups: dict[tuple[str, int], list[int]] = defaultdict(list)
    lines: list[Truth | None] = []
    places: list[Place] = []
    for seen in exchanges:
        place = place_of(seen.path)
        scenario = scenario_of(place) if place else None
        if place is None or scenario is None or place.scenario not in by_scenario:
            lines.append(None)
            places.append(Place(web=web, run="", scenario="", hop=0))
            continue
        number = step_of(scenario, seen.time, seen.step_named, by_scenario[scenario.id])
        together = {step.credentials.value for step in scenario.steps}
        step = scenario.steps[number if number is not None else 0]
        if number is not None:
            groups[scenario.id, number].append(len(lines))
        places.append(place)
        lines.append(
            Truth(
                flow_id=seen.flow_id,
                scenario=scenario.id,
                step=number,
                tag=scenario.tag,
                context=scenario.context,
                initiator=step.initiator if step.mode is not Mode.NO_CORS else f"{step.initiator} no-cors",
                method=seen.method,
                url=seen.url,
                status=seen.status,
                preflight=seen.preflight,
                credentials=step.credentials if number is not None or len(together) == 1 else None,
                cors=seen.preflight or subject_to_cors(step, scenario, web, place.hop),
                # Preflights of several requests at once: what they let through came after them.
                verdict="allowed" if number is None and seen.preflight and _went_on(seen, exchanges) else None,
                signal=next((name for name in SIGNALS if name in seen.names), None),
            )
        )
    causes = _causes(endings or (), by_scenario)
    spoken = _spoken(sentences)
    borrowed = {(one.scenario, one.step): one for one in lent if one.verdict == "blocked" or one.net}
    for key, members in groups.items():
        outcome = outcomes.get(key)
        if outcome is None:
            continue
        ok = outcome.ok
        cause = causes.get(key)
        if endings is None and scenario_step(web, key).initiator is Initiator.PRELOAD and ok:
            # Firefox fires load for a preload that its CORS check will keep from whoever wants it.
            ok = None
        if ok is None and cause is not None:
            ok = True if cause.finished and cause.error is None else (False if cause.error else None)
        for position in members:
            line = lines[position]
            assert line is not None
            last = position == members[-1]
            if not last or ok is True:
                lines[position] = replace(line, verdict="allowed")
            elif ok is None:
                lines[position] = replace(line, net=outcome.detail)
            elif endings is not None:
                if cause is not None and cause.error:
                    console = spoken.get(line.url)
                    lines[position] = replace(
                        line, verdict="blocked", reason=cause.error, parameter=cause.parameter, console=console
                    )
                else:
                    lines[position] = replace(line, net=(cause.text if cause else None) or outcome.detail)
            else:
                lines[position] = _borrow(line, places[position], borrowed.get(key), outcome)
    known = [line for line in lines if line is not None]
    by_id = {seen.flow_id: seen for seen in exchanges}
    return _mark_undecidable(_retract(known, borrowed, by_id), by_id)


def _borrow(line: Truth, place: Place, other: Truth | None, outcome: Outcome) -> Truth:
    if other is None:
        return replace(line, verdict="blocked" if line.cors else None, net=None if line.cors else outcome.detail)
    there = place_of(path_in(other.url))
    # Where one browser revalidated and the other asked anew, different headers may be to blame.
    alike = (other.preflight, other.status) == (line.preflight, line.status)
    same = alike and there is not None and there.hop == place.hop
    if same and other.verdict == "blocked":
        return replace(line, verdict="blocked", reason=other.reason, parameter=other.parameter)
    if other.verdict == "blocked":
        return replace(line, verdict="blocked" if line.cors else None)
    return replace(line, net=other.net)


def _retract(
    lines: Sequence[Truth], borrowed: Mapping[tuple[str, int | None], Truth], exchanges: Mapping[str, Seen]
) -> list[Truth]:
    """Takes back lent reasons where the browser accepts the very header lines that the lender blocked for."""

    def blamed(line: Truth, reason: str) -> tuple[str, ...]:
        seen = exchanges[line.flow_id]
        name = f"access-control-allow-{'credentials' if 'AllowCredentials' in reason else 'origin'}"
        origin = seen.header("origin") or ""
        return (origin, *(value for key, value in seen.response if key.lower() == name))

    accepted = set()
    for line in lines:
        other = borrowed.get((line.scenario, line.step))
        # Later hops may be accepted for other reasons than their headers, and so may what a cache had a part in.
        if exchanges[line.flow_id].status == 304:
            continue
        if other is None or other.reason is None or line.verdict != "allowed" or line.preflight != other.preflight:
            continue
        if line.url.endswith("/0") and other.url.endswith("/0"):
            accepted.add((other.reason, blamed(line, other.reason)))
    return [
        replace(line, reason=None, parameter=None)
        if line.reason is not None and (line.reason, blamed(line, line.reason)) in accepted
        else line
        for line in lines
    ]


def _went_on(preflight: Seen, exchanges: Sequence[Seen]) -> bool:
    return any(seen.path == preflight.path and not seen.preflight and seen.time > preflight.time for seen in exchanges)


def _causes(endings: Iterable[Ending], outcomes: Mapping[str, Mapping[int, Outcome]]) -> dict[tuple[str, int], Ending]:
    """The ending that explains each step: one with a CORS error before any other."""
    causes: dict[tuple[str, int], Ending] = {}
    for ending in endings:
        place = place_of(path_in(ending.url))
        scenario = scenario_of(place) if place else None
        if scenario is None:
            continue
        known = outcomes.get(scenario.id, {})
        number = step_of(scenario, ending.time, step_named(ending.post_data), known)
        if number is None:
            continue
        key = (scenario.id, number)
        if key not in causes or (ending.error and not causes[key].error):
            causes[key] = ending
    return causes


def _spoken(sentences: Iterable[str]) -> dict[str, str]:
    """Console sentences by the URL they name, where there is but one."""
    by_url: dict[str, set[str]] = defaultdict(set)
    for sentence in sentences:
        if match := re.match(r"Access to .+? at '([^']+)'", sentence):
            by_url[match[1]].add(sentence)
    return {url: next(iter(said)) for url, said in by_url.items() if len(said) == 1}


# -- what the wire can tell --------------------------------------------------------------------------------------------

TELLING = frozenset(
    {
        "access-control-request-method",
        "access-control-request-headers",
        "origin",
        "sec-fetch-dest",
        "sec-fetch-mode",
        "sec-fetch-site",
        "sec-fetch-storage-access",
    }
)
"""Request headers whose values may tell something; of the others it is only that they are there."""
ANSWERING = frozenset({"location"})
"""Response headers that count beside `access-control-*`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What an exchange looks like on the wire, as far as a judge of CORS may care; equal looks, equal wires."""

    method: str
    related: str
    """Whether the Origin and the URL are of one site."""
    request: Lines
    """Names of all headers, values of those that tell."""
    status: int
    response: Lines
    followed: bool
    """Whether the browser went on."""

    @property
    def final(self) -> bool:
        """Whether its own headers and nothing else tell how it ended: no follow-up, nothing from a cache."""
        return (
            not self.followed
            and self.status != 304
            and not any(
                name in ("access-control-request-method", "location") for name, _ in (*self.request, *self.response)
            )
        )

    @property
    def for_credentials(self) -> tuple[str, Lines]:
        """What of the request depends on the credentials mode."""
        telling = TELLING | {"cookie", "authorization"}
        return self.related, tuple(line for line in self.request if line[0] in telling)

    @property
    def for_mode(self) -> tuple[str, str, Lines]:
        """What of the request depends on the request mode."""
        return self.method, self.related, self.request

    @property
    def answer(self) -> tuple[str | None, Lines]:
        """What the CORS check looks at, credentials apart."""
        return dict(self.request).get("origin"), self.response


def look(seen: Seen, followed: bool) -> Look:
    """What an exchange looks like."""
    request = {(name.lower(), value if name.lower() in TELLING else "") for name, value in seen.request}
    return Look(
        method=seen.method,
        related=_related(seen),
        request=tuple(sorted(line for line in request if line[0] not in ("content-length", "host"))),
        status=seen.status,
        response=tuple(
            (name.lower(), "" if name.lower() in ANSWERING else value.strip())
            for name, value in seen.response
            if name.lower() in ANSWERING or name.lower().startswith("access-control-")
        ),
        followed=followed,
    )


class Kind(StrEnum):
    """What a request is to the CORS check."""

    CREDENTIALED = "credentialed"
    UNCREDENTIALED = "uncredentialed"
    EXEMPT = "exempt"


def _kind(line: Truth) -> Kind | None:
    if not line.cors:
        return Kind.EXEMPT
    if line.credentials is None:
        return None
    return Kind.CREDENTIALED if line.credentials == Credentials.INCLUDE else Kind.UNCREDENTIALED


def _mark_undecidable(lines: Sequence[Truth], exchanges: Mapping[str, Seen]) -> list[Truth]:
    """Marks what the wire can't tell: 1. looks that ended both ways; 2. requests that look like requests of another
    kind, answered in a way that ends differently for that kind.
    """
    followed = _followed(lines)
    looks = {line.flow_id: look(exchanges[line.flow_id], line.flow_id in followed) for line in lines}
    ends: dict[Look, set[bool]] = defaultdict(set)
    reasons: dict[Look, set[str]] = defaultdict(set)
    kinds: dict[object, set[Kind]] = defaultdict(set)
    answers: dict[tuple[object, Kind], set[bool]] = defaultdict(set)
    for line in lines:
        one, kind = looks[line.flow_id], _kind(line)
        blocked = line.cors and line.verdict == "blocked"
        if line.verdict is not None or not line.cors:
            ends[one].add(blocked)
            if kind is not None and one.final:
                answers[one.answer, kind].add(blocked)
        if line.reason is not None:
            reasons[one].add(line.reason)
        if kind is Kind.EXEMPT:
            kinds[one.for_mode].add(kind)
        elif kind is not None and not line.preflight:
            kinds[one.for_credentials].add(kind)

    def open_ends(one: Look) -> set[bool]:
        """How an answer to a request that looks like this may end."""
        possible = {end for kind in kinds[one.for_credentials] for end in answers[one.answer, kind]}
        return possible | ({False} if kinds[one.for_mode] else set())

    return [
        replace(
            line,
            undecidable=len(ends[one]) > 1 or (line.cors and one.final and len(open_ends(one)) > 1),
            reason_undecidable=line.reason is not None and len(reasons[one]) > 1,
        )
        for line, one in ((line, looks[line.flow_id]) for line in lines)
    ]


def _followed(lines: Sequence[Truth]) -> set[str]:
    """The flows after which the browser went on with the same step."""
    last: dict[tuple[str, int | None], str] = {}
    followed = set()
    for line in lines:
        key = (line.scenario, line.step)
        if key in last:
            followed.add(last[key])
        last[key] = line.flow_id
    return followed


def _related(seen: Seen) -> str:
    """How the request's Origin stands to its URL, as far as names tell."""
    origin = seen.header("origin")
    if origin in (None, "null"):
        return str(origin)
    if origin == seen.origin:
        return "same-origin"
    hosts = [re.sub(r"^\w+://|:\d+$", "", one) for one in (str(origin), seen.origin)]
    sites = [".".join(host.split(".")[-2:]) for host in hosts]
    return "same-site" if sites[0] == sites[1] else "cross-site"
