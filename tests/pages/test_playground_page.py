"""The playground's page and what it keeps: for nobody else, in bounded memory, touching nothing but its own runs."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy import ctx
from mitmproxy.io import FlowReader

from corscope.addon import CorsAddon
from corscope.lab.answers import AD_HOC, Asked, Lines, Place, Served, path_of
from corscope.lab.presets import PRESETS, by_id
from corscope.lab.scenarios import HTTP, HTTPS, Role
from corscope.lab.web import read
from corscope.pages import playground
from corscope.pages.playground import DOCUMENTS, FLOWS, HELLO, HELLOS, REQUEST_BYTES, RUNS, Playground
from corscope.rewriter import COOKIES_CROSS_SITE, COOKIES_OFF
from proxies import cors_flow
from test_addon import inside_mitmproxy

API = HTTPS.origins[Role.SIBLING]


@pytest.fixture
def addon() -> Iterator[CorsAddon]:
    """The addon with its options at their defaults."""
    with inside_mitmproxy() as (addon, _):
        yield addon


@pytest.fixture
def ground(addon: CorsAddon) -> Playground:
    return addon.pages.playground


def ask(
    ground: Playground, path: str, *, method: str = "GET", headers: Lines = (), content: bytes = b"", page: str = ""
) -> Served | None:
    """What the playground answers to a request."""
    asked = Asked(method=method, origin=page or HTTPS.page, path=path, headers=headers, content=content)
    return asyncio.run(ground.answer(asked))


def post(ground: Playground, document: object, origin: str = HTTPS.page) -> Served:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    served = ask(
        ground, "/playground/scenarios", method="POST", headers=(("Origin", origin), ("Sec-Fetch-Site", "same-origin")),
        content=content,
    )  # fmt: skip
    assert served is not None
    return served


def taken(ground: Playground, preset: str = "wildcard-with-credentials") -> dict[str, Any]:
    served = post(ground, by_id(preset).document)
    assert served.status == 200
    job: dict[str, Any] = json.loads(served.content)
    return job


def run_through(addon: CorsAddon, job: dict[str, Any], run: str, host: str = API) -> Any:  # noqa: ANN401
    """Lets a credentialed request of a run go through the addon's hooks, and returns its flow."""
    path = path_of(Place(web="https", run=run, scenario=job["id"], hop=0, folder=AD_HOC))
    flow = cors_flow(host + path, origin=HTTPS.page, request=[("cookie", "playground=1")], live=True)
    flow.response = None

    async def go() -> None:
        waits = addon.request(flow)
        if waits is not None:
            await waits
        if flow.response is not None:
            addon.responseheaders(flow)
            addon.response(flow)

    asyncio.run(go())
    return flow


# -- the page ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("web", [HTTPS, HTTP], ids=lambda web: web.name)
@pytest.mark.parametrize("path", ["/playground", "/playground/playground.js", "/playground/story.js"])
def test_the_pages_files_are_private_and_load_the_labs_own_only(ground: Playground, web: Any, path: str) -> None:  # noqa: ANN401
    served = ask(ground, path, page=web.page)
    assert served is not None
    headers = dict(served.headers)
    assert served.status == 200
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not [name for name in headers if name.lower().startswith("access-control-")]
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    sources = {one for one in policy.replace(";", " ").split() if "://" in one}
    assert sources == {origin for role, origin in web.origins.items() if role is not Role.SCHEME}


def test_only_the_page_origin_has_a_playground(ground: Playground) -> None:
    assert ask(ground, "/playground", page=API) is None
    assert ask(ground, "/playgrounds") is None
    assert ask(ground, "/") is None
    served = ask(ground, "/playground/other")
    assert served is not None
    assert served.status == 404


def test_the_page_signs_in_for_its_own_runs_only(ground: Playground) -> None:
    served = ask(ground, "/playground")
    assert served is not None
    (cookie,) = [value for name, value in served.headers if name == "Set-Cookie"]
    assert "Path=/p/" in cookie
    assert not [1 for name, _ in ask(ground, "/playground/story.js").headers if name == "Set-Cookie"]  # type: ignore[union-attr]


@pytest.mark.parametrize("page", [HTTPS, HTTP], ids=lambda web: web.name)
def test_the_page_gets_the_presets_that_its_web_can_show(ground: Playground, page: Any) -> None:  # noqa: ANN401
    served = ask(ground, "/playground/choices.json", page=page.page)
    assert served is not None
    choices = json.loads(served.content)
    expected = [preset.id for preset in PRESETS if preset.insecure or page is HTTPS]
    assert [preset["id"] for preset in choices["presets"]] == expected
    assert choices["origins"] == dict(page.origins)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("Origin", "https://evil.example"),),
        (("Origin", API),),
        (("Origin", "null"),),
        (("Origin", HTTPS.page), ("Sec-Fetch-Site", "same-site")),
    ],
)
def test_nobody_else_can_put_a_document_there(ground: Playground, headers: Lines) -> None:
    content = json.dumps(by_id("anyone").document).encode()
    served = ask(ground, "/playground/scenarios", method="POST", headers=headers, content=content)
    assert served is not None
    assert served.status == 403


@pytest.mark.parametrize("path", ["/playground/run?run=a", "/playground/run.mitm?run=a", "/playground/choices.json"])
def test_nobody_else_can_read_a_run(ground: Playground, path: str) -> None:
    for headers in ((("Origin", API),), (("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors"))):
        served = ask(ground, path, headers=headers)
        assert served is not None
        assert served.status == 403


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/playground/scenarios", "GET"),
        ("/playground/scenarios", "PUT"),
        ("/playground/run", "POST"),
        ("/playground", "DELETE"),
    ],
)
def test_other_methods_are_refused(ground: Playground, path: str, method: str) -> None:
    served = ask(ground, path, method=method, headers=(("Origin", HTTPS.page),))
    assert served is not None
    assert served.status == 405


def test_a_bad_document_is_refused_in_a_line(ground: Playground) -> None:
    for document in (b"no json", b"x" * 20_000, {"request": {"initiator": "<script>alert(1)</script>"}, "server": {}}):
        served = post(ground, document)
        assert served.status == 422
        assert dict(served.headers)["Content-Type"] == "application/json"
        error = json.loads(served.content)["error"]
        assert "\n" not in error
        assert len(error) < 300


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_a_run_is_answered_judged_and_handed_out(addon: CorsAddon, ground: Playground) -> None:
    job = taken(ground)
    assert job["origin"] == API
    flow = run_through(addon, job, "first")
    assert flow.response.headers["access-control-allow-origin"] == "*"
    served = ask(ground, "/playground/run?run=first")
    assert served is not None
    told = json.loads(served.content)
    (entry,) = told["entries"]
    assert (entry["verdict"], entry["cause"]) == ("blocked", "allow-origin-wildcard-with-credentials")
    assert ["cookie", "playground=…"] in entry["wire"]["request"]
    assert told["settled"] is True


def test_ordinary_requests_of_a_run_are_judged_too(addon: CorsAddon, ground: Playground) -> None:
    job = taken(ground, "image-on-canvas")
    path = path_of(Place(web="https", run="image", scenario=job["id"], hop=0, folder=AD_HOC))
    for _ in range(2):
        flow = cors_flow(API + path, origin=None, mode="no-cors", live=True)
        flow.response = None
        asyncio.run(addon.request(flow))  # type: ignore[arg-type]
        addon.responseheaders(flow)
    served = ask(ground, "/playground/run?run=image")
    assert served is not None
    assert [entry["verdict"] for entry in json.loads(served.content)["entries"]] == ["exempt", "exempt"]


@pytest.mark.parametrize(
    ("host", "run", "known"),
    [
        (HTTPS.origins[Role.CROSS], "first", True),  # not where the document says
        (HTTP.origins[Role.SIBLING], "first", True),
        (API, "First", True),
        (API, "a" * 25, True),
        (API, "first", False),
    ],
)
def test_what_no_document_says_is_not_there(
    addon: CorsAddon, ground: Playground, host: str, run: str, known: bool
) -> None:
    job = taken(ground)
    flow = run_through(addon, job if known else {"id": "0" * 16}, run, host)
    assert flow.response.status_code == 404
    assert not ground._runs


def test_what_is_kept_has_bounds(addon: CorsAddon, ground: Playground, monkeypatch: pytest.MonkeyPatch) -> None:
    assert max(DOCUMENTS, RUNS, FLOWS) <= 500
    for name, value in (("DOCUMENTS", 3), ("RUNS", 2), ("FLOWS", 2)):
        monkeypatch.setattr(playground, name, value)
    job = taken(ground)
    for run in ("a", "b", "b", "b", "c"):
        run_through(addon, job, run)
    assert {name: len(run.flows) for name, run in ground._runs.items()} == {"b": 2, "c": 1}
    for preset in PRESETS[:5]:
        taken(ground, preset.id)
    assert len(ground._scenarios) == 3
    assert run_through(addon, job, "d").response.status_code == 404


def test_a_long_body_is_neither_taken_nor_kept(addon: CorsAddon, ground: Playground) -> None:
    job = taken(ground)
    path = path_of(Place(web="https", run="long", scenario=job["id"], hop=0, folder=AD_HOC))
    flow = cors_flow(API + path, method="POST", origin=HTTPS.page, live=True)
    flow.request.data.content = b"x" * (REQUEST_BYTES + 1)
    flow.response = None
    asyncio.run(addon.request(flow))  # type: ignore[arg-type]
    assert flow.response is not None
    assert flow.response.status_code == 413
    assert not ground._runs


@pytest.mark.parametrize("part", ["query", "header"])
def test_a_long_url_or_header_is_neither_taken_nor_kept(addon: CorsAddon, ground: Playground, part: str) -> None:
    job = taken(ground)
    long = "x" * REQUEST_BYTES
    query, lines = (f"?{long}", []) if part == "query" else ("", [("x-long", long)])
    for path in (path_of(Place(web="https", run="long", scenario=job["id"], hop=0, folder=AD_HOC)), HELLO[0]):
        flow = cors_flow(API + path + query, origin=HTTPS.page, request=lines, live=True)
        flow.response = None
        asyncio.run(addon.request(flow))  # type: ignore[arg-type]
    assert not ground._runs
    assert not ground._hellos


@pytest.mark.parametrize(("origin", "size"), [("https://evil.example", 0), (HTTPS.page, REQUEST_BYTES + 1)])
def test_of_what_opened_pages_ask_only_that_is_kept(
    addon: CorsAddon, ground: Playground, origin: str, size: int
) -> None:
    for asker, length in ((HTTPS.page, 0), (origin, size)):
        flow = cors_flow(API + HELLO[0], method="POST", origin=asker, live=True)
        flow.request.data.content = b"x" * length
        flow.response = None
        asyncio.run(addon.request(flow))  # type: ignore[arg-type]
        assert flow.response is not None
        assert flow.response.status_code == 204
    assert len(ground._hellos) == 1


def test_a_run_keeps_what_its_own_browser_asked_around_it(addon: CorsAddon, ground: Playground) -> None:
    def greet(address: str) -> str:
        flow = cors_flow(API + HELLO[0], origin=HTTPS.page, live=True)
        flow.client_conn.peername = (address, 1)
        flow.response = None
        asyncio.run(addon.request(flow))  # type: ignore[arg-type]
        return flow.id

    job = taken(ground)
    own = run_through(addon, job, "other").client_conn.peername[0]
    before = greet(own)
    ran = run_through(addon, job, "a")
    after = greet(own)
    for _ in range(3 * HELLOS):
        greet("192.0.2.7")
    served = ask(ground, "/playground/run.mitm?run=a")
    assert served is not None
    assert served.status == 200
    ids = [flow.id for flow in FlowReader(io.BytesIO(served.content)).stream()]
    assert sorted(ids) == sorted([before, ran.id, after])
    for _ in range(3 * HELLOS):
        greet(own)
    assert len(ground._runs["a"].around) == 2 * HELLOS


def test_nothing_is_kept_once_the_pages_are_off(addon: CorsAddon, ground: Playground) -> None:
    run_through(addon, taken(ground), "a")
    assert [*addon.pages.history.all()]
    ctx.options.update(cors_pages="off")
    assert not [*addon.pages.history.all()]
    assert not ground._runs
    assert not ground._scenarios
    ctx.options.update(cors_pages="local")
    assert addon.pages.who == "local"


def test_a_long_path_is_not_remembered(addon: CorsAddon) -> None:
    for query, counted in (("?x", 1), ("?" + "x" * 1000, 1)):
        addon.pages.lab.read(cors_flow(f"{API}/x/https/run/0000/0{query}", live=True))
        assert len(addon.pages.lab._seen) == counted


def test_a_body_is_read_as_it_came(addon: CorsAddon) -> None:
    flow = cors_flow(API + HELLO[0], method="POST", request=[("content-encoding", "gzip")], live=True)
    flow.request.data.content = sent = gzip.compress(b"x" * 1_000_000)
    assert read(flow.request).content == sent


def test_a_run_that_is_not_remembered_is_not_there(ground: Playground) -> None:
    served = ask(ground, "/playground/run.mitm?run=gone")
    assert served is not None
    assert served.status == 404
    empty = ask(ground, "/playground/run")
    assert empty is not None
    assert json.loads(empty.content) == {"entries": [], "settled": True}


# -- rewriting ---------------------------------------------------------------------------------------------------------


def test_a_runs_name_switches_rewriting_on_for_that_run_alone(addon: CorsAddon, ground: Playground) -> None:
    job = taken(ground)
    before = run_through(addon, job, "a")
    after = run_through(addon, job, "a-rewritten")
    assert before.response.headers["access-control-allow-origin"] == "*"
    assert after.response.headers["access-control-allow-origin"] == HTTPS.page
    assert addon.rewriting.on is False
    served = ask(ground, "/playground/run?run=a&run=a-rewritten")
    assert served is not None
    first, second = json.loads(served.content)["entries"]
    assert (first["verdict"], second["verdict"]) == ("blocked", "allowed")
    assert "rewrite" not in first
    assert second["rewrite"]["applied"] is True
    assert {edit["header"].lower() for edit in second["rewrite"]["edits"]} == {"access-control-allow-origin", "vary"}
    # What it takes of the server is told all the same.
    assert second["fix"]["actual"]


def test_cookies_are_rewritten_when_asked(addon: CorsAddon, ground: Playground) -> None:
    job = taken(ground, "samesite-lax")
    there = HTTPS.origins[Role.CROSS]
    without = run_through(addon, job, "a-rewritten", there).response.headers["set-cookie"]
    with_cookies = run_through(addon, job, "a-rewritten-cookies", there).response.headers["set-cookie"]
    assert "SameSite=Lax" in without
    assert "SameSite=None" in with_cookies
    assert [one.settings.cookies for one in playground._REWRITINGS.values()] == [COOKIES_OFF, COOKIES_CROSS_SITE]


def test_nothing_but_a_known_run_on_a_host_of_the_lab_is_rewritten(addon: CorsAddon, ground: Playground) -> None:
    job = taken(ground)
    path = path_of(Place(web="https", run="a-rewritten", scenario=job["id"], hop=0, folder=AD_HOC))
    for url in (
        f"https://api.example{path}",
        f"{API}/x/https/a-rewritten/{job['id']}/0",
        f"https://corscope.test{path}",
    ):
        assert ground.rewriting_of(cors_flow(url, live=True)) is None
    assert ground.rewriting_of(cors_flow(API + path)) is None  # a recording
    assert ground.rewriting_of(cors_flow(API + path.replace(job["id"], "0" * 16), live=True)) is None
    asked = ground.rewriting_of(cors_flow(API + path, live=True))
    assert asked is not None
    assert not asked.settings.allowed.allows(b"https://evil.example")
    assert not asked.settings.allowed.any
