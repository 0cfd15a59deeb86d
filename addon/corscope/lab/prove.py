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

from corscope.browsers import BrowserFailure, Kind, find_browsers
from corscope.lab.answers import Place, scenario_of
from corscope.lab.record import VISITS, Visit, drive, reports_in
from corscope.lab.scenarios import WEBS

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
        return {
            (result["id"], result["step"]): result["ok"]
            for report in reports_in(folder / "results.jsonl")
            for result in report["results"]
        }
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
    parser.add_argument("--browser", choices=("chromium", "firefox"), action="append", help="only this one")
    parser.add_argument("--web", choices=[visit.name for visit in VISITS], action="append", help="only this one")
    parser.add_argument("--only", metavar="TAG", default="", help="only scenarios whose tag starts with TAG")
    parser.add_argument("--unlisted", action="store_true", help="compare origins that are not listed too")
    said = parser.parse_args(arguments)
    found = find_browsers()
    kinds: list[Kind] = [kind for kind in ("chromium", "firefox") if not said.browser or kind in said.browser]
    if lacking := [kind for kind in kinds if kind not in found]:
        print(f"prove_rewriting: not installed: {', '.join(lacking)}", file=sys.stderr)
        return 1
    short = False
    for visit in VISITS:
        if said.web and visit.name not in said.web:
            continue
        listed = " ".join([*WEBS[visit.web.name].origins.values(), "null"])
        for kind in kinds:
            try:
                got = outcomes_of(kind, found[kind], visit, said.only, cors_rewrite="all", cors_allow_origins=listed)
                wrong, excepted = missed(visit.web.name, got)
                short |= bool(wrong) or not got
                print(
                    f"{kind}-{visit.name}: {len(got)} steps, {sum(wrong.values())} did not reach the page, "
                    f"{sum(excepted.values())} that no header mends ({_counts(excepted)})",
                    flush=True,
                )
                for tag, count in wrong.most_common(20):
                    print(f"    {count} × {tag}")
                if said.unlisted:
                    same = [
                        outcomes_of(
                            kind,
                            found[kind],
                            visit,
                            said.only,
                            cors_rewrite=mode,
                            cors_allow_origins="https://a.example",
                        )
                        for mode in ("all", "off")
                    ]
                    different = [key for key in same[0].keys() | same[1].keys() if same[0].get(key) != same[1].get(key)]
                    fickle = [key for key in different if tag_of(visit.web.name, key[0]).startswith(FICKLE)]
                    different = [key for key in different if key not in fickle]
                    short |= bool(different)
                    print(
                        f"    with another origin listed {len(different)} of {len(same[1])} outcomes differ"
                        + (f", and {len(fickle)} that the browser's cache decides" if fickle else ""),
                        flush=True,
                    )
                    for id_, step in different[:20]:
                        print(f"    {tag_of(visit.web.name, id_)} step {step}")
            except (BrowserFailure, OSError, TimeoutError) as fault:
                print(f"prove_rewriting: {kind} {visit.name}: {fault}", file=sys.stderr)
                return 1
    return 1 if short else 0


def _counts(tags: Counter[str]) -> str:
    return ", ".join(f"{count} {tag.rstrip('/')}" for tag, count in tags.most_common()) or "none"


if __name__ == "__main__":
    sys.exit(main())
