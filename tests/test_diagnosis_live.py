"""Real browsers through a real mitmdump: what is said of the client's own troubles is what the browser says of them.

Chromium says through its debugger which cookies it sent, kept back and refused, each time with its reasons. Firefox
says in its console which cookies it refused, and its cookie store tells below which page it keeps the others.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mitmproxy import http

from corscope.browsers import Browser, Kind, Marionette, find_browsers, launch
from corscope.cookie_jar import Reason
from corscope.cookies import cookie_names
from corscope.recorder.cdp import CookieNews, Heard, listen
from corscope.recorder.record import PREFERENCES
from diagnosis_web import ASKS, FETCHED, INITIATORS, PAGES, VISITED
from proxies import Mitmdump, confdir, eventually, final, read_recording, read_report

WEB = Path(__file__).parent / "diagnosis_web.py"
SECONDS = 45


# -- what browsers call it ---------------------------------------------------------------------------------------------

CHROMIUM_CALLS = {
    "DomainMismatch": Reason.DOMAIN_MISMATCH,
    "InvalidDomain": Reason.DOMAIN_MISMATCH,
    "InvalidPrefix": Reason.PREFIX_VIOLATED,
    "NotOnPath": Reason.PATH_MISMATCH,
    "OverwriteSecure": Reason.OVERWRITES_SECURE,
    "SameSiteLax": Reason.SAMESITE_LAX,
    "SameSiteNoneInsecure": Reason.SAMESITE_NONE_WITHOUT_SECURE,
    "SameSiteStrict": Reason.SAMESITE_STRICT,
    "SameSiteUnspecifiedTreatedAsLax": Reason.SAMESITE_DEFAULT,
    "SchemefulSameSiteLax": Reason.SAMESITE_LAX,
    "SchemefulSameSiteStrict": Reason.SAMESITE_STRICT,
    "SchemefulSameSiteUnspecifiedTreatedAsLax": Reason.SAMESITE_DEFAULT,
    "SecureOnly": Reason.SECURE_OVER_HTTP,
    "ThirdPartyBlockedInFirstPartySet": Reason.THIRD_PARTY_BLOCKED,
    "ThirdPartyPhaseout": Reason.THIRD_PARTY_BLOCKED,
    "UserPreferences": Reason.THIRD_PARTY_BLOCKED,
}
"""The debugger's reasons, Network.CookieBlockedReason and Network.SetCookieBlockedReason."""
CHROMIUM_LEAVES_OUT = {Reason.PARTITIONED_ELSEWHERE, Reason.EXPIRED, Reason.PARTITIONED_WITHOUT_SECURE}
"""What its debugger says nothing of: such a cookie is not there at all, where it looks."""

FIREFOX_CALLS = {
    "rejected for invalid domain": {Reason.DOMAIN_MISMATCH},
    "rejected for invalid prefix": {Reason.PREFIX_VIOLATED},
    "“SameSite=None” attribute but is missing the “secure”": {Reason.SAMESITE_NONE_WITHOUT_SECURE},
    "“Partitioned” attribute but is missing the “secure”": {Reason.PARTITIONED_WITHOUT_SECURE},
    "there is an existing “secure” cookie": {Reason.OVERWRITES_SECURE},
    "a non-HTTPS cookie can’t be set as “secure”": {Reason.SECURE_OVER_HTTP},
    "in a cross-site context and its “SameSite” is “Lax” or “Strict”": {Reason.SAMESITE_LAX, Reason.SAMESITE_STRICT},
}
"""Words of its console, and the reasons of which each means one."""


# -- a visit -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """A browser, and what it does with third parties' cookies."""

    kind: Kind
    preferences: Mapping[str, object]
    third_parties: bool = False
    """Whether they have the cookies of their own visits."""


RUNS = {
    "chromium": Run("chromium", {"profile.cookie_controls_mode": 0}, third_parties=True),
    "chromium-blocking": Run("chromium", {"profile.cookie_controls_mode": 1}),
    # By default it keeps third parties' cookies apart for each page.
    "firefox": Run("firefox", {}),
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A cookie in Firefox's store."""

    name: str
    partition: str


@dataclass(slots=True)
class Visit:
    """What came of one browser's way through all pages."""

    run: Run
    flows: dict[str, http.HTTPFlow]
    lines: dict[str, dict[str, Any]]
    """The final verdict on each flow."""
    heard: Heard = field(default_factory=Heard)
    """What Chromium's debugger told."""
    console: list[str] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    """What Firefox told."""

    def asked(self, name: str) -> list[tuple[http.HTTPFlow, dict[str, Any]]]:
        """The actual requests of that name, in their order, with their verdicts."""
        found = [flow for flow in self.flows.values() if flow.request.path == f"/ask?{name}"]
        found = [flow for flow in found if flow.request.method != "OPTIONS"]
        return [(flow, self.lines[flow.id]) for flow in sorted(found, key=lambda one: one.request.timestamp_start)]

    def one(self, name: str) -> tuple[http.HTTPFlow, dict[str, Any]]:
        """The only request of that name."""
        (found,) = self.asked(name)
        return found

    def news(self, flow: http.HTTPFlow) -> dict[str, CookieNews]:
        """What Chromium's debugger said of the cookies of a request, by their names."""
        urls, url = self.heard.urls, flow.request.pretty_url
        return {one.name: one for one in self.heard.cookies if urls.get(one.request) == url and not one.set_by_response}

    def refusals(self, flow: http.HTTPFlow) -> dict[str, set[Reason]]:
        """Why Chromium refused cookies of a response, by their names."""
        urls, url = self.heard.urls, flow.request.pretty_url
        return {
            one.name: {CHROMIUM_CALLS[reason] for reason in one.reasons}
            for one in self.heard.cookies
            if urls.get(one.request) == url and one.set_by_response
        }

    def rejections(self) -> dict[str, set[Reason]]:
        """Of which reasons Firefox's console named one for refusing a cookie, by their names."""
        return {
            line.partition("“")[2].partition("”")[0]: reasons
            for line in self.console
            for words, reasons in FIREFOX_CALLS.items()
            if words in line
        }


def sent(flow: http.HTTPFlow) -> tuple[str, ...]:
    """The names of the cookies that arrived."""
    # On HTTP/2 browsers send a line for each.
    return cookie_names("; ".join(flow.request.headers.get_all("cookie")).encode())


def ids(line: dict[str, Any]) -> set[str]:
    return {finding["id"] for finding in line["findings"]}


def finding(line: dict[str, Any], id_: str) -> dict[str, Any]:
    """The only finding of that name."""
    (found,) = (one for one in line["findings"] if one["id"] == id_)
    made: dict[str, Any] = found
    return made


COOKIE = re.compile(r"([^ ,]+) \((set|refused) in flow ([^ ),]+)(, if that was sent with credentials)?\)")


class Withheld(NamedTuple):
    """What a verdict says of a cookie that did not come."""

    reason: Reason
    name: str
    refused: bool
    flow_id: str
    sure: bool
    """Whether it is known to be held, if it was not refused."""


def withheld(line: dict[str, Any]) -> Iterator[Withheld]:
    """What a verdict says of cookies that did not come."""
    said = [(one["id"], one["message"].partition(": ")[0]) for one in line["findings"] if one["id"] in set(Reason)]
    said += [(one["reason"], one["cookies"]) for one in line["cookies_withheld"]]
    for id_, cookies in said:
        for name, how, flow_id, unless in COOKIE.findall(cookies):
            yield Withheld(Reason(id_), name, how == "refused", flow_id, not unless)


def refused(line: dict[str, Any]) -> Iterator[tuple[str, Reason]]:
    """What a verdict says of cookies that its response sets in vain."""
    for one in line["findings"]:
        names, colon, _ = one["message"].partition(": ")
        if one["id"] in set(Reason) and colon and "(" not in names:
            yield from ((name, Reason(one["id"])) for name in names.split(", "))


LOOK = """
const cookies = Services.cookies.cookies.map((one) => [one.name, one.originAttributes.partitionKey]);
const lines = Services.console.getMessageArray().filter((one) => one instanceof Ci.nsIScriptError);
return {cookies, console: lines.map((one) => one.errorMessage)};
"""


def look_into_firefox(browser: Browser) -> tuple[list[str], list[Stored]]:
    """Returns the lines of Firefox's console, and its cookies."""
    port = int((browser.profile / "MarionetteActivePort").read_text())
    with Marionette(port) as marionette:
        marionette.call("WebDriver:NewSession", {})
        marionette.call("Marionette:SetContext", {"value": "chrome"})
        answer: Any = marionette.call("WebDriver:ExecuteScript", {"script": LOOK, "args": []})
    return answer["value"]["console"], [Stored(*one) for one in answer["value"]["cookies"]]


def go(run: Run, folder: Path) -> Visit:
    """Lets a browser go through all pages."""
    report, recording = folder / "report.jsonl", folder / "flows.mitm"
    first, deadline = f"{PAGES[0].origin}/page/0", time.monotonic() + SECONDS

    def done() -> bool:
        assert time.monotonic() < deadline, f"the pages came to no end within {SECONDS} s"
        return report.exists() and "/ask?done" in report.read_text(encoding="utf-8")

    heard, console, stored = Heard(), list[str](), list[Stored]()
    preferences = {**PREFERENCES[run.kind], **run.preferences}
    if run.kind == "firefox":
        # Its automation is to look into the browser afterwards, not to change how it treats pages.
        preferences |= {"marionette.port": 0, "remote.prefs.recommended": False}
    with Mitmdump("-s", str(WEB), "-w", str(recording), flow_detail=0, cors_report=report, cors_grace=1) as proxy:
        with launch(
            run.kind,
            find_browsers()[run.kind],
            "about:blank" if run.kind == "chromium" else first,
            proxy_port=proxy.port,
            ca_file=confdir() / "mitmproxy-ca-cert.pem",
            headless=True,
            remote_debugging=run.kind == "chromium",
            preferences=preferences,
        ) as browser:
            if browser.debugger_url:
                heard = asyncio.run(listen(browser.debugger_url, first, done))
            else:
                eventually(done, SECONDS)
                console, stored = look_into_firefox(browser)
        said = proxy.stop()
    assert "Traceback" not in said, said
    flows = {flow.id: flow for flow in read_recording(recording) if flow.request.pretty_host.endswith(".test")}
    return Visit(run, flows, {line["flow_id"]: line for line in final(read_report(report))}, heard, console, stored)


def runs(*kinds: str) -> list[Any]:
    """The runs of kinds of browser as a test's parameters, each marked with its browser."""
    return [pytest.param(name, marks=pytest.mark.browser(run.kind)) for name, run in RUNS.items() if run.kind in kinds]


@pytest.fixture(scope="module", params=runs("chromium", "firefox"))
def visit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """Each browser's: it goes once, and all that is tested is tested of that."""
    with pytest.MonkeyPatch.context() as environment:
        # What `--marionette --remote-allow-system-access` are on the command line.
        environment.setenv("MOZ_MARIONETTE", "1")
        environment.setenv("MOZ_REMOTE_ALLOW_SYSTEM_ACCESS", "1")
        return go(RUNS[request.param], tmp_path_factory.mktemp("visit"))


# -- everything --------------------------------------------------------------------------------------------------------


def test_every_request_was_made_and_judged_right(visit: Visit) -> None:
    names = [ask.name for page in PAGES for ask in page.asks]
    assert {name: len(visit.asked(name)) for name in names} == Counter(names)
    for name, ask in ASKS.items():
        for flow, line in visit.asked(name):
            assert flow.response
            allowed = "access-control-allow-origin" in flow.response.headers
            assert allowed or not ask.allowed
            assert line["verdict"] == ("allowed" if allowed else "blocked"), name
            assert line["browser"] == visit.run.kind
            # What is not known is not told; what is told is right.
            assert line["credentials"] in ("include" if ask.opted_in else "omit", "unknown"), name
            assert not ("error" in {one["severity"] for one in line["findings"]} and allowed), name
            assert not (sent(flow) and not ask.opted_in), name


def test_no_cookie_that_came_is_said_not_to(visit: Visit) -> None:
    for id_, line in visit.lines.items():
        if id_ in visit.flows:
            assert not {one.name for one in withheld(line)} & set(sent(visit.flows[id_])), line["url"]


# -- no opt-in ---------------------------------------------------------------------------------------------------------

OPT_INS = {
    "fetch": 'fetch(url, { credentials: "include" })',
    "xhr": "xhr.withCredentials = true",
    "events": "new EventSource(url, { withCredentials: true })",
    "img": 'crossorigin="use-credentials"',
    "script": 'crossorigin="use-credentials"',
}


@pytest.mark.parametrize("via", INITIATORS)
def test_who_did_not_opt_in_is_told_how(visit: Visit, via: str) -> None:
    """It logged in by a visit, so that no credentialed request was seen before."""
    flow, line = visit.one(f"near-{via}-without")
    assert sent(flow) == ()
    assert line["credentials"] == "omit"
    said = finding(line, "client-did-not-opt-in")
    assert "(near, set in flow " in said["message"]
    assert OPT_INS[via] in said["fix"]
    # The advice, followed.
    flow, line = visit.one(f"near-{via}-with")
    assert sent(flow) == ("near",)
    assert not ids(line) & {"client-did-not-opt-in", "allow-credentials-unused", *Reason}


def test_an_opt_in_is_missed_where_cookies_would_have_come(visit: Visit) -> None:
    """Of a third party only once it is known whether its cookies come at all."""
    flow, line = visit.one("far-wanted")
    then, _ = visit.one("far-taken-after")
    assert sent(flow) == ()
    assert ("client-did-not-opt-in" in ids(line)) is bool(sent(then))
    for name in (name for name in ASKS if name.startswith("far-") and not ASKS[name].opted_in):
        if "client-did-not-opt-in" in ids(visit.one(name)[1]):
            assert sent(then), name


def test_an_opt_in_that_the_server_misses_too_is_a_warning(visit: Visit) -> None:
    _, line = visit.one("near-wanted")
    assert finding(line, "client-did-not-opt-in")["severity"] == "warning"
    _, line = visit.one("near-fetch-without")
    assert finding(line, "client-did-not-opt-in")["severity"] == "info"


@pytest.mark.parametrize("opted_in", [False, True])
@pytest.mark.parametrize("login", [False, True])
def test_a_script_that_logs_in_is_told_that_its_session_is_missed(visit: Visit, login: bool, opted_in: bool) -> None:
    name = f"session-{login:d}{opted_in:d}"
    flow, line = visit.one(f"{name}-me")
    told = ids(line) & {"client-did-not-opt-in", "client-did-not-always-opt-in"}
    if login and opted_in:
        assert sent(flow) == (name,)
        assert not told
    else:
        assert sent(flow) == ()
        assert len(told) == 1
        assert name in finding(line, told.pop())["message"]


# -- Set-Cookie without credentials ------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["near", "far"])
def test_a_cookie_set_without_credentials_is_not_held(visit: Visit, where: str) -> None:
    _, line = visit.one(f"{where}-ignored")
    if (visit.run.kind, where) == ("firefox", "far") and line["credentials"] == "unknown":
        # Nothing on the wire tells there, and no cookie would have come.
        assert "set-cookie-ignored" not in ids(line)
    else:
        said = finding(line, "set-cookie-ignored")
        assert f"(ignored-{where})" in said["message"]
        assert OPT_INS["fetch"] in said["fix"]
    assert f"ignored-{where}" not in {name for flow in visit.flows.values() for name in sent(flow)}
    # With credentials the same line is taken, unless third parties may set none.
    _, line = visit.one(f"{where}-taken")
    flow, _ = visit.one(f"{where}-taken-after")
    assert "set-cookie-ignored" not in ids(line)
    assert (f"taken-{where}" in sent(flow)) is not (
        (f"taken-{where}", Reason.THIRD_PARTY_BLOCKED) in set(refused(line))
    )


# -- cookies that do not travel ----------------------------------------------------------------------------------------

OWN: Mapping[str, set[Reason]] = {
    "none": set(),
    "default": {Reason.SAMESITE_DEFAULT},
    "lax": {Reason.SAMESITE_LAX},
    "strict": {Reason.SAMESITE_STRICT},
    "path": {Reason.PATH_MISMATCH},
    "pathless": {Reason.PATH_MISMATCH},
    "expired": {Reason.EXPIRED},
    "hosted": {Reason.DOMAIN_MISMATCH},
}
"""Why cookies that a visit stored do not come along, but for what is done with third parties."""
REFUSED: Mapping[str, set[Reason]] = {
    "bare": {Reason.SAMESITE_NONE_WITHOUT_SECURE},
    "domain": {Reason.DOMAIN_MISMATCH},
    "__Host-prefix": {Reason.PREFIX_VIOLATED},
    "__Secure-prefix": {Reason.PREFIX_VIOLATED},
    "loose": {Reason.PARTITIONED_WITHOUT_SECURE},
}
"""Why those are not there that a visit tried to set."""


def said_of(line: dict[str, Any], name: str) -> set[Reason]:
    return {one.reason for one in withheld(line) if one.name == name}


@pytest.mark.parametrize("name", [*OWN, *REFUSED, "partitioned"])
def test_why_a_cookie_does_not_come_is_told(visit: Visit, name: str) -> None:
    flow, line = visit.one(name)
    expected = set(REFUSED.get(name, OWN.get(name, {Reason.PARTITIONED_ELSEWHERE})))
    if visit.run.kind == "firefox":
        expected -= {Reason.SAMESITE_DEFAULT}
    if name in OWN and not visit.run.third_parties:
        expected.add(Reason.THIRD_PARTY_BLOCKED)
    assert said_of(line, name) == expected
    assert (name in sent(flow)) is not bool(expected)
    # With no other cookie beside it, it may be missed, unless it is for another place or time by its own word.
    meant = expected <= {Reason.DOMAIN_MISMATCH, Reason.PATH_MISMATCH, Reason.EXPIRED}
    assert bool(ids(line) & set(Reason)) is not meant


def test_cookies_that_nobody_misses_are_told_apart(visit: Visit) -> None:
    flow, line = visit.one("many")
    own = {
        "m-partitioned": {Reason.PARTITIONED_ELSEWHERE},
        "m-default": {Reason.SAMESITE_DEFAULT},
        "m-lax": {Reason.SAMESITE_LAX},
        "m-strict": {Reason.SAMESITE_STRICT},
        "m-path": {Reason.PATH_MISMATCH},
        "m-gone": {Reason.EXPIRED},
    }
    if visit.run.third_parties:
        assert sent(flow) == ("m-none",)
        assert {name: said_of(line, name) for name in own} == own
        assert not ids(line) & set(Reason)
    else:
        assert sent(flow) == ()
        assert said_of(line, "m-none") == {Reason.THIRD_PARTY_BLOCKED}
        assert ids(line) & set(Reason)


def test_plain_http(visit: Visit) -> None:
    flow, line = visit.one("plain")
    assert sent(flow) == ("plain",)
    # There Firefox says of no request whether it is a page's own, and thus not where it keeps its cookies.
    over = {Reason.OVERWRITES_SECURE} if visit.run.kind == "chromium" else set[Reason]()
    assert {name: said_of(line, name) for name in ("secured", "over", "p-secure", "p-bare")} == {
        "secured": {Reason.SECURE_OVER_HTTP},
        "over": over,
        "p-secure": {Reason.SECURE_OVER_HTTP},
        "p-bare": {Reason.SAMESITE_NONE_WITHOUT_SECURE},
    }


def test_what_is_refused_is_what_the_browser_refuses(visit: Visit) -> None:
    """Of several reasons browsers name one."""
    said: dict[str, set[Reason]] = defaultdict(set)
    for id_, line in visit.lines.items():
        here: dict[str, set[Reason]] = defaultdict(set)
        for name, reason in refused(line):
            here[name].add(reason)
        if visit.run.kind == "chromium" and id_ in visit.flows:
            browser = visit.refusals(visit.flows[id_])
            silent = {name for name, reasons in here.items() if reasons <= CHROMIUM_LEAVES_OUT}
            assert browser.keys() == here.keys() - silent, line["url"]
            for name, reasons in browser.items():
                assert reasons <= here[name], (line["url"], name)
        for name, reasons in here.items():
            said[name] |= reasons
    if visit.run.kind == "firefox":
        rejections = visit.rejections()
        assert rejections.keys() == said.keys() | {"over"}
        for name in said:
            assert len(rejections[name] & said[name]) == 1, name
    # What the browser refused never comes; of `over` there is the one that was to be replaced.
    arrived = {name for flow in visit.flows.values() for name in sent(flow)}
    assert said.keys() & arrived <= {"over"}
    assert len(said) >= len(REFUSED) + 3


@pytest.mark.parametrize("visit", runs("chromium"), indirect=True)
def test_what_is_withheld_is_what_chromium_withholds(visit: Visit) -> None:
    compared = Counter[Reason]()
    for name, ask in ASKS.items():
        if not ask.opted_in or ask.method != "GET":
            continue
        flow, line = visit.one(name)
        said: dict[str, set[Reason]] = defaultdict(set)
        named = Counter[Reason]()
        refused_before, perhaps = set[str](), set[str]()
        for one in withheld(line):
            named[one.reason] += 1
            if one.refused:
                refused_before.add(one.name)
            else:
                said[one.name].add(one.reason)
                if not one.sure:
                    perhaps.add(one.name)
        browser = {
            cookie: {CHROMIUM_CALLS[reason] for reason in news.reasons} for cookie, news in visit.news(flow).items()
        }
        assert {cookie for cookie, reasons in browser.items() if not reasons} == set(sent(flow))
        for cookie, reasons in said.items():
            compared.update(reasons)
            if cookie in browser:
                assert reasons <= browser[cookie], (name, cookie)
            else:
                assert cookie in perhaps or reasons & CHROMIUM_LEAVES_OUT, (name, cookie)
        for cookie, reasons in browser.items():
            if cookie in refused_before:
                # There is another one of that name; the latest is spoken of.
                continue
            # Of each reason four cookies are named.
            missing = {reason for reason in reasons - said[cookie] if named[reason] < 4}
            assert not missing, (name, cookie)
    assert compared.total() > 20
    assert (compared[Reason.THIRD_PARTY_BLOCKED] > 0) is not visit.run.third_parties


# -- third parties -----------------------------------------------------------------------------------------------------


def test_a_cookie_that_is_kept_for_another_page(visit: Visit) -> None:
    """It came to the page that set it, and not to the other one."""
    apart = 0
    for name in FETCHED:
        here, _ = visit.one(name)
        there, line = visit.one(f"{name}-elsewhere")
        moved = name in sent(here) and name not in sent(there)
        assert (said_of(line, name) == {Reason.PARTITIONED_ELSEWHERE}) is moved, name
        apart += moved
    assert apart == (4 if visit.run.kind == "firefox" else 1)


@pytest.mark.parametrize("visit", runs("firefox"), indirect=True)
def test_third_parties_in_firefox_are_where_its_store_has_them(visit: Visit) -> None:
    kept = {one.name: one.partition for one in visit.stored}
    compared = Counter[Reason]()
    for name, ask in ASKS.items():
        for _, line in visit.asked(name):
            for reason, cookie, was_refused, _, sure in withheld(line):
                if not sure and cookie not in kept:
                    continue
                if reason is Reason.THIRD_PARTY_BLOCKED:
                    assert kept[cookie] == "", (name, cookie)
                elif reason is Reason.PARTITIONED_ELSEWHERE:
                    page = next(page for page in PAGES if ask in page.asks)
                    host = page.origin.removeprefix("https://")
                    assert kept[cookie] not in ("", f"(https,{host})"), (name, cookie)
                elif was_refused and cookie != "over":
                    assert cookie not in kept, (name, cookie)
                compared[reason] += 1
    assert compared[Reason.THIRD_PARTY_BLOCKED] > 10
    assert compared[Reason.PARTITIONED_ELSEWHERE] == 6


def test_what_the_page_did_not_get_its_own_site_holds(visit: Visit) -> None:
    """A visit of the cookie's own site, afterwards, brings what was withheld elsewhere."""
    homes = {
        flow.request.pretty_host: set(sent(flow)) for flow in visit.flows.values() if "/page/" in flow.request.path
    }
    at_home = {name for names in homes.values() for name in names}
    assert at_home >= {"default", "lax", "none", "pathless", "partitioned", "near", "far", "taken-near"}
    assert at_home.isdisjoint(REFUSED)
    assert VISITED.keys() >= REFUSED.keys()


# -- Authorization -----------------------------------------------------------------------------------------------------


def test_authorization_by_the_browser(visit: Visit) -> None:
    """A user's name and word, which the browser learned on a page of the server's own and keeps."""
    flow, line = visit.one("basic-blocked")
    assert flow.request.headers["authorization"].startswith("Basic ")
    said = finding(line, "authorization-by-browser")
    assert "Authorization (Basic) was added by the browser" in said["message"]
    assert f"its preflight (flow {line['preflight']}) did not ask for it" in said["message"]
    assert line["credentials"] == "include"
    # Without a preflight it may have been either.
    flow, line = visit.one("basic-simple-blocked")
    assert "authorization" in flow.request.headers
    assert not ids(line) & {"authorization-by-browser", "authorization-by-script"}
    _, line = visit.one("basic")
    assert not ids(line) & {"authorization-by-browser", "authorization-by-script"}


def test_authorization_by_a_script(visit: Visit) -> None:
    for name in ("bearer-blocked", "own-basic-blocked"):
        _, line = visit.one(name)
        asked = visit.flows[line["preflight"]].request.headers["access-control-request-headers"]
        assert asked == "authorization"
        evidence = f"its preflight asked for it (flow {line['preflight']})"
        assert evidence in finding(line, "authorization-by-script")["message"]
    (_, allowed), (_, blocked) = visit.asked("bearer")
    assert "authorization-by-script" not in ids(allowed)
    # The browser's cache answered for its preflight.
    methods = [flow.request.method for flow in visit.flows.values() if flow.request.path == "/ask?bearer"]
    assert methods.count("OPTIONS") == 1
    assert (
        "browsers never send Bearer credentials by themselves" in finding(blocked, "authorization-by-script")["message"]
    )
