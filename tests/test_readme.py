"""The commands of the README's section on captures do what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from proxies import ADDON, allowed_flow, blocked_flow, write_recording

ROOT = ADDON.parent.parent
SECTION = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Captures")[2].partition("\n## ")[0]
COMMANDS = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
PROGRAMS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture
def bench(tmp_path: Path) -> dict[str, str]:
    """A folder with what the commands name, and commands as an installation makes them; returns the environment."""
    (tmp_path / "recordings").mkdir()
    (tmp_path / "bin").mkdir()
    write_recording(tmp_path / "recordings" / "talk.mitm", [blocked_flow(), allowed_flow()])
    write_recording(tmp_path / "capture.har", [blocked_flow(), allowed_flow()])  # what it is, its content tells
    for name, module in (("corscope", "corscope.cli"), ("pytest", "pytest -p corscope.pytest_plugin")):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n')
        program.chmod(0o755)
    for name in ("mitmdump", "mitmproxy"):
        # mitmproxy itself wants a terminal.
        program = tmp_path / "bin" / name
        program.write_text(
            f"#!/bin/sh\nexec {shlex.quote(str(Path(sys.executable).with_name('mitmdump')))} "
            f'--set confdir={tmp_path}/conf -q -nr recordings/talk.mitm --set cors_report=said.jsonl "$@"\n'
        )
        program.chmod(0o755)
    path = os.pathsep.join((str(tmp_path / "bin"), os.environ.get("PATH", "")))
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ADDON.parent), "HERE": str(tmp_path)}


def run(command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command], cwd=environment["HERE"], env=environment, capture_output=True, text=True, check=False
    )


def test_the_readme_shows_the_three_uses() -> None:
    assert [command.split()[0] for command in COMMANDS] == ["corscope", "mitmproxy", "corscope", "pytest"]
    assert len(PROGRAMS) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="the README's commands are for a POSIX shell")
def test_live_the_addon_is_loaded_by_its_path(bench: dict[str, str]) -> None:
    done = run(COMMANDS[1], bench)
    assert done.returncode == 0, done.stderr
    assert '"verdict": "blocked"' in (Path(bench["HERE"]) / "said.jsonl").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="the README's commands are for a POSIX shell")
def test_in_ci_what_is_new_fails(bench: dict[str, str]) -> None:
    here = Path(bench["HERE"])
    accepted = run("corscope check recordings/ --write-baseline corscope-baseline.json", bench)
    assert accepted.returncode == 1
    assert run(COMMANDS[2], bench).returncode == 0
    assert (here / "corscope.sarif").exists()
    write_recording(here / "recordings" / "new.mitm", [blocked_flow("https://api.example/new")])
    done = run(COMMANDS[2], bench)
    assert done.returncode == 1
    assert "::error" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="the README's commands are for a POSIX shell")
def test_in_pytest_each_story_is_a_test(bench: dict[str, str]) -> None:
    done = run(COMMANDS[3], bench)
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout


def test_from_python_the_verdicts_come_out(bench: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS[0]],
        cwd=bench["HERE"],
        env=bench,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "https://api.example/blocked allow-origin-wildcard-with-credentials\n"
