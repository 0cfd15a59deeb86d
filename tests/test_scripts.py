"""The scripts' own footing: the old Pythons they start under, the Python they look for, the environment they make."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from _environment import Environment, EnvironmentFailure, Interpreter, candidates, find_python, last_meaningful, probe

ROOT = Path(__file__).resolve().parent.parent
NEWER_THAN_3_8 = {"graphlib", "tomllib", "zoneinfo"}

posix_only = pytest.mark.skipif(os.name != "posix", reason="made of shell scripts")


def python_scripts() -> list[Path]:
    """Returns the files in scripts/ that are started by any `python3`."""
    files = [file for file in sorted((ROOT / "scripts").iterdir()) if file.is_file()]
    return [one for one in files if one.suffix == ".py" or (not one.suffix and b"python" in one.read_bytes()[:30])]


# -- the scripts themselves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", python_scripts(), ids=lambda script: script.name)
def test_a_script_starts_under_python_3_8(script: Path) -> None:
    tree = ast.parse(script.read_text(encoding="utf-8"), feature_version=(3, 8))
    imported = set()
    # What a function imports may come after the script has handed over to the environment's Python.
    for node in tree.body:
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported
    assert imported <= (sys.stdlib_module_names - NEWER_THAN_3_8) | {"_environment"}


@pytest.mark.parametrize("name", ["run", "test"])
def test_help_needs_no_environment(name: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shown = subprocess.run(
        [sys.executable, tmp_path / "scripts" / name, "-h"], capture_output=True, text=True, check=True
    )
    assert f"usage: scripts/{name} [-h]" in shown.stdout
    assert "examples:" in shown.stdout
    assert shown.stderr == ""
    assert not (tmp_path / ".venv").exists()


@posix_only
@pytest.mark.parametrize("name", ["run", "test"])
def test_a_script_is_executable(name: str) -> None:
    assert os.access(ROOT / "scripts" / name, os.X_OK)


# -- finding a Python --------------------------------------------------------------------------------------------------


def fake_python(path: Path, version: str, *, stable: bool = True, venv: bool = True) -> Path:
    """Writes a program that answers as a Python of that version would."""
    numbers = [int(number) for number in version.split(".")]
    answer = {"executable": str(path), "version": numbers, "stable": stable, "venv": venv}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    path.chmod(0o755)
    return path


def found(path: Path, **environ: str) -> Interpreter:
    """Looks for a Python on a PATH with one folder, and in a home that is empty unless given."""
    environ = {"PATH": str(path), "HOME": str(path / "home"), **environ}
    return find_python(candidates(environ, "linux", None), "linux")


def test_the_running_python_tells_the_truth() -> None:
    interpreter = probe([sys.executable])
    assert interpreter is not None
    assert interpreter.version == sys.version_info[:3]
    assert os.path.samefile(interpreter.executable, sys._base_executable)  # type: ignore[attr-defined]


@posix_only
@pytest.mark.parametrize(
    ("versions", "chosen"),
    [
        ({"python3": "3.12.0"}, "python3"),
        ({"python3": "3.11.9", "python3.12": "3.12.4", "python3.13": "3.13.1"}, "python3.13"),
        ({"python3.9": "3.9.1", "python": "3.14.0", "python3.12": "3.12.9"}, "python"),
        # What was tried goes before what is too new for wheels to exist.
        ({"python3": "3.16.0", "python3.12": "3.12.0"}, "python3.12"),
        ({"python3.16": "3.16.0", "python3.11": "3.11.0"}, "python3.16"),
    ],
)
def test_the_newest_suitable_python_is_chosen(versions: dict[str, str], chosen: str, tmp_path: Path) -> None:
    for name, version in versions.items():
        fake_python(tmp_path / name, version)
    assert found(tmp_path).executable == str(tmp_path / chosen)


@posix_only
def test_a_prerelease_and_one_without_venv_come_last(tmp_path: Path) -> None:
    fake_python(tmp_path / "python3.14", "3.14.0", stable=False)
    fake_python(tmp_path / "python3.13", "3.13.0", venv=False)
    fake_python(tmp_path / "python3.12", "3.12.0")
    assert found(tmp_path).version == (3, 12, 0)
    (tmp_path / "python3.12").unlink()
    assert found(tmp_path).version == (3, 14, 0)


@posix_only
@pytest.mark.parametrize("variable", ["PYENV_ROOT", "HOME"])
def test_pyenvs_versions_are_found(variable: str, tmp_path: Path) -> None:
    root = tmp_path / "elsewhere"
    below = root if variable == "PYENV_ROOT" else root / ".pyenv"
    fake_python(below / "versions" / "3.9.1" / "bin" / "python", "3.9.1")
    wanted = fake_python(below / "versions" / "3.12.7" / "bin" / "python", "3.12.7")
    assert found(tmp_path / "nothing", **{variable: str(root)}).executable == str(wanted)


@posix_only
def test_what_does_not_work_is_passed_over(tmp_path: Path) -> None:
    for name, script in {"python3.14": "#!/bin/sh\nexit 1\n", "python3.13": "#!/bin/sh\necho hello\n"}.items():
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "python3").mkdir()
    fake_python(tmp_path / "python", "3.12.0")
    assert found(tmp_path).executable == str(tmp_path / "python")


@posix_only
def test_only_older_pythons_are_named(tmp_path: Path) -> None:
    fake_python(tmp_path / "python3", "3.11.2")
    fake_python(tmp_path / "python", "2.7.18")
    with pytest.raises(EnvironmentFailure) as caught:
        found(tmp_path)
    assert str(caught.value).startswith("Python 3.12 or later is needed, and none was found, only Python 3.11.2: run")


@pytest.mark.parametrize(("platform", "remedy"), [("linux", "apt install"), ("darwin", "brew"), ("win32", "winget")])
def test_without_any_python_the_remedy_is_the_systems_own(platform: str, remedy: str) -> None:
    with pytest.raises(EnvironmentFailure, match=remedy) as caught:
        find_python(iter([]), platform)
    assert "\n" not in str(caught.value)


@posix_only
def test_a_missing_venv_module_names_the_package(tmp_path: Path) -> None:
    fake_python(tmp_path / "python3", "3.13.5", venv=False)
    with pytest.raises(EnvironmentFailure, match=r"sudo apt install python3\.13-venv"):
        found(tmp_path)


def test_windows_is_searched_in_its_own_places(tmp_path: Path) -> None:
    folder = tmp_path / "Programs" / "Python" / "Python312"
    folder.mkdir(parents=True)
    commands = list(candidates({"PATH": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}, "win32", None))
    assert [str(tmp_path / "python.exe")] in commands
    assert [str(folder / "python.exe")] in commands


# -- the environment ---------------------------------------------------------------------------------------------------

BACKEND = '''
"""Builds an editable wheel with nothing but a path in it, so that installing needs no network."""

import base64
import hashlib
import os
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def build_editable(folder, config_settings=None, metadata_directory=None):
    with (ROOT / "builds").open("a") as log:
        log.write("built\\n")
    while (ROOT / "hold").exists():
        time.sleep(0.05)
    info = "corscope-0.1.0.dist-info/"
    files = {
        "corscope.pth": str(ROOT / "addon"),
        info + "METADATA": "Metadata-Version: 2.1\\nName: corscope\\nVersion: 0.1.0\\nProvides-Extra: test\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[info + "RECORD"] = "".join("%s,,\\n" % name for name in [*files, info + "RECORD"])
    name = "corscope-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)
    return name


def build_wheel(folder, config_settings=None, metadata_directory=None):
    raise NotImplementedError


def get_requires_for_build_editable(config_settings=None):
    return []
'''

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "corscope"
version = "0.1.0"
"""

STARTER = "import os, sys; print(os.environ.get('PYTHONPATH'), sys.argv[1:])"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with our scripts, whose package installs without a network."""
    # The running Python is the only one to be found, which saves trying all the others.
    for variable in ("HOME", "USERPROFILE", "PYENV_ROOT", "PATH"):
        monkeypatch.setenv(variable, str(tmp_path))
    root = tmp_path / "check out"
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "addon" / "corscope").mkdir(parents=True)
    (root / "addon" / "corscope" / "run.py").write_text(STARTER)
    (root / "backend.py").write_text(BACKEND)
    (root / "pyproject.toml").write_text(PYPROJECT)
    return root


def run_script(root: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `scripts/run`, whose stand-in prints its arguments."""
    command = [sys.executable, str(root / "scripts" / "run"), *words]
    environment = {**os.environ, **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)


def builds(root: Path) -> int:
    """Returns how often something was installed."""
    log = root / "builds"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_the_environment_is_made_once_and_renewed_when_it_must_be(checkout: Path) -> None:
    stamp = checkout / ".venv" / "corscope-stamp.json"

    first = run_script(checkout, "--dump", "--", "-nr", "a file.har", PYTHONPATH="astray", PIP_USER="1")
    assert first.stdout == "None ['--dump', '--', '-nr', 'a file.har']\n"
    assert [line.split()[0] for line in first.stderr.splitlines()] == ["Making", "Installing"]
    assert builds(checkout) == 1

    # Ready: silent, and nothing is asked of pip, which could not work.
    again = run_script(checkout, PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull)
    assert (again.stdout, again.stderr, builds(checkout)) == ("None []\n", "", 1)

    # An extra is added to what is there, and kept when the next script does not want it.
    said: list[str] = []
    Environment(checkout, say=said.append).ensure(["test"])
    assert [line.split()[0] for line in said] == ["Installing"]
    assert json.loads(stamp.read_text())["extras"] == ["test"]
    assert builds(checkout) == 2
    assert run_script(checkout).stderr == ""

    # A changed description is installed again, into the same environment.
    (checkout / "pyproject.toml").write_text(PYPROJECT + "description = 'changed'\n")
    changed = run_script(checkout)
    assert [line.split()[0] for line in changed.stderr.splitlines()] == ["Installing"]
    assert json.loads(stamp.read_text())["extras"] == ["test"]

    # A Python that has vanished takes the environment with it.
    python = Environment(checkout).python
    python.unlink()
    renewed = run_script(checkout)
    assert renewed.stdout == "None []\n"
    assert [line.split()[0] for line in renewed.stderr.splitlines()] == ["Making", "Installing"]


@posix_only
def test_interrupted_and_concurrent_installations(checkout: Path) -> None:
    stamp = checkout / ".venv" / "corscope-stamp.json"
    (checkout / "hold").touch()
    command = [sys.executable, str(checkout / "scripts" / "run"), "one"]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not builds(checkout):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not stamp.exists()

    # pip, which was not killed, still holds the lock. Two scripts wait for it; one of them then installs, once.
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    waiting = [subprocess.Popen([*command[:-1], word], **pipes) for word in ("two", "three")]  # type: ignore[call-overload]
    time.sleep(0.5)
    assert builds(checkout) == 1
    (checkout / "hold").unlink()
    said = [process.communicate(timeout=60) for process in waiting]
    assert [process.returncode for process in waiting] == [0, 0]
    assert [output for output, _ in said] == ["None ['two']\n", "None ['three']\n"]
    assert all(errors.startswith("Waiting for another script") for _, errors in said)
    assert stamp.exists()
    assert builds(checkout) == 2


def test_a_failed_installation_is_one_line_and_is_tried_again(checkout: Path) -> None:
    (checkout / "pyproject.toml").write_text(PYPROJECT.replace("requires = []", "requires = ['setuptools']"))
    # A proxy of the machine's would answer in the index's place.
    no_network = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    no_network |= {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    no_network |= {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}
    failed = run_script(checkout, **no_network)
    assert (failed.returncode, failed.stdout) == (1, "")
    lines = failed.stderr.splitlines()
    assert [line.split()[0] for line in lines] == ["Making", "Installing", "run:"]
    assert re.search(r"a network is needed this once: .*\[pip: .*setuptools", lines[-1])

    # Another fault is told in pip's words. What was made stays.
    (checkout / "pyproject.toml").write_text(PYPROJECT)
    (checkout / "backend.py").write_text("raise RuntimeError('the backend is broken')\n")
    failed = run_script(checkout)
    assert (failed.returncode, failed.stdout) == (1, "")
    lines = failed.stderr.splitlines()
    assert [line.split()[0] for line in lines] == ["Installing", "run:"]
    assert lines[-1] == "run: corscope's dependencies could not be installed: RuntimeError: the backend is broken"

    (checkout / "backend.py").write_text(BACKEND)
    mended = run_script(checkout)
    assert mended.stdout == "None []\n"
    assert [line.split()[0] for line in mended.stderr.splitlines()] == ["Installing"]


@posix_only
def test_a_folder_that_cannot_be_written_is_one_line(checkout: Path) -> None:
    # A folder in the lock's place stops root as well, whom permissions don't.
    (checkout / ".venv.lock").mkdir()
    failed = run_script(checkout)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert ".venv" in failed.stderr


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("Collecting x\nERROR: No matching distribution found for x\n", "No matching distribution found for x"),
        ("  ERROR: Could not build\n\nnote: a hint\n[notice] A new release\n", "Could not build"),
        ("something odd\n", "something odd"),
        ("", "it said nothing"),
    ],
)
def test_the_line_that_tells_most(output: str, line: str) -> None:
    assert last_meaningful(output) == line
