"""Real browsers: the cookies that a jar says travel are those that do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mitmproxy import http

from cookie_web import BACK, PAGES
from corscope.browsers import Kind, find_browsers, launch
from corscope.cookie_jar import Context, CookieJar, Fate, Reason
from corscope.cookies import cookie_names
from corscope.credentials import recognise
from corscope.recorder.record import PREFERENCES
from proxies import Mitmdump, confdir, read_recording

WEB = Path(__file__).parent / "cookie_web.py"
REQUESTS = sum(1 + len(page.asks) + bool(page.frame) for page in PAGES) + sum(
    urlsplit(url).path in BACK for page in PAGES for url in page.asks
)
"""Those of all pages, their frames and where they are redirected."""
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
    flows = [
        flow for flow in read_recording(recording) if flow.request.pretty_host in HOSTS and flow.request.path != "/done"
    ]
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

    right: Counter[bool] = field(default_factory=Counter)
    """How many of those that a cookie travels, and that it does not, came true."""
    reasons: Counter[Reason] = field(default_factory=Counter)
    """The reasons of the latter."""
    wrong: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)


def compare(flows: Sequence[http.HTTPFlow], *, watching: bool = False) -> Score:
    """Predicts each request's cookies from those before it; `watching` the jar is told which cookies arrived."""
    jar = CookieJar()
    score = Score()
    for flow, context in contexts(flows, jar):
        arrived = set(cookie_names("; ".join(flow.request.headers.get_all("cookie")).encode()))
        fates = {fate.name: fate for fate in jar.travel(context)}
        for name in sorted(arrived | fates.keys()):
            # What the jar does not know of is not to arrive.
            fate = fates.get(name) or Fate(name=name, travels=False)
            if fate.travels is None:
                score.untold.append(describe(flow, context, fate, name in arrived))
            elif fate.travels is (name in arrived):
                score.right[fate.travels] += 1
                score.reasons.update(fate.reasons)
            else:
                score.wrong.append(describe(flow, context, fate, name in arrived))
        if watching:
            jar.travelled(arrived, context, flow.id)
        assert flow.response
        lines = [line.encode() for line in flow.response.headers.get_all("set-cookie")]
        jar.set_cookie(lines, replace(context, now=flow.response.timestamp_start), flow.id)
    return score


def describe(flow: http.HTTPFlow, context: Context, fate: Fate, arrived: bool) -> str:
    said = f"{flow.request.pretty_url} from {context.origin.decode() or 'nowhere'} in {context.top_level_site}: "
    return f"{said}{fate.name} {'arrived' if arrived else 'did not arrive'}, and the jar says {fate}"


THIRD_PARTIES: Mapping[str, object] = {"profile.cookie_controls_mode": 0}
"""Chromium's setting that lets them have cookies: Chrome's default, but not that of some distributions."""
NO_THIRD_PARTIES: Mapping[str, object] = {"profile.cookie_controls_mode": 1}
CHROMIUM, FIREFOX = pytest.mark.browser("chromium"), pytest.mark.browser("firefox")


@pytest.mark.parametrize(
    ("kind", "preferences", "never"),
    [
        pytest.param("chromium", THIRD_PARTIES, Reason.THIRD_PARTY_BLOCKED, id="chromium", marks=CHROMIUM),
        pytest.param("chromium", NO_THIRD_PARTIES, None, id="chromium-blocking", marks=CHROMIUM),
        pytest.param("firefox", {}, Reason.SAMESITE_DEFAULT, id="firefox", marks=FIREFOX),
    ],
)
def test_the_cookies_that_travel_are_those_that_were_said_to(
    kind: Kind,
    preferences: Mapping[str, object],
    never: Reason | None,
    tmp_path: Path,
) -> None:
    """`never` is the reason that this browser knows nothing of."""
    flows = record(kind, tmp_path, preferences)
    for watching in (False, True):
        score = compare(flows, watching=watching)
        said = f"{len(flows)} requests, right {dict(score.right)}, untold {len(score.untold)}"
        assert score.wrong == [], "\n".join([said, *score.wrong[:40]])
        assert len(score.untold) < 0.01 * score.right.total(), "\n".join([said, *score.untold[:40]])
        # Otherwise less was compared than was meant.
        assert len(flows) == REQUESTS, said
        assert score.right[True] > 5 * REQUESTS, said
        assert score.reasons.keys() == set(Reason) - {never}, said
