"""The files that docs/ci.md shows for continuous integration do what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from corscope.captures.sources import COMPRESSED, SUFFIXES
from corscope.formats.markdown import MARK
from proxies import ADDON, allowed_flow, blocked_flow, write_recording
from test_cli import corscope

ROOT = ADDON.parent.parent
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


def read(path: str) -> Any:  # noqa: ANN401
    return YAML(typ="safe").load(ROOT / path)


def steps() -> dict[str, dict[str, Any]]:
    """The workflow's steps that have a name."""
    (job,) = read("docs/examples/github-actions.yml")["jobs"].values()
    return {step["name"]: step for step in job["steps"] if "name" in step}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a recording, and the command as an installation makes it."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "corscope"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m corscope.cli "$@"\n')
    program.chmod(0o755)
    (tmp_path / "recordings").mkdir()
    write_recording(tmp_path / "recordings" / "shop.mitm", [blocked_flow(), allowed_flow()])
    monkeypatch.setenv("PATH", os.pathsep.join((str(tmp_path / "bin"), os.environ.get("PATH", ""))))
    monkeypatch.setenv("PYTHONPATH", str(ADDON.parent))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(script: str) -> subprocess.CompletedProcess[str]:
    """Runs a step as GitHub does."""
    return subprocess.run(["sh", "-e", "-c", script], capture_output=True, text=True, check=False)


def commands(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.skipif(sys.platform == "win32", reason="the workflow's commands are for a POSIX shell")
def test_the_workflow_fails_on_what_is_new_only(here: Path) -> None:
    write, check_ = commands("sh")
    assert shell(write).returncode == 1
    assert shell(check_).returncode == 0
    step = steps()["Check the recordings"]["run"]
    done = shell(step)
    assert (done.returncode, "::error" in done.stdout) == (0, False), done.stderr
    write_recording(here / "recordings" / "new.mitm", [blocked_flow("https://api.example/new")])
    done = shell(step)
    assert (done.returncode, "::error" in done.stdout) == (1, True), done.stderr
    # What the steps that come after it name.
    kept = steps()["Keep the reports"]["with"]["path"].split()
    assert all((here / name).stat().st_size for name in kept)
    assert steps()["Show the results in code scanning"]["with"]["sarif_file"] in kept
    assert shell(steps()["Show them on the run's page"]["run"]).returncode == 0
    assert (here / "summary.md").read_text() == (here / "corscope.md").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="the workflow's commands are for a POSIX shell")
@pytest.mark.parametrize(
    ("there", "method", "where"),
    [
        ("", "POST", "repos/me/shop/issues/7/comments"),
        ("https://api.github.com/comments/1\nhttps://api.github.com/comments/2", "PATCH", "https://api.github.com/comments/1"),
    ],
    ids=["the first time", "again"],
)  # fmt: skip
def test_the_comment_is_made_once_and_then_replaced(
    here: Path, monkeypatch: pytest.MonkeyPatch, there: str, method: str, where: str
) -> None:
    # GitHub's own program stands in: it lists what comments there are, and writes down what it is asked to do.
    gh = here / "bin" / "gh"
    gh.write_text(f'#!/bin/sh\ncase "$*" in *--jq*) echo "{there}";; *) echo "$*" > asked;; esac\n')
    gh.chmod(0o755)
    monkeypatch.setenv("COMMENTS", "repos/me/shop/issues/7/comments")
    step = steps()["Comment on the pull request, or replace the comment of the last run"]["run"]
    assert f'startswith("{MARK}")' in step
    assert shell(step).returncode == 0
    assert (here / "asked").read_text() == f"api --silent --method {method} {where} --field body=@corscope.md\n"


def test_the_example_for_gitlab_checks_too(here: Path) -> None:
    (example,) = commands("yaml")
    job = YAML(typ="safe").load(example)["cors"]
    program, *arguments = shlex.split(job["script"][-1])
    assert program == "corscope"
    corscope("check", "recordings/", "--write-baseline", "corscope-baseline.json")
    assert corscope(*arguments).returncode == 0
    assert (here / job["artifacts"]["reports"]["junit"]).exists()


def test_the_hook_takes_every_capture_and_what_is_configured(here: Path) -> None:
    (hook,) = read(".pre-commit-hooks.yaml")
    (repository,) = read("docs/examples/pre-commit-config.yaml")["repos"]
    (chosen,) = repository["hooks"]
    assert chosen["id"] == hook["id"]
    pattern = re.compile(hook["files"])
    assert all(pattern.search(f"a/b{suffix}{packed}") for suffix in SUFFIXES for packed in COMPRESSED)
    assert not any(pattern.search(name) for name in ("a.json", "har", "a.har.py", "mitm.md"))
    corscope("check", "recordings/shop.mitm", "--write-baseline", "corscope-baseline.json")
    program, *arguments = shlex.split(hook["entry"])
    assert program == "corscope"
    assert corscope(*arguments, "recordings/shop.mitm").returncode == 1
    assert corscope(*arguments, *chosen["args"], "recordings/shop.mitm").returncode == 0


def test_the_page_names_files_that_are_there() -> None:
    links = re.findall(r"\]\((?!https:)([^)#]+)\)", PAGE)
    assert len(links) == 2
    assert all((ROOT / "docs" / link).exists() for link in links)
