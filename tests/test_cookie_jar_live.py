"""Real browsers: the cookies that a jar says travel are those that do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mitmproxy import http

from cookie_web import PAGES
from corscope.browsers import Kind, find_browsers, launch
from corscope.cookie_jar import Context, CookieJar, Fate
from corscope.credentials import cookie_names, recognise
from corscope.lab.record import PREFERENCES
from proxies import Mitmdump, confdir, read_recording

WEB = Path(__file__).parent / "cookie_web.py"
HOSTS = {urlsplit(url).hostname for page in PAGES for url in (page.origin, *page.asks)}


def record(kind: Kind, folder: Path, preferences: Mapping[str, object]) -> list[http.HTTPFlow]:
    """Lets a browser go through all pages, and returns its requests in their order."""
    recording = folder / "flows.mitm"
    with Mitmdump("-s", str(WEB), "-w", str(recording), addon=False, flow_detail=0) as proxy:
        with launch(
            kind,
            find_browsers()[kind],
            f"{PAGES[0].origin}/page/0",
            proxy_port=proxy.port,
            ca_file=confdir() / "mitmproxy-ca-cert.pem",
            headless=True,
            preferences={**PREFERENCES[kind], **preferences},
        ):
            proxy.wait_for("the last page is done", 60)
        proxy.stop()
    flows = [flow for flow in read_recording(recording) if flow.request.pretty_host in HOSTS]
    return sorted(flows, key=lambda flow: flow.request.timestamp_start)


def contexts(flows: Sequence[http.HTTPFlow], jar: CookieJar) -> Iterator[tuple[http.HTTPFlow, Context]]:
    """What a proxy knows of each request: its own headers, and which page was opened last."""
    top = ""
    for flow in flows:
        headers = flow.request.headers
        host = flow.request.pretty_host
        navigation = flow.request.path.startswith("/page/") and len(flow.request.path) > len("/page/")
        if navigation:
            top = f"{flow.request.scheme}://{jar.registrable(host)}"
        origin = headers.get("origin") or "/".join(headers.get("referer", "").split("/")[:3])
        yield (
            flow,
            Context(
                scheme=flow.request.scheme,
                host=host,
                path=flow.request.path,
                now=flow.request.timestamp_start,
                family=recognise(headers["user-agent"].encode()).family,
                site=headers.get("sec-fetch-site", "").encode(),
                origin=origin.encode(),
                navigation=navigation,
                top_level_site=top,
                storage_access=headers.get("sec-fetch-storage-access", "").encode(),
            ),
        )


@dataclass(slots=True)
class Score:
    """Predictions against what arrived."""

    right: Counter[bool]
    wrong: list[str]
    untold: list[str]


def compare(flows: Sequence[http.HTTPFlow], *, watching: bool) -> Score:
    """Predicts each request's cookies from those before it; `watching` the jar is told which cookies arrived."""
    jar = CookieJar()
    score = Score(Counter(), [], [])
    for flow, context in contexts(flows, jar):
        arrived = set(cookie_names("; ".join(flow.request.headers.get_all("cookie")).encode()))
        fates = {fate.name: fate for fate in jar.travel(context)}
        for name in sorted(arrived | fates.keys()):
            fate = fates.get(name) or Fate(name=name, travels=False)
            said = describe(flow, context, fate, name in arrived)
            if fate.travels is None:
                score.untold.append(said)
            elif fate.travels is (name in arrived):
                score.right[fate.travels] += 1
            else:
                score.wrong.append(said)
        if watching:
            jar.travelled(arrived, context, flow.id)
        assert flow.response
        lines = [line.encode() for line in flow.response.headers.get_all("set-cookie")]
        jar.set_cookie(lines, context, flow.id)
    return score


def describe(flow: http.HTTPFlow, context: Context, fate: Fate, arrived: bool) -> str:
    said = f"{flow.request.pretty_url} from {context.origin.decode() or 'nowhere'} in {context.top_level_site}: "
    return f"{said}{fate.name} {'arrived' if arrived else 'did not arrive'}, and the jar says {fate}"


THIRD_PARTIES: Mapping[str, object] = {"profile.cookie_controls_mode": 0}
"""Chrome's default; some distributions block them."""
NO_THIRD_PARTIES: Mapping[str, object] = {"profile.cookie_controls_mode": 1}


@pytest.mark.parametrize(
    ("kind", "preferences"),
    [
        pytest.param("chromium", THIRD_PARTIES, id="chromium"),
        pytest.param("chromium", NO_THIRD_PARTIES, id="chromium without third parties"),
        pytest.param("firefox", {}, id="firefox"),
    ],
)
def test_the_cookies_that_travel_are_those_that_were_said_to(
    kind: Kind, preferences: Mapping[str, object], request: pytest.FixtureRequest, one_browser: None, tmp_path: Path
) -> None:
    request.getfixturevalue(kind)
    began = time.monotonic()
    flows = record(kind, tmp_path, preferences)
    took = time.monotonic() - began
    # Otherwise less was compared than was meant.
    asked = sum(flow.request.headers.get("sec-fetch-mode") == "cors" for flow in flows)
    for watching in (False, True):
        score = compare(flows, watching=watching)
        print(
            f"{kind} {dict(preferences)}: {len(flows)} flows ({asked} cors) in {took:.0f} s; right {dict(score.right)}, "
            f"wrong {len(score.wrong)}, untold {len(score.untold)}"
        )
        for line in score.wrong[:4000]:
            print("WRONG", line)
        for line in score.untold[:4000]:
            print("UNTOLD", line)
    assert score.wrong == []
