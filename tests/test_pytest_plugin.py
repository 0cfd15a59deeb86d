"""The pytest plugin, in pytest runs of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from corscope.assertions import CorsBlocked, assert_no_cors_blocks
from proxies import ADDON, PAGE, PLUGIN, allowed_flow, blocked_flow, cors_flow, exempt_flow, write_recording

pytest_plugins = ["pytester"]

ROOT = ADDON.parent.parent


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with captures: `recordings/good.mitm`, `recordings/bad.mitm` (two stories) and `open.har`."""
    monkeypatch.setenv("PYTHONPATH", str(ADDON.parent))
    folder = pytester.mkdir("recordings")
    write_recording(folder / "good.mitm", [allowed_flow(), exempt_flow()])
    write_recording(folder / "bad.mitm", [blocked_flow(), allowed_flow()])
    unclear = cors_flow("https://api.app.example/open", response=[("access-control-allow-origin", "*")])
    unclear.request.headers["sec-fetch-site"] = "same-site"
    write_recording(pytester.path / "open.har", [unclear])
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Runs pytest in a process of its own, with the plugin as an installation brings it."""
    # Other plugins have warnings of their own.
    return project.runpytest_subprocess(*PLUGIN, "-p", "no:anyio", *arguments)


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
            "1 exchange is blocked by CORS",
            "*has been blocked by CORS policy: *must not be the wildcard*",
            "  + Access-Control-Allow-Origin: https://app.example",
            "SKIPPED*blocked if with credentials — CORS conditional",
        ]
    )
    # The explanation stands for itself, without a traceback.
    assert "runtest" not in result.stdout.str()


def test_stories_of_the_same_name_are_told_apart(project: pytest.Pytester) -> None:
    write_recording(project.path / "twice.mitm", [allowed_flow(), allowed_flow()])
    result = run(project, "--cors-capture", "twice.mitm", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*allowed from https://app.example (2) PASSED*"])


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
    result.stdout.fnmatch_lines(["*cut.mitm: byte *: the file ends in the middle of a flow*"])


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


def test_a_marker_that_names_nothing_is_an_error(project: pytest.Pytester) -> None:
    project.makepyfile("import pytest\n\n@pytest.mark.cors('*.none')\ndef test_x(): pass\n")
    result = run(project)
    assert result.ret != 0
    assert "*.none: no file matches" in result.stdout.str() + result.stderr.str()


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
    result.stdout.fnmatch_lines(["E * 1 exchange is blocked by CORS", "E *blocked: GET https://api.example/blocked*"])


def test_many_are_counted(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "many.mitm", [blocked_flow(f"https://api.example/{n}") for n in range(8)])
    with pytest.raises(CorsBlocked) as raised:
        assert_no_cors_blocks(path)
    message = str(raised.value)
    assert message.startswith("8 exchanges are blocked by CORS\n")
    assert message.endswith("… and 3 more")
    assert message.count("has been blocked by CORS policy") == 5


PROXY = """
    import threading
    import urllib.request
    from http.server import BaseHTTPRequestHandler, HTTPServer

    import pytest

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*" if self.path == "/bad" else "http://app.test")
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
    result.stdout.fnmatch_lines(["*1 exchange is blocked by CORS*"])


def test_workers_share_captures(project: pytest.Pytester) -> None:
    """The items are the same in all workers: xdist refuses to run otherwise."""
    result = run(project, "-n", "2", "--cors-capture", "recordings", "--cors-capture", "open.har")
    result.assert_outcomes(passed=2, failed=1, skipped=1)


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
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points.pytest11]\ncorscope = "corscope.pytest_plugin"' in text
    program = "import sys, corscope.pytest_plugin; print('mitmproxy' in sys.modules, 'json' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ADDON.parent, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False")
