"""The pytest plugin, in pytest runs of its own."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

import corscope
from corscope.assertions import CorsBlocked, assert_no_cors_blocks
from corscope.checking import choose
from corscope.proxy import CorsProxy, ProxyFailure
from corscope.pytest_plugin import stories
from corscope.report import as_json
from corscope.settings import SettingError
from proxies import (
    ADDON,
    CHROME,
    PAGE,
    allowed_flow,
    blocked_flow,
    confdir,
    cors_flow,
    exempt_flow,
    write_recording,
)
from servers import Asked, RawServer, respond

pytest_plugins = ["pytester"]

WILDCARD = "allow-origin-wildcard-with-credentials"

ROOT = ADDON.parent.parent


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with captures: `recordings/good.mitm`, `recordings/bad.mitm` (two stories) and `open.har`."""
    monkeypatch.setenv("PYTHONPATH", str(ADDON.parent))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    folder = pytester.mkdir("recordings")
    write_recording(folder / "good.mitm", [allowed_flow(), exempt_flow()])
    write_recording(folder / "bad.mitm", [blocked_flow(), allowed_flow()])
    unclear = cors_flow("https://api.app.example/open", response=[("access-control-allow-origin", "*")])
    unclear.request.headers["sec-fetch-site"] = "same-site"
    write_recording(pytester.path / "open.har", [unclear])
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Runs pytest in a process of its own, with this plugin and xdist alone, and warnings as errors but for our own."""
    plugins = ("-p", "corscope.pytest_plugin", "-p", "xdist")
    warned = ("-W", "error", "-W", "default::corscope.assertions.CorsCaptureWarning")
    return project.runpytest_subprocess(*plugins, *warned, *arguments)


# -- captures as tests -------------------------------------------------------------------------------------------------


def test_each_story_of_a_capture_is_a_test(project: pytest.Pytester) -> None:
    result = run(project, "--cors-capture", "recordings", "--cors-capture", "open.har", "-rs", "-v")
    result.assert_outcomes(passed=2, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "open.har::GET api.app.example/open from https://app.example SKIPPED*",
            "recordings/bad.mitm::GET api.example/blocked from https://app.example FAILED*",
            "recordings/good.mitm::GET api.example/allowed from https://app.example PASSED*",
            "*CORS: GET api.example/blocked from https://app.example*",
            "[*] with credentials — 1 of 1 exchange blocked by CORS",
            "*has been blocked by CORS policy: *must not be the wildcard*",
            "  + Access-Control-Allow-Origin: https://app.example",
            "SKIPPED*GET api.app.example/open from *: blocked if with credentials — CORS conditional: *would tell*",
        ]
    )
    # The explanation stands for itself, without a traceback.
    assert "runtest" not in result.stdout.str()


def test_stories_of_the_same_name_are_told_apart(project: pytest.Pytester) -> None:
    write_recording(project.path / "twice.mitm", [allowed_flow(), allowed_flow()])
    result = run(project, "--cors-capture", "twice.mitm", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*allowed from https://app.example (2) PASSED*"])


def test_the_name_of_a_story_holds_no_control_characters(project: pytest.Pytester) -> None:
    """They would be the terminal's to obey."""
    odd = allowed_flow()
    odd.request.headers["origin"] = "https://a.test\x9b31m\x1b]0;x\x07"
    write_recording(project.path / "odd.mitm", [odd])
    said = run(project, "--cors-capture", "odd.mitm", "-v", "-rA").stdout.str()
    assert "\ufffd31m\ufffd]0;x\ufffd" in said
    assert not {"\x9b", "\x1b", "\x07"} & set(said)


def test_the_configuration_says_what_is_not_told(project: pytest.Pytester) -> None:
    project.makeini(f"[pytest]\ncors_silence = allow-origin-wildcard-with-credentials\ncors_origins = {PAGE}")
    run(project, "--cors-capture", "recordings").assert_outcomes(passed=3)
    project.makeini("[pytest]\ncors_origins = https://other.example")
    assert run(project, "--cors-capture", "recordings").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    project.makeini("[pytest]\ncors_browser = opera")
    result = run(project, "--cors-capture", "recordings")
    assert result.ret == pytest.ExitCode.USAGE_ERROR or result.parseoutcomes().get("errors")
    assert "cors_browser takes auto, chromium" in result.stdout.str() + result.stderr.str()


def test_what_can_not_be_read_is_one_clear_error(project: pytest.Pytester) -> None:
    (project.path / "page.html").write_text("<html>")
    result = run(project, "--cors-capture", "page.html")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*page.html: it is no capture: it begins with *"])
    result = run(project, "--cors-capture", "nowhere.mitm")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--cors-capture nowhere.mitm: there is no such file or folder*"])


def test_damage_is_a_warning(project: pytest.Pytester) -> None:
    whole = (project.path / "recordings" / "good.mitm").read_bytes()
    (project.path / "cut.mitm").write_bytes(whole[:-40])
    result = run(project, "--cors-capture", "cut.mitm")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*cut.mitm: byte *: the file ends in the middle of a flow*skipped *"])
    project.makepyfile("def test_x(cors_replay):\n    assert len(cors_replay('cut.mitm')) == 1\n")
    run(project).assert_outcomes(passed=1, warnings=1)


def test_a_capture_without_cors_is_warned_of(project: pytest.Pytester) -> None:
    write_recording(project.path / "images.mitm", [exempt_flow()])
    result = run(project, "--cors-capture", "images.mitm")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["*CorsCaptureWarning: *images.mitm: nothing in this capture*is subject to CORS"])


def test_a_capture_or_a_story_can_be_named_as_any_test(project: pytest.Pytester) -> None:
    run(project, "recordings/bad.mitm", "open.har").assert_outcomes(passed=1, failed=1, skipped=1)
    story = "recordings/bad.mitm::GET api.example/allowed from https://app.example"
    run(project, story).assert_outcomes(passed=1)
    # What pytest itself finds in a folder stays what it was.
    assert run(project, "recordings").ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_capture_that_can_be_no_argument_by_its_name_is_a_test_too(
    workers: tuple[str, ...], project: pytest.Pytester
) -> None:
    # So Firefox calls what it saves.
    (project.path / "recordings" / "bad.mitm").rename(project.path / "recordings" / "b_Archive [26-11-22 10-00-00].har")
    result = run(project, "-v", *workers, "--cors-capture", "recordings")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*FAILED*Archive [[]26-11-22 10-00-00].har::GET api.example/blocked from *"])
    result = run(project, "--cors-capture", "recordings", "-k", "good")
    result.assert_outcomes(passed=1, deselected=2)
    (project.path / "[x].har").write_text("<html>")
    result = run(project, "--cors-capture", "[[]x].har")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*[[]x].har: it is no capture: it begins with *"])


def test_a_story_is_called_by_what_the_page_asked_for(tmp_path: Path) -> None:
    asks = [("access-control-request-method", "PUT")]
    flows = [
        cors_flow("https://api.example/v1?token=x", method="OPTIONS", request=asks, status=204),
        cors_flow(f"https://api.example/{'x' * 200}"),
        cors_flow("http://[::1]:8080/v1"),
    ]
    path = write_recording(tmp_path / "names.mitm", flows)
    assert [story.name for story in stories(path, choose())] == [
        f"PUT api.example/v1 from {PAGE}",
        f"GET api.example/{'x' * 67}… from {PAGE}",
        f"GET [:1]:8080/v1 from {PAGE}",
    ]


# -- in tests ----------------------------------------------------------------------------------------------------------


def test_the_marker_runs_a_test_for_each_story(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.cors("recordings/*.mitm")
        def test_nothing_is_blocked():
            pass

        @pytest.mark.cors("recordings/good.mitm", "open.har")
        def test_story(cors_story):
            assert cors_story.name.startswith("GET api.")
            assert [verdict.kind for verdict in cors_story.verdicts] == ["actual"]
        """
    )
    result = run(project, "-v")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*test_nothing_is_blocked*GET api.example/blocked from https://app.example* FAILED*"])


def test_what_a_folder_is_called_is_no_glob(project: pytest.Pytester) -> None:
    (project.path / "recordings").rename(project.mkdir("[id]") / "recordings")
    test = '@pytest.mark.cors("{}")\ndef test_{}(): pass\n'
    tests = [test.format("recordings/*.mitm", "glob"), test.format("recordings", "folder")]
    (project.path / "[id]" / "test_it.py").write_text("\n".join(["import pytest\n", *tests]))
    run(project).assert_outcomes(passed=4, failed=2)


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (
            "import unittest\n@pytest.mark.cors('open.har')\nclass TestX(unittest.TestCase):\n def test_x(self): 0",
            "*pytest.mark.cors is for functions and plain classes, not for a unittest.TestCase",
        ),
        ("@pytest.mark.cors()\ndef test_x(): pass", 'name the captures: @pytest.mark.cors("recordings/[*].har")'),
        (
            "@pytest.mark.cors('open.har', origin='https://a.test')\ndef test_x(): pass",
            "pytest.mark.cors takes browser, silence, origins, not origin",
        ),
        ("@pytest.mark.cors('*.none')\ndef test_x(): pass", "pytest.mark.cors of test_x: *[*].none: no file matches"),
        (
            "@pytest.mark.cors('open.har', silence=['x'])\ndef test_x(): pass",
            "pytest.mark.cors of test_x: cors_silence: there is no finding 'x'*",
        ),
        ("def test_x(cors_story): pass", 'cors_story comes from a marker: @pytest.mark.cors("recordings/[*].har")'),
        ("def test_x(cors_replay): cors_replay('none.har')", "E *FileNotFoundError: there is no capture */none.har"),
    ],
)
def test_what_makes_no_sense_is_one_clear_error(test: str, said: str, project: pytest.Pytester) -> None:
    project.makepyfile(f"import pytest\n\n{test}\n")
    result = run(project)
    result.assert_outcomes(**{"failed" if "cors_replay" in test else "errors": 1})
    result.stdout.fnmatch_lines([said])


def test_the_marker_says_how_its_captures_are_judged(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\ncors_origins = https://other.example")
    project.makepyfile(
        f"""
        import pytest

        @pytest.mark.cors("recordings/bad.mitm", origins=["{PAGE}"])
        def test_blocked():
            pass

        @pytest.mark.cors("recordings/bad.mitm", origins=["{PAGE}"], silence=["{WILDCARD}"])
        def test_silenced():
            pass

        def test_replay(cors_replay):
            assert cors_replay("recordings/bad.mitm") == []
            assert len(cors_replay("recordings/bad.mitm", origins=[])) == 2
            assert [one.browser for one in cors_replay("open.har", origins=[], browser="spec")] == ["spec"]
        """
    )
    run(project).assert_outcomes(passed=4, failed=1)


def test_replaying_gives_the_verdicts_and_asserting_explains(project: pytest.Pytester) -> None:
    folder = project.mkpydir("below")
    (folder / "test_replay.py").write_text(
        "from corscope.pytest_plugin import assert_no_cors_blocks\n"
        "def test_replay(cors_replay):\n"
        "    verdicts = cors_replay('recordings/bad.mitm')\n"
        "    assert [str(one.outcome) for one in verdicts] == ['blocked', 'allowed']\n"
        "    silent = ['allow-origin-wildcard-with-credentials']\n"
        "    assert_no_cors_blocks(verdicts, silence=silent)\n"
        "    assert_no_cors_blocks(verdicts, origins=['https://other.example'])\n"
        "    assert_no_cors_blocks(verdicts)\n"
    )
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *CorsBlocked: [*] with credentials — 1 of 2 exchanges blocked by CORS",
            "E *blocked: GET https://api.example/blocked*",
        ]
    )


def test_many_are_counted(tmp_path: Path) -> None:
    flows = [blocked_flow(f"https://api.example/{n}") for n in range(8)]
    path = write_recording(tmp_path / "many.mitm", [*flows, blocked_flow("https://api.example/0"), allowed_flow()])
    with pytest.raises(CorsBlocked) as raised:
        assert_no_cors_blocks(path)
    message = str(raised.value)
    assert message.startswith(f"9 of 10 exchanges blocked by CORS in {path}\n\n1. * with credentials (2 times)\n")
    assert message.endswith("\n\n… and 3 more:\n  3 × * with credentials")
    assert message.count("has been blocked by CORS policy") == 5


def test_verdicts_and_their_json_form_are_asserted_alike(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "bad.mitm", [blocked_flow(), allowed_flow()])
    said = []
    verdicts = list(corscope.check(path))
    for given in (verdicts, [as_json(verdict) for verdict in verdicts]):
        with pytest.raises(CorsBlocked) as raised:
            assert_no_cors_blocks(given)
        said.append(str(raised.value))
        assert_no_cors_blocks(given, silence=WILDCARD)
        assert_no_cors_blocks(given, origins="https://other.example")
        with pytest.raises(CorsBlocked):
            assert_no_cors_blocks(given, silence=["allow-origin-missing"], origins=[PAGE])
    assert said[0] == said[1]
    assert_no_cors_blocks([])


def test_the_page_counts_and_not_the_origin_that_a_redirect_left(tmp_path: Path) -> None:
    tainted = {"kind": "redirect", "origin": "null", "page": PAGE}
    verdict = as_json(next(iter(corscope.check(write_recording(tmp_path / "bad.mitm", [blocked_flow()]))))) | tainted
    with pytest.raises(CorsBlocked):
        assert_no_cors_blocks([verdict], origins=[PAGE])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"silence": ["allow-origin-mising"]}, "did you mean allow-origin-missing"),
        ({"origins": ["app.example/path"]}, "origin: "),
    ],
)
def test_settings_that_make_no_sense_are_errors(settings: dict[str, list[str]], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        assert_no_cors_blocks([], **settings)


def test_no_secret_is_printed_with_a_failing_test(project: pytest.Pytester) -> None:
    secret = "hunter2hunter2"
    flow = cors_flow(
        f"https://api.example/v1?token={secret}",
        request=[("cookie", f"sid={secret}"), ("authorization", f"Bearer {secret}")],
        response=[("access-control-allow-origin", "*"), ("set-cookie", f"sid={secret}")],
    )
    write_recording(project.path / "secret.mitm", [flow])
    project.makepyfile(
        """
        import pytest
        from corscope.pytest_plugin import assert_no_cors_blocks

        def test_printed(cors_replay):
            verdicts = cors_replay("secret.mitm")
            assert verdicts == []

        @pytest.mark.cors("secret.mitm")
        def test_story(cors_story):
            assert cors_story is None

        def test_asserted(cors_replay):
            assert_no_cors_blocks(cors_replay("secret.mitm"))
        """
    )
    result = run(project, "--cors-capture", "secret.mitm", "-vv", "--showlocals", "-rA")
    result.assert_outcomes(failed=4)
    assert "<Verdict blocked: GET https://api.example/v1?token=… (200, actual), " in result.stdout.str()
    assert secret not in result.stdout.str() + result.stderr.str()


PROXY = """
    import threading
    import urllib.request
    from http.server import BaseHTTPRequestHandler, HTTPServer

    import pytest

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*" if self.path.startswith("/bad") else "http://app.test")
            self.send_header("Access-Control-Allow-Credentials", "true")
            self.end_headers()

        def log_message(self, *_):
            pass

    @pytest.fixture
    def server():
        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()

    def ask(proxy, url):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy.url}))
        headers = {"Origin": "http://app.test", "Cookie": "sid=1"}
        with opener.open(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.headers["Access-Control-Allow-Origin"]

    def test_good(cors_proxy, server):
        ask(cors_proxy, f"{server}/good")
        assert cors_proxy.wait_for_verdict(lambda one: one["url"].endswith("/good"))["verdict"] == "allowed"
        cors_proxy.assert_no_blocks()
        assert cors_proxy.ca_file.exists()

    def test_bad(cors_proxy, server):
        ask(cors_proxy, f"{server}/bad")
        assert cors_proxy.wait_for_verdict()["verdict"] == "blocked"
        cors_proxy.assert_no_blocks(silence=["allow-origin-wildcard-with-credentials"])
        cors_proxy.assert_no_blocks()

    @pytest.mark.cors_proxy(cors_rewrite="blocked", cors_allow_origins="http://app.test")
    def test_rewritten(cors_proxy, server):
        assert ask(cors_proxy, f"{server}/bad") == "http://app.test"
        cors_proxy.assert_no_blocks()
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_proxy_around_a_tests_own_client(workers: tuple[str, ...], project: pytest.Pytester) -> None:
    project.makepyfile(PROXY)
    result = run(project, *workers)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["E *CorsBlocked: [*] with credentials — 1 of 1 exchange blocked by CORS"])


def test_a_failing_test_says_what_was_blocked_in_its_proxy(project: pytest.Pytester) -> None:
    test = """
    def test_page(cors_proxy, server):
        ask(cors_proxy, f"{server}/bad?token=hunter2")
        assert "the page" == "loaded"

    def test_ended(cors_proxy):
        cors_proxy.process.kill()
        cors_proxy.process.wait()
        cors_proxy.verdicts()

    @pytest.mark.cors_proxy(cors_rewrite="blokced")
    def test_misspelt(cors_proxy):
        pass

    @pytest.mark.cors_proxy(ssl_insecure=True, ignore_hosts=["a.test", "b.test"], mode="reverse:http://127.0.0.1:9")
    def test_options(cors_proxy):
        assert cors_proxy.port
    """
    project.makepyfile(PROXY.partition("    def test_good")[0] + test)
    result = run(project)
    result.assert_outcomes(passed=1, failed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_misspelt*",
            "*ProxyFailure: mitmdump did not start: *",
            "*cors_rewrite takes off, blocked, all, not 'blokced'.",
            "*AssertionError*",
            "*- CORS -*",
            "[*] with credentials — 1 of 1 exchange blocked by CORS",
            "blocked: GET */bad[?]token=…*",
            "*ProxyFailure: mitmdump has ended by itself*",
        ]
    )
    printed = result.stdout.str().replace('ask(cors_proxy, f"{server}/bad?token=hunter2")', "")
    assert "hunter2" not in printed


def test_the_configuration_holds_for_the_proxy_too(project: pytest.Pytester) -> None:
    project.makeini(f"[pytest]\ncors_silence = {WILDCARD}")
    test = """
    def test_silenced(cors_proxy, server):
        ask(cors_proxy, f"{server}/bad")
        assert cors_proxy.wait_for_verdict()["findings"] == []
        cors_proxy.assert_no_blocks()
    """
    project.makepyfile(PROXY.partition("    def test_good")[0] + test)
    run(project).assert_outcomes(passed=1)


def test_workers_share_captures(project: pytest.Pytester) -> None:
    """The items are the same in all workers: xdist refuses to run otherwise."""
    result = run(project, "-n", "2", "--cors-capture", "recordings", "--cors-capture", "open.har")
    result.assert_outcomes(passed=2, failed=1, skipped=1)


# -- the proxy by itself -----------------------------------------------------------------------------------------------


@pytest.fixture
def any_preflight() -> Iterator[RawServer]:
    """Permits whatever is asked, but without credentials, and answers nothing else so."""

    def answer(asked: Asked, connection: socket.socket) -> None:
        allows = ["Access-Control-Allow-Origin: *", "Access-Control-Allow-Methods: PUT"]
        respond(connection, *allows, status="204 No Content" if asked.method == "OPTIONS" else "200 OK")

    with RawServer(answer) as server:
        yield server


def send(proxy: CorsProxy, method: str, url: str) -> None:
    """Sends what a browser's script would."""
    headers = {"Origin": PAGE, "User-Agent": CHROME, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-site"}
    if method == "OPTIONS":
        headers["Access-Control-Request-Method"] = "PUT"
    connection = HTTPConnection(proxy.host, proxy.port, timeout=20)
    connection.request(method, url, headers=headers)
    connection.getresponse().read()
    connection.close()


def test_a_preflight_is_waited_for_until_its_request_comes_or_does_not(any_preflight: RawServer) -> None:
    with CorsProxy(confdir(), cors_grace=0.5) as proxy:
        send(proxy, "OPTIONS", any_preflight.url("/followed"))
        send(proxy, "PUT", any_preflight.url("/followed"))
        assert [verdict["kind"] for verdict in proxy.settled()] == ["preflight", "actual"]
        proxy.clear()
        assert proxy.verdicts() == []
        send(proxy, "OPTIONS", any_preflight.url("/refused"))
        assert [verdict["verdict"] for verdict in proxy.settled()] == ["blocked"]
        with pytest.raises(CorsBlocked):
            proxy.assert_no_blocks()
        proxy.assert_no_blocks(origins=["https://other.example"])
    assert [verdict["verdict"] for verdict in proxy.verdicts()] == ["blocked"]


def test_waiting_in_vain_says_what_there_was(any_preflight: RawServer) -> None:
    with CorsProxy(confdir()) as proxy:
        url = any_preflight.url("/v1")
        send(proxy, "GET", url)
        assert proxy.wait_for_verdict(lambda one: one["url"] == url)["status"] == 200
        with pytest.raises(ProxyFailure, match=rf"did not come within 0\.1 s; .*\n  conditional: GET {url}"):
            proxy.wait_for_verdict(lambda one: one["status"] == 500, seconds=0.1)


def test_a_certificate_authority_of_its_own_is_thrown_away() -> None:
    with CorsProxy() as proxy:
        assert proxy.ca_file.is_file()
    assert not proxy.ca_file.exists()


# -- the examples ------------------------------------------------------------------------------------------------------

EXAMPLES = ROOT / "docs" / "examples" / "pytest"


@pytest.fixture
def examples(project: pytest.Pytester) -> pytest.Pytester:
    """A project with the examples of docs/pytest.md."""
    shutil.copytree(EXAMPLES, project.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return project


@pytest.mark.parametrize(("file", "passed"), [("test_captures.py", 8), ("test_client.py", 5)])
def test_an_example_runs(file: str, passed: int, examples: pytest.Pytester) -> None:
    run(examples, file).assert_outcomes(passed=passed)


def test_an_example_with_playwright_runs(
    chromium: Path, examples: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: extra `examples`")
    monkeypatch.setenv("CHROMIUM", str(chromium))
    run(examples, "test_playwright.py").assert_outcomes(passed=2)


def test_an_example_with_selenium_runs(
    chromium: Path, examples: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("selenium.webdriver", reason="Selenium is not installed: extra `examples`")
    driver = shutil.which("chromedriver")
    if driver is None:
        pytest.skip("chromedriver is not installed (Debian: chromium-driver): this example is skipped")
    monkeypatch.setenv("CHROMIUM", str(chromium))
    monkeypatch.setenv("CHROMEDRIVER", driver)
    run(examples, "test_selenium.py").assert_outcomes(passed=2)


def test_the_page_shows_the_examples_as_they_are() -> None:
    page = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^```python title=(\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    files = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.py")}
    assert shown == files


# -- what it costs -----------------------------------------------------------------------------------------------------


def test_unused_it_costs_nothing(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import sys

        def test_nothing_is_loaded():
            loaded = [name for name in sys.modules if name.startswith(("corscope.", "mitmproxy"))]
            assert sorted(loaded) == ["corscope.assertions", "corscope.pytest_plugin"]
        """
    )
    run(project).assert_outcomes(passed=1)


def test_the_package_brings_the_plugin() -> None:
    """The entry point that pytest finds is the module, and importing it is light."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        named = tomllib.load(file)["project"]["entry-points"]["pytest11"]
    assert named == {"corscope.pytest_plugin": "corscope.pytest_plugin"}
    program = "import sys, corscope.pytest_plugin; print('mitmproxy' in sys.modules, 'json' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ADDON.parent, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False")
