"""The addon works in mitmproxy's own binary, from a clone, with nothing else installed."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from proxies import (
    ADDON,
    allowed_flow,
    arguments_of,
    blocked_flow,
    cors_flow,
    exempt_flow,
    final,
    read_report,
    replay,
    write_recording,
)
from test_architecture import imported, parse

FROZEN_PACKAGES = {"mitmproxy", "jinja2", "markupsafe", "werkzeug", "flask", "pyparsing", "ruamel", "h11"}
STANDARD = {
    *("__future__", "argparse", "asyncio", "base64", "collections", "collections.abc", "contextlib", "csv"),
    *("dataclasses", "datetime", "difflib", "email.utils", "enum", "functools", "hashlib", "html"),
    *(
        "importlib.resources",
        "io",
        "ipaddress",
        "itertools",
        "json",
        "logging",
        "os",
        "pathlib",
        "queue",
        "random",
        "re",
        "string",
    ),
    *(
        "struct",
        "textwrap",
        "threading",
        "time",
        "tomllib",
        "types",
        "typing",
        "unicodedata",
        "urllib.parse",
        "warnings",
    ),
    *("weakref", "zlib"),
}
"""What the binary has of the standard library, as far as the addon may use it."""
ABSENT = {
    *(
        "doctest",
        "graphlib",
        "html.parser",
        "http.cookies",
        "logging.config",
        "logging.handlers",
        "optparse",
        "profile",
    ),
    *("sched", "shelve", "sqlite3", "timeit", "trace", "unittest.mock", "wave", "xml.etree", "zoneinfo"),
    *("mitmproxy.test", "mitmproxy.tools.console", "mitmproxy.tools.web"),
    *("publicsuffix2", "sortedcontainers", "tornado", "urwid"),
    *("hypothesis", "mypy", "pytest"),
}
"""What the binary of mitmdump lacks, and this environment may have."""


def addon_path() -> dict[str, set[str]]:
    """What each file that the addon needs imports, beginning with the script.

    The stacks are made for it, and have to stay fit for it.
    """
    # What the package gives on demand, such as `corscope.check`, the addon does not ask for.
    needed = {"cors_addon.py": set(imported(parse(ADDON))), "corscope": set[str]()}
    waiting = ["corscope.stacks", *needed["cors_addon.py"]]
    while waiting:
        module = waiting.pop()
        if module.partition(".")[0] != "corscope" or module in needed or module == "corscope.__version__":
            continue
        needed[module] = set(imported(parse(file_of(module))))
        waiting += needed[module]
    return needed


def file_of(module: str) -> Path:
    """Where a module of the package is."""
    path = ADDON.parent / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_the_addon_imports_only_what_the_binary_has() -> None:
    needed = addon_path()
    assert {"corscope", "corscope.addon", "corscope.session", "corscope.engine"} <= needed.keys()
    assert "jinja2" in needed["corscope.stacks.configurations"]
    for module, others in needed.items():
        outside = {other for other in others if other.partition(".")[0] not in {"corscope", *FROZEN_PACKAGES}}
        assert outside <= STANDARD, f"{module} imports what the binary may lack"
        assert not others & ABSENT, f"{module} imports what the binary lacks"


def test_nothing_is_imported_by_name() -> None:
    """Neither `importlib.import_module` nor `__import__` could be seen by the test above."""
    for module in addon_path().keys() - {"cors_addon.py"}:
        tree = parse(file_of(module))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not (names | attributes) & {"__import__", "import_module", "find_spec", "run_path", "run_module"}


# -- really run --------------------------------------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The script of a checkout in another place, with nothing beside the addon."""
    shutil.copytree(ADDON.parent, tmp_path / "clone" / "addon", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "clone" / "addon" / "cors_addon.py"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A preflight with its request, one blocked, one allowed, one exempt."""
    asks = [("access-control-request-method", "PUT"), ("access-control-request-headers", "x-tag")]
    permits = [("access-control-allow-origin", "*"), ("access-control-allow-methods", "PUT")]
    permits += [("access-control-allow-headers", "x-tag")]
    preflight = cors_flow("https://api.example/put", method="OPTIONS", request=asks, status=204, response=permits)
    put = cors_flow("https://api.example/put", method="PUT", request=[("x-tag", "1")], response=permits[:1])
    flows = [preflight, put, blocked_flow(), allowed_flow(), exempt_flow()]
    for number, flow in enumerate(flows):
        flow.request.timestamp_start += number
        assert flow.response
        flow.response.timestamp_start += number
    return write_recording(tmp_path / "recording.mitm", flows)


REFUSING = f"""
import sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {sorted(ABSENT)!r}:
            print("REFUSED", name)
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
from mitmproxy.tools.main import mitmdump
mitmdump(sys.argv[1:])
"""


def test_mitmdump_without_what_the_binary_lacks_judges_the_same(recording: Path, clone: Path, tmp_path: Path) -> None:
    arguments = ["-s", str(clone), "--set", f"cors_report={tmp_path / 'refusing.jsonl'}"]
    command = [sys.executable, "-P", "-c", REFUSING, "-n", "-r", str(recording), *arguments_of(False, {}), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stdout
    assert "REFUSED" not in done.stdout
    compare_with_a_plain_run(recording, tmp_path / "refusing.jsonl", tmp_path)


def test_the_refusal_works(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    (tmp_path / "probe.py").write_text("import sqlite3\n")
    command = [sys.executable, "-c", REFUSING, "-n", *arguments_of(False, {}), "-s", str(tmp_path / "probe.py")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "REFUSED sqlite3" in done.stdout


RENDERING = """
from corscope.policy import Policy
from corscope.stacks import STACKS, configuration, guess
policy = Policy(origins=("https://example",), credentials=True)
assert all("https://example" in configuration(id_, policy) for id_ in STACKS)
assert guess(((b"Server", b"nginx"),)).stack == "nginx"
raise SystemExit("RENDERED")
"""


def test_configurations_are_made_without_what_the_binary_lacks(clone: Path) -> None:
    (clone.parent / "probe.py").write_text(RENDERING)
    command = [sys.executable, "-c", REFUSING, "-n", *arguments_of(False, {}), "-s", str(clone.parent / "probe.py")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
    assert "REFUSED" not in done.stdout
    assert "RENDERED" in done.stdout


def compare_with_a_plain_run(recording: Path, report: Path, folder: Path) -> None:
    """Compares a report with that of this environment's mitmdump, which must have judged every flow."""
    plain = folder / "plain.jsonl"
    done = replay(recording, cors_report=plain)
    assert done.returncode == 0, done.stdout
    lines = read_report(plain)
    assert [line["verdict"] for line in final(lines)] == ["allowed", "allowed", "blocked", "allowed", "exempt"]
    assert read_report(report) == lines


# -- the frozen binary -------------------------------------------------------------------------------------------------

SPEC = """
analysis = Analysis(["mitmdump.py"], excludes=["mitmproxy.tools.web", "mitmproxy.tools.console"])
archive = PYZ(analysis.pure)
options = [("unbuffered", None, "OPTION")]
executable = EXE(archive, analysis.scripts, options, exclude_binaries=True, name="mitmdump", console=True)
COLLECT(executable, analysis.binaries, analysis.datas, name="mitmdump")
"""
"""As mitmproxy's own release/specs; the hooks come with the package. A folder in place of one file: that is quicker to
build and to start, and holds the same modules."""

MAIN = """
from mitmproxy.tools.main import mitmdump
if __name__ == "__main__":
    mitmdump()
"""

PROBE = """
import importlib, json, sys
from pathlib import Path
from mitmproxy import ctx
def present(name):
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True
class Probe:
    def load(self, loader):
        loader.add_option("probe", str, "", "names")
        loader.add_option("probed", str, "", "where")
    def running(self):
        found = {name: present(name) for name in ctx.options.probe.split(",")}
        Path(ctx.options.probed).write_text(json.dumps([getattr(sys, "frozen", False), found]))
        ctx.master.shutdown()
addons = [Probe()]
"""


def pyinstaller(folder: Path) -> dict[str, str]:
    """The variables with which `python -m PyInstaller` runs; skips where it can't be had."""
    if importlib.util.find_spec("PyInstaller"):
        return dict(os.environ)
    if os.environ.get("CORSCOPE_FREEZE") != "1":
        pytest.skip(
            "PyInstaller is not installed (the extra `freeze` brings it), so mitmproxy's binary is not built;"
            " CORSCOPE_FREEZE=1 installs it for this test into a temporary folder"
        )
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder / "site"), "pyinstaller>=6.11"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return {**os.environ, "PYTHONPATH": str(folder / "site")}


@pytest.mark.timeout(400)
def test_the_frozen_mitmdump_judges_the_same(recording: Path, clone: Path, tmp_path: Path) -> None:
    variables = pyinstaller(tmp_path)
    build = tmp_path / "build"
    build.mkdir()
    (build / "mitmdump.py").write_text(MAIN)
    (build / "mitmdump.spec").write_text(SPEC)
    variables["PYINSTALLER_CONFIG_DIR"] = str(build / "cache")
    made = subprocess.run(
        [sys.executable, "-m", "PyInstaller", "--log-level", "ERROR", "mitmdump.spec"],
        cwd=build, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout
    binary = build / "dist" / "mitmdump" / ("mitmdump.exe" if os.name == "nt" else "mitmdump")

    def run(*arguments: str) -> None:
        # Nothing of this environment is to help the binary.
        alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            [str(binary), *arguments_of(False, {}), *arguments], cwd=tmp_path, env=alone,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    report = tmp_path / "frozen.jsonl"
    run("-n", "-r", str(recording), "-s", str(clone), "--set", f"cors_report={report}")
    compare_with_a_plain_run(recording, report, tmp_path)

    # What the tests above take for present and for absent is so.
    (tmp_path / "probe.py").write_text(PROBE)
    names = sorted({*STANDARD, *FROZEN_PACKAGES, *ABSENT})
    probed = tmp_path / "probed.json"
    run("-n", "-s", str(tmp_path / "probe.py"), "--set", f"probe={','.join(names)}", "--set", f"probed={probed}")
    frozen, found = json.loads(probed.read_text())
    assert frozen is True
    assert {name for name, there in found.items() if there} == {*STANDARD, *FROZEN_PACKAGES}
