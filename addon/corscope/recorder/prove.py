"""Proves rewriting in the installed browsers, with every scenario of the lab: scripts/prove_rewriting.

Each browser goes through each web with the lab's origins listed, when every request has to reach the page but those
that no header mends; and, with --unlisted, twice more: with another origin listed and with rewriting off, when every
outcome has to be the same.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from corscope.browsers import Kind
from corscope.lab.answers import Place, scenario_of
from corscope.lab.scenarios import WEBS
from corscope.recorder.record import Visit, add_choices, drive, go_through, results_in

ADDON = Path(__file__).parent.parent.parent / "cors_addon.py"

EXCEPTIONS: Mapping[str, str] = {
    "redirect-user/": "a CORS request may not be redirected to a URL that names a user (HTTP-redirect fetch, step 9)",
    "stored/image-first/": "the browser takes the answer from its cache, stored for an image: nothing is on the wire",
    "stored/no-cors-first/": "the browser takes the answer from its cache, stored for a request in mode no-cors",
}
"""What no header of a CORS response mends, by the beginning of the scenarios' tags, with the reason."""

FICKLE = "stored/"
"""How the tags begin of scenarios that end now so, now so, without rewriting too: Firefox's HTTP cache is at times not
yet written when it is asked. Measured: 1 or 2 of 528 steps differ from one run to the next."""

type Outcomes = Mapping[tuple[str, int], bool | None]
"""Whether each step of each scenario worked for the page; None where the page can't know."""


def outcomes_of(kind: Kind, executable: Path, visit: Visit, only: str, **options: str) -> Outcomes:
    """Lets a browser go through a web with options of the addon's."""
    folder = Path(tempfile.mkdtemp(prefix="corscope-prove-"))
    arguments = ["-s", str(ADDON)]
    for name, value in options.items():
        arguments += ["--set", f"{name}={value}"]
    try:
        drive(kind, executable, visit, only, folder, proxy_arguments=arguments)
        return {step: result["ok"] for step, result in results_in(folder / "results.jsonl").items()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tag_of(web: str, id_: str) -> str:
    """Return the tag of a scenario, which must exist."""
    scenario = scenario_of(Place(web=web, run="", scenario=id_, hop=0))
    assert scenario is not None
    return scenario.tag


def missed(web: str, outcomes: Outcomes) -> tuple[Counter[str], Counter[str]]:
    """Return the tags of steps that failed although they were rewritten, and of those that had to, by exception."""
    wrong: Counter[str] = Counter()
    excepted: Counter[str] = Counter()
    for (id_, _), worked in outcomes.items():
        if worked is not False:
            continue
        tag = tag_of(web, id_)
        exception = next((beginning for beginning in EXCEPTIONS if tag.startswith(beginning)), None)
        if exception is None:
            wrong[tag] += 1
        else:
            excepted[exception] += 1
    return wrong, excepted


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what rewriting came to in each browser and web; exit code 1 where it fell short."""
    parser = argparse.ArgumentParser(prog="scripts/prove_rewriting", description=(__doc__ or "").split("\n\n")[0])
    add_choices(parser)
    parser.add_argument("--unlisted", action="store_true", help="compare origins that are not listed too")
    said = parser.parse_args(arguments)
    holds: list[bool] = []

    def prove(kind: Kind, executable: Path, visit: Visit) -> None:
        holds.append(_prove_listed(kind, executable, visit, said.only))
        if said.unlisted:
            holds.append(_prove_unlisted(kind, executable, visit, said.only))

    return go_through("prove_rewriting", said, prove) or int(not all(holds))


def _prove_listed(kind: Kind, executable: Path, visit: Visit, only: str) -> bool:
    """Prints how many requests of listed origins reached the page, and tells whether all did that can."""
    listed = " ".join([*WEBS[visit.web.name].origins.values(), "null"])
    got = outcomes_of(kind, executable, visit, only, cors_rewrite="all", cors_allow_origins=listed)
    wrong, excepted = missed(visit.web.name, got)
    print(
        f"{kind}-{visit.name}: {len(got)} steps, {sum(wrong.values())} did not reach the page, "
        f"{sum(excepted.values())} that no header mends ({_counts(excepted)})",
        flush=True,
    )
    for tag, count in wrong.most_common(20):
        print(f"    {count} × {tag}")
    return bool(got) and not wrong


def _prove_unlisted(kind: Kind, executable: Path, visit: Visit, only: str) -> bool:
    """Prints how many outcomes differ with another origin listed, and tells whether none does."""
    elsewhere, off = (
        outcomes_of(kind, executable, visit, only, cors_rewrite=mode, cors_allow_origins="https://a.example")
        for mode in ("all", "off")
    )
    different = [key for key in elsewhere.keys() | off.keys() if elsewhere.get(key) != off.get(key)]
    fickle = [key for key in different if tag_of(visit.web.name, key[0]).startswith(FICKLE)]
    different = [key for key in different if key not in fickle]
    print(
        f"    with another origin listed {len(different)} of {len(off)} outcomes differ"
        + (f", and {len(fickle)} that the browser's cache decides" if fickle else ""),
        flush=True,
    )
    for id_, step in different[:20]:
        print(f"    {tag_of(visit.web.name, id_)} step {step}")
    return not different


def _counts(tags: Counter[str]) -> str:
    return ", ".join(f"{count} {tag.rstrip('/')}" for tag, count in tags.most_common()) or "none"


if __name__ == "__main__":
    sys.exit(main())
