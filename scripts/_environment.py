"""Finds a Python, makes the virtual environment, and installs corscope into it.

Runs under whatever `python3` happens to be: the standard library only, and the grammar of Python 3.8. Every fault that
a user can mend is an `EnvironmentFailure`, whose message is one line that says how.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Iterator, Mapping, NamedTuple, NoReturn, Sequence

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 12)
NEWEST_TRIED = (3, 14)
"""Later versions are taken only when nothing else is there: wheels for them may not exist yet."""

DISK_FULL = "the disk is full: make room for about 300 MB, then run this again"

PROBE = """
import json, sys, sysconfig
def has(name):
    try:
        __import__(name)
    except Exception:
        return False
    return True
print(json.dumps({
    "executable": getattr(sys, "_base_executable", None) or sys.executable,
    "version": list(sys.version_info[:3]),
    "stable": sys.version_info[3] == "final" and sys.implementation.name == "cpython"
        and not sysconfig.get_config_var("Py_GIL_DISABLED"),
    "venv": has("venv") and has("ensurepip"),
}))
"""


class EnvironmentFailure(Exception):
    """The environment can't be made; the message is one line that says what to do."""


class Interpreter(NamedTuple):
    """A Python that was found and answered."""

    executable: str
    version: tuple[int, int, int]
    stable: bool
    """A final release of CPython with the interpreter lock: what wheels are built for."""
    has_venv: bool
    """Both `venv` and `ensurepip` import; Debian ships them apart."""

    @property
    def name(self) -> str:
        """The version as a user says it: `Python 3.12.1`."""
        return "Python " + ".".join(map(str, self.version))


# -- finding a Python --------------------------------------------------------------------------------------------------


def candidates(environ: Mapping[str, str], platform: str, running: str | None) -> Iterator[list[str]]:
    """Yields commands that may start a Python >= 3.12, without running any; some don't exist."""
    if running:
        yield [running]
    minors = range(NEWEST_TRIED[1] + 2, OLDEST[1] - 1, -1)
    names = [f"python3.{minor}" for minor in minors] + ["python3", "python"]
    for folder in environ.get("PATH", "").split(os.pathsep):
        # Apple's /usr/bin/python3 is 3.9, and without the developer tools running it opens a dialogue.
        if not folder or (platform == "darwin" and folder == "/usr/bin"):
            continue
        for name in names:
            yield [os.path.join(folder, name + ".exe" if platform == "win32" else name)]
    if platform == "win32":
        launcher = shutil.which("py", path=environ.get("PATH", ""))
        if launcher:
            for minor in minors:
                yield [launcher, f"-3.{minor}"]

    home = environ.get("USERPROFILE" if platform == "win32" else "HOME", "")
    patterns = []
    for pyenv in (environ.get("PYENV_ROOT", ""), os.path.join(home, ".pyenv") if home else ""):
        if pyenv:
            patterns.append(os.path.join(pyenv, "versions", "*"))
            patterns.append(os.path.join(pyenv, "pyenv-win", "versions", "*"))
    if home:
        patterns.append(os.path.join(home, ".local", "share", "uv", "python", "cpython-3*"))
    if platform == "win32":
        for variable in ("LOCALAPPDATA", "APPDATA", "ProgramFiles"):
            base = environ.get(variable, "")
            if base:
                patterns.append(os.path.join(base, "Programs", "Python", "Python3*"))
                patterns.append(os.path.join(base, "uv", "python", "cpython-3*"))
                patterns.append(os.path.join(base, "Python3*"))
    if platform == "darwin":
        patterns.append("/Library/Frameworks/Python.framework/Versions/3.*")
        patterns.append("/opt/homebrew/opt/python@3.*")
        patterns.append("/usr/local/opt/python@3.*")
    for pattern in patterns:
        for folder in sorted(glob.glob(pattern), reverse=True):
            if platform == "win32":
                yield [os.path.join(folder, "python.exe")]
            else:
                for name in names:
                    yield [os.path.join(folder, "bin", name)]


def probe(command: Sequence[str]) -> Interpreter | None:
    """Runs a candidate and returns what it says of itself; None if it doesn't start, fails, or is no Python 3."""
    try:
        answer = subprocess.run(
            [*command, "-I", "-c", PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=True,
            env=clean_environment(os.environ),
        )
        said = json.loads(answer.stdout.decode())
        first, second, third = said["version"]
        return Interpreter(said["executable"], (first, second, third), bool(said["stable"]), bool(said["venv"]))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, KeyError):
        return None


def find_python(commands: Iterator[list[str]], platform: str) -> Interpreter:
    """Returns the newest stable Python >= 3.12 among the commands that can make virtual environments."""
    found: dict[str, Interpreter] = {}
    seen = set()
    for command in commands:
        if len(command) == 1:
            path = os.path.realpath(command[0])
            if path in seen or not os.path.isfile(path):
                continue
            seen.add(path)
        interpreter = probe(command)
        if interpreter:
            found.setdefault(os.path.realpath(interpreter.executable), interpreter)
    recent = [interpreter for interpreter in found.values() if interpreter.version[:2] >= OLDEST]
    usable = [interpreter for interpreter in recent if interpreter.has_venv]
    if usable:
        return max(usable, key=lambda one: (one.stable, one.version[:2] <= NEWEST_TRIED, one.version))
    if recent:
        best = max(recent, key=lambda one: (one.stable, one.version))
        raise EnvironmentFailure(
            f"{best.name} ({best.executable}) has no venv module: on Debian and Ubuntu, run"
            f" `sudo apt install python3.{best.version[1]}-venv`; elsewhere install Python from"
            " https://www.python.org/downloads/"
        )
    raise EnvironmentFailure(no_python(sorted(found.values(), key=lambda one: one.version), platform))


def no_python(older: Sequence[Interpreter], platform: str) -> str:
    """The one line for a machine without a recent Python: what was found, and what to install there."""
    remedy = {
        "win32": "run `winget install Python.Python.3.13`",
        "darwin": "run `brew install python@3.13`, or take the installer from https://www.python.org/downloads/",
    }.get(
        platform,
        "run `sudo apt install python3 python3-venv` (Debian 13, Ubuntu 24.04 or later), `sudo dnf install python3.13`"
        " (Fedora), or with pyenv `pyenv install 3.13`",
    )
    newest = f", only {older[-1].name}" if older else ""
    return f"Python 3.12 or later is needed, and none was found{newest}: {remedy}"


# -- the environment ---------------------------------------------------------------------------------------------------


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables without those that would send Python or pip somewhere other than our environment."""
    astray = {"PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER"}
    return {name: value for name, value in environ.items() if name not in astray}


def python_of(folder: Path) -> Path:
    """Returns where a virtual environment keeps its Python."""
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


class Environment:
    """The virtual environment of one checkout, at `.venv`, shared by all its scripts."""

    def __init__(self, root: Path = ROOT, say: Callable[[str], None] | None = None) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = python_of(self.folder)
        self._stamp = self.folder / "corscope-stamp.json"
        self._say = say or (lambda line: print(line, file=sys.stderr, flush=True))

    def ensure(self, extras: Sequence[str]) -> Path:
        """Makes and fills the environment unless it is ready, and returns its Python.

        Needs a network only when something is to be installed. Raises EnvironmentFailure.
        """
        try:
            if self._ready(extras):
                return self.python
            with self._lock() as lock:
                # Another script may have done the work while we waited.
                if not self._ready(extras):
                    self._fill(extras, lock)
            return self.python
        except OSError as fault:
            raise EnvironmentFailure(self._blame(fault)) from fault

    def _wanted(self) -> dict[str, object]:
        """What the stamp must say for the environment to be worth keeping, extras apart."""
        # Virtual environments hold absolute paths: a moved checkout needs a new one.
        digest = hashlib.sha256((self.root / "pyproject.toml").read_bytes()).hexdigest()
        return {"pyproject": digest, "root": str(self.root)}

    def _read_stamp(self) -> dict[str, object]:
        try:
            stamp = json.loads(self._stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def _stamped_extras(self) -> list[str]:
        extras = self._read_stamp().get("extras")
        return [extra for extra in extras if isinstance(extra, str)] if isinstance(extras, list) else []

    def _ready(self, extras: Sequence[str]) -> bool:
        stamp = self._read_stamp()
        wanted = self._wanted()
        return (
            all(stamp.get(key) == value for key, value in wanted.items())
            and set(extras) <= set(self._stamped_extras())
            and self._sound(stamp)
        )

    def _sound(self, stamp: Mapping[str, object]) -> bool:
        """Whether the environment's Python still starts, and is the version that things were installed for."""
        if not self.python.exists():
            return False
        try:
            answer = subprocess.run(
                [str(self.python), "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=60,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return answer.stdout.decode().strip() == stamp.get("python")

    def _fill(self, extras: Sequence[str], lock: int) -> None:
        stamp = self._read_stamp()
        kept = self._stamped_extras()
        reusable = stamp.get("root") == str(self.root) and self._sound(stamp)
        # From here to the end there is no stamp, so that an interruption leaves nothing that looks finished.
        with contextlib.suppress(FileNotFoundError):
            self._stamp.unlink()
        if not reusable:
            self._create(lock)
        self._say("Installing corscope and what it needs into .venv (once; this can take a minute or two) ...")
        # What another script installed stays installed.
        wanted = sorted({*extras, *kept})
        code, output = self._pip_install(wanted, lock)
        # pip undoes what fails: the next run needs no new environment, only what is missing.
        self._write_stamp(dict(self._wanted(), extras=wanted) if not code else {"root": str(self.root), "extras": kept})
        if code:
            raise EnvironmentFailure(explain(output))

    def _write_stamp(self, stamp: dict[str, object]) -> None:
        version = subprocess.check_output([str(self.python), "-I", "-c", "import sys; print(*sys.version_info[:2])"])
        unfinished = self._stamp.with_name(self._stamp.name + ".new")
        unfinished.write_text(json.dumps(dict(stamp, python=".".join(version.decode().split()))), encoding="utf-8")
        os.replace(str(unfinished), str(self._stamp))

    def _create(self, lock: int) -> None:
        running = candidates(os.environ, sys.platform, sys.executable)
        interpreter = find_python(running, sys.platform)
        self._say(f"Making the environment .venv with {interpreter.name} ({interpreter.executable}) ...")
        if self.folder.is_symlink() or self.folder.is_file():
            self.folder.unlink()
        elif self.folder.exists():
            shutil.rmtree(str(self.folder))
        code, output = self._call([interpreter.executable, "-I", "-m", "venv", str(self.folder)], lock)
        if code and shutil.disk_usage(str(self.root)).free < 50e6:
            raise EnvironmentFailure(DISK_FULL)
        if code:
            raise EnvironmentFailure(
                f"{interpreter.name} could not make the environment {self.folder}: {last_meaningful(output)} (on Debian"
                f" and Ubuntu, `sudo apt install python3.{interpreter.version[1]}-venv` may be what is missing)"
            )

    def _pip_install(self, extras: Sequence[str], lock: int) -> tuple[int, str]:
        target = str(self.root) + (f"[{','.join(extras)}]" if extras else "")
        options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-warn-script-location"]
        return self._call([str(self.python), "-m", "pip", "install", *options, "--editable", target], lock)

    def _call(self, command: Sequence[str], lock: int) -> tuple[int, str]:
        """Runs a command that changes the environment; returns its exit code and all that it printed."""
        # The child inherits the lock: should we be killed, others still wait until it has finished.
        inherited = {} if os.name == "nt" else {"pass_fds": (lock,)}
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment(os.environ),
            check=False,
            **inherited,  # type: ignore[call-overload]
        )
        return done.returncode, done.stdout.decode(errors="replace")

    @contextlib.contextmanager
    def _lock(self) -> Iterator[int]:
        """Holds the checkout's lock file, which the system frees when its holder dies."""
        descriptor = os.open(str(self.root / ".venv.lock"), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not take(descriptor):
                self._say("Waiting for another script that is installing into .venv ...")
                while not take(descriptor):
                    time.sleep(0.2)
            yield descriptor
        finally:
            os.close(descriptor)

    def _blame(self, fault: OSError) -> str:
        if fault.errno == errno.ENOSPC:
            return DISK_FULL
        where = fault.filename or self.folder
        if fault.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return (
                f"{where} can't be written to ({fault.strerror}): make it yours, or clone the repository where you may"
                " write"
            )
        return f"the environment {self.folder} could not be made: {fault}"


OFFLINE = re.compile(
    "NewConnectionError|Failed to establish a new connection|Name or service not known|name resolution|getaddrinfo"
    "|Network is unreachable|Connection refused|ConnectTimeout|Read timed out|ReadTimeout|ProxyError|MaxRetryError"
    "|No matching distribution found",
    re.IGNORECASE,
)
"""What pip prints when it can't reach an index; with no index at all it is only "No matching distribution"."""


def explain(output: str) -> str:
    """Returns the one line for a pip that failed: what happened, and what to do."""
    if "No space left on device" in output or "[Errno 28]" in output:
        return DISK_FULL
    if OFFLINE.search(output):
        return (
            "corscope's dependencies could not be downloaded; a network is needed this once: connect (behind a proxy,"
            f" set HTTPS_PROXY), then run this again [pip: {last_meaningful(output)}]"
        )
    return f"corscope's dependencies could not be installed: {last_meaningful(output)}"


def last_meaningful(output: str) -> str:
    """Returns the line of a failed command's output that tells a user most."""
    lines = [line.strip() for line in output.splitlines()]
    lines = [line for line in lines if line and not EMPTY_TALK.match(line)]
    errors = [line for line in lines if re.match(r"ERROR:|\w*Error:|error:", line)]
    return re.sub(r"^(ERROR|error):\s*", "", (errors or lines or ["it said nothing"])[-1])


EMPTY_TALK = re.compile(
    r"note:|hint:|\[notice\]|\[end of output\]|(ERROR|error): (subprocess-exited-with-error|Failed (to build|building))"
)
"""Lines of pip's that follow the one that says what is wrong."""


def take(descriptor: int) -> bool:
    """Takes the lock on an open file if it is free, without waiting."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as fault:
        if fault.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True


# -- what scripts call -------------------------------------------------------------------------------------------------


def ensure_environment(*extras: str) -> Path:
    """Returns the Python of a ready environment that has these extras, or ends the script with one line."""
    try:
        return Environment().ensure(extras)
    except EnvironmentFailure as failure:
        fail(str(failure))
    except KeyboardInterrupt:
        fail("interrupted; run this again to finish the installation", 130)


def fail(message: str, code: int = 1) -> NoReturn:
    """Ends the script with one line on standard error."""
    print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr)
    sys.exit(code)


def hand_over(python: Path, arguments: Sequence[str]) -> NoReturn:
    """Becomes the given Python, so that signals and the terminal are its own."""
    command = [str(python), *arguments]
    environ = clean_environment(os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name != "nt":
        os.execve(command[0], command, environ)
    # Windows' exec returns to the shell at once. There the console gives Ctrl-C to both of us: ours is the child's.
    child = subprocess.Popen(command, env=environ)
    while True:
        try:
            sys.exit(child.wait())
        except KeyboardInterrupt:
            continue
