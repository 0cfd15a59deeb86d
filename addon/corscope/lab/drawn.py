"""Scenarios that chance draws: what the table combines only here and there, and what nobody thought of.

A scenario is drawn from its id alone, which says a seed and a number, so that the lab's web knows it wherever it is
asked for, and whoever finds a fault can have the same one again. Left out is what makes the page see another thing than
the exchange at hand (requests made at once that differ, redirect modes that end where nothing is wrong, answers that a
cache gives), and what looks alike: beside an upload that is listened to, whose preflight asks for nothing, the same
without a listener.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterator, Mapping

from corscope.lab.scenarios import (
    ALL_METHODS,
    ALLOW_CREDENTIALS_KINDS,
    ALLOW_ORIGIN_KINDS,
    BODIES,
    HEADER_SETS,
    INCLUDE,
    LIST_KINDS,
    MAX_AGES,
    METHODS,
    NEXT_HOP,
    NO_STORE,
    PREFLIGHT_STATUSES,
    REDIRECT_STATUSES,
    SAFELIST_EDGES,
    SAME,
    STATUSES,
    VARY,
    WEBS,
    Answer,
    Body,
    Context,
    Credentials,
    Hop,
    Initiator,
    Lines,
    Mode,
    Role,
    Scenario,
    Step,
    Web,
    allow_credentials,
    allow_list,
    allow_origin,
    asked_by,
    body_for,
    check,
    permissive,
)

KEPT = 3000
"""Scenarios that are remembered; any other is drawn anew."""

_ID = re.compile(r"[a-z0-9]{1,12}-[0-9]{1,4}")
_CHOICE = re.compile(r"random/([a-z0-9]{1,12})/([0-9]{1,4})")

_CHECKS = (
    "good",
    "good",
    "good",
    "star-uncredentialed",
    "no-credentials",
    "null",
    "real",
    "star",
    "null-uncredentialed",
)
_HEADERS = (*LIST_KINDS, "partial", "star-and-authorization")
_ROLES = (*Role, Role.SIBLING, Role.CROSS, Role.THIRD)
_SCRIPTED = (Initiator.FETCH, Initiator.XHR)
_SPECIALS = {"": 80, "cookie/": 8, "stored/": 8, "redirect-user/": 4}
"""How the tag begins, as in the table, of a scenario whose answers set cookies or may be stored, or with a user in a
redirect; and how many in a hundred are such."""


def drawn(web: Web, only: str) -> Iterator[Scenario]:
    """Draw as many scenarios of a web as `random/SEED/COUNT` says, among choices that are parted by commas."""
    for choice in only.split(","):
        if found := _CHOICE.fullmatch(choice):
            yield from (scenario_drawn(web.name, f"{found[1]}-{number}") for number in range(int(found[2])))


def is_drawn(id_: str) -> bool:
    """Whether an id is one of a drawn scenario."""
    return _ID.fullmatch(id_) is not None


@functools.lru_cache(maxsize=KEPT)
def scenario_drawn(web: str, id_: str) -> Scenario:
    """Draw a scenario of a web; `id_` as in `is_drawn`."""
    return _Draw(WEBS[web], id_).scenario()


class _Draw:
    """Draws one scenario; lives only meanwhile."""

    def __init__(self, web: Web, id_: str) -> None:
        self._id = id_
        self._web = web
        # Whoever seeds with text gets the same on every machine.
        self._random = random.Random(f"{web.name} {id_}")
        self._special = self._one_of(_SPECIALS)
        self._context = self._one_of(
            {
                Context.PAGE: 10,
                Context.WORKER: 1,
                Context.SANDBOX: 1,
                Context.DATA: 0.5,
                Context.CROSS: 1,
                Context.BLOB_WORKER: 0.5,
                Context.IDN: 1 if Role.IDN in web.origins else 0,
            }
        )
        self._origin = web.origin_of(self._context)

    def _one_of[T](self, weights: Mapping[T, float]) -> T:
        return self._random.choices(list(weights), list(weights.values()))[0]

    def _chance(self, chance: float) -> bool:
        return self._random.random() < chance

    def scenario(self) -> Scenario:
        """Draw it."""
        elements = 0.7 if self._context is Context.PAGE else 0
        initiator = self._one_of(
            {
                Initiator.FETCH: 10,
                Initiator.XHR: 4,
                Initiator.EVENT_SOURCE: 0.7,
                Initiator.MODULE: elements,
                Initiator.IMAGE: elements,
                Initiator.SCRIPT: elements,
                Initiator.STYLE: elements / 2,
                Initiator.FONT: elements / 2,
                Initiator.VIDEO: elements / 2,
                Initiator.TRACK: elements / 2,
            }
        )
        steps = tuple(self._step(initiator) for _ in range(self._one_of({1: 6, 2: 3, 3: 1})))
        if self._chance(0.4) or any(step.upload_listener for step in steps):
            steps = steps[:1] * len(steps)
        wanted = sorted({name.lower() for step in steps for name, _ in step.headers} | {"x-custom"})
        length = self._one_of({1: 6, 2: 4, 3: 1.5, 4: 0.5})
        return Scenario(
            id=self._id,
            tag=f"{self._special}random/{self._id.partition('-')[0]}",
            context=self._context,
            origin=self._origin,
            hops=tuple(self._hop(number, length, initiator, wanted) for number in range(length)),
            steps=steps,
        )

    def _step(self, initiator: Initiator) -> Step:
        if initiator not in _SCRIPTED:
            return self._random.choice(asked_by(initiator))
        method = self._random.choice(METHODS) if self._chance(0.6) else "GET"
        headers: Lines = ()
        if self._chance(0.3):
            headers = self._random.choice(list(HEADER_SETS.values()))
        elif self._chance(0.25):
            headers = self._random.choice(list(SAFELIST_EDGES.values()))
        if initiator is Initiator.XHR:
            return Step(
                initiator=initiator,
                credentials=self._random.choice((SAME, INCLUDE)),
                method=method,
                headers=headers,
                body=body_for(method),
                upload_listener=self._chance(0.1),
            )
        if self._chance(0.1):
            method = self._random.choice(("GET", "POST"))
            return Step(
                mode=Mode.NO_CORS,
                credentials=self._random.choice(list(Credentials)),
                method=method,
                body=body_for(method),
            )
        return Step(
            credentials=self._random.choice(list(Credentials)),
            method=method,
            headers=headers,
            body=body_for(method),
            cache=self._one_of({"default": 8, "no-store": 1, "reload": 1, "no-cache": 1}),
        )

    def _hop(self, number: int, length: int, initiator: Initiator, wanted: list[str]) -> Hop:
        is_last = number + 1 == length
        # What elements ask over http is asked over https by a page that came so: from an origin that the web has not.
        roles = [
            role for role in _ROLES if role in self._web.origins and (initiator in _SCRIPTED or role is not Role.SCHEME)
        ]
        return Hop(
            role=self._random.choice(roles),
            preflights=tuple(self._preflight(wanted, is_last=is_last) for _ in range(self._one_of({1: 4, 2: 1}))),
            answers=tuple(
                self._answer(initiator) if is_last else self._redirect() for _ in range(self._one_of({1: 4, 2: 1}))
            ),
            user_info="u:p" if number and self._special == "redirect-user/" else "",
        )

    def _check(self) -> Lines:
        if self._chance(0.55):
            return check(self._random.choice(_CHECKS), self._origin)
        allowing = allow_credentials(self._random.choice(ALLOW_CREDENTIALS_KINDS))
        return allow_origin(self._random.choice(ALLOW_ORIGIN_KINDS), self._origin) + allowing

    def _preflight(self, wanted: list[str], *, is_last: bool) -> Answer:
        if self._chance(0.45):
            return permissive(self._web)
        status = self._random.choice(PREFLIGHT_STATUSES) if self._chance(0.35) else 204
        methods = self._random.choice(LIST_KINDS) if self._chance(0.5) else "exact"
        headers = self._random.choice(_HEADERS) if self._chance(0.5) else "exact"
        lines = (
            *self._check(),
            *allow_list("Access-Control-Allow-Methods", methods, ALL_METHODS),
            *allow_list("Access-Control-Allow-Headers", headers, wanted),
            *self._random.choice(list(MAX_AGES.values())),
        )
        if status in REDIRECT_STATUSES and self._chance(0.7):
            lines += (("Location", "/" if is_last else NEXT_HOP),)
        return Answer(status=status, headers=lines, body=Body.EMPTY)

    def _redirect(self) -> Answer:
        return Answer(
            status=self._random.choice(REDIRECT_STATUSES),
            headers=(*self._check(), ("Location", NEXT_HOP), *NO_STORE),
            body=Body.EMPTY,
        )

    def _answer(self, initiator: Initiator) -> Answer:
        # With other statuses elements fail for reasons of their own, and all browsers but Chromium don't say of which.
        status = self._random.choice(STATUSES) if initiator in _SCRIPTED and self._chance(0.25) else 200
        lines = self._check()
        if self._chance(0.3):
            lines += VARY
        if self._special != "stored/":
            lines += NO_STORE
        if self._special == "stored/" or self._chance(0.1):
            lines += (("ETag", '"1"'),)
        if self._chance(0.1):
            lines += (("Access-Control-Expose-Headers", self._random.choice(("*", "X-A", "ETag, X-B"))),)
        if self._special == "cookie/":
            name = f"r{self._random.randrange(40)}"
            lines += (("Set-Cookie", f"{name}=1; Path=/; {self._web.cross_site_cookie}; Max-Age=2"),)
        return Answer(status=status, headers=lines, body=Body.EMPTY if status in (204, 304) else BODIES[initiator])
