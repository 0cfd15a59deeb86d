"""The command line `corscope`: captures checked, findings explained, mitmproxy started with the addon."""

from __future__ import annotations

import argparse
import gc
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO, cast

from corscope import __version__
from corscope.baselines import Baseline, BaselineWriter, UnusableBaseline, wrong
from corscope.captures import capture
from corscope.captures.capture import Damage, UnreadableCapture
from corscope.captures.sources import STDIN, NoCapture, find_captures, shown_name
from corscope.catalogue import CATALOGUE
from corscope.catalogue.markdown import section
from corscope.checking import Choice, check_capture, choose
from corscope.files import ODD, replacing
from corscope.formats import FORMATS, SUFFIXES
from corscope.formats.document import FAIL_ON, CaptureSummary, Entry, Summary, Takes, accept, entry_of, kind_of
from corscope.model import Outcome, Severity, Verdict
from corscope.privacy import plain
from corscope.settings import BROWSERS, SettingError, check_stack, nearest
from corscope.stacks import STACKS

CLEAN, FOUND, WRONG, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: nothing reaches --fail-on; something does; wrong usage, or a capture of which nothing could be read;
Ctrl-C."""

TELLING_SECONDS = 0.2
"""How often the progress bar moves while others work."""


class UsageError(Exception):
    """The command line makes no sense; the message is one line."""


# -- what is checked ---------------------------------------------------------------------------------------------------


class Wish(NamedTuple):
    """How captures are checked."""

    choice: Choice
    stack: str
    takes: Takes
    """Which entries the formats want."""
    fail_on: str


@dataclass(slots=True)
class Found:
    """What was found in one capture, besides its entries."""

    name: str
    verdicts: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    failed_unanswered: int = 0
    stopped: Counter[str] = field(default_factory=Counter)
    damages: list[Damage] = field(default_factory=list)
    unreadable: str = ""
    """Why nothing of it could be read; empty where something could."""

    def count(self, verdict: Verdict) -> None:
        self.verdicts[str(verdict.outcome)] += 1
        for finding in verdict.findings:
            self.findings[finding.id] += 1

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be read, a line each: the first in full, for the rest are mostly its consequences."""
        if self.unreadable:
            return (self.unreadable,)
        if not self.damages:
            return ()
        first, *others = self.damages
        more = f" (and {len(others)} more like it)" if others else ""
        return (f"{shown_name(self.name)}: {first.where}: {first.what}; skipped {first.skipped}{more}",)

    def summary(self) -> CaptureSummary:
        verdicts = {str(outcome): self.verdicts[str(outcome)] for outcome in Outcome}
        name, total = shown_name(self.name), self.verdicts.total()
        return CaptureSummary(name, total, verdicts, self.warnings, self.failed_unanswered, dict(self.stopped))


type Told = tuple[Takes, Entry]
"""An entry, and the first of `Takes` that includes it."""


def entries(name: str, wish: Wish, found: Found, at: Callable[[int], None] | None = None) -> Iterator[Told]:
    """Check a capture: yield the entries that are to be told, and count everything in `found`.

    `at` is told from time to time how many bytes of the file were read. Raises OSError.
    """

    def counter(outcome: Outcome, kind: Takes) -> Callable[[bool], None] | None:
        """Return what counts exchanges of which nothing is to be said; None where they are told too."""
        if wish.takes >= kind or wish.choice.origins:
            # Whose page asked for ordinary traffic is not known.
            return None
        name, verdicts = str(outcome), found.verdicts

        def count(wanted: bool) -> None:
            verdicts[name] += wanted

        return count

    def unanswered(entry: capture.Entry) -> None:
        observed, asker = entry.exchange.observed, entry.exchange.asker
        page = asker.page if asker is not None else ""
        if not entry.wanted or observed is None or (page and not wish.choice.has(page)):
            return
        if observed.not_cors:
            found.stopped[observed.not_cors] += 1
        else:
            found.failed_unanswered += 1

    damaged = found.damages.append
    passed, allowed = counter(Outcome.EXEMPT, Takes.EVERYTHING), counter(Outcome.ALLOWED, Takes.CORS)
    try:
        for checked in check_capture(
            name, wish.choice, damaged, at=at, passed=passed, allowed=allowed, unanswered=unanswered
        ):
            verdict = checked.verdict
            if wish.choice.takes(checked):
                found.count(verdict)
                kind = kind_of(verdict)
                if kind <= wish.takes:
                    yield kind, entry_of(verdict, shown_name(name), checked.number, wish.stack, wish.fail_on)
    except UnreadableCapture as error:
        found.unreadable = str(error)
    except OSError as error:
        found.unreadable = f"{shown_name(name)}: it can't be read: {error.strerror or error}"


@contextmanager
def few_collections() -> Iterator[None]:
    """Let Python look for cycles more rarely: judging makes few, and much that stays for a while."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


type Positions = Any
"""How many bytes of each capture have been read, in memory that processes share: a `multiprocessing.Array` of `q`."""

_positions: Positions = None


def begin_work(positions: Positions, patient: bool) -> None:
    """Make ready a process that checks captures. `patient`: whether the first Ctrl-C is another's, see `patience`."""
    global _positions
    _positions = positions
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return

    def end(*_: object) -> None:
        # The traceback of each would tell nobody anything.
        os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, (lambda *_: signal.signal(signal.SIGINT, end)) if patient else end)


def spool(index: int, name: str, wish: Wish, folder: str) -> tuple[Found, str]:
    """Check a capture in a process of its own; the entries go into a file in `folder`, a line each."""
    found = Found(name)

    def at(position: int) -> None:
        _positions[index] = position

    handle, path = tempfile.mkstemp(dir=folder)
    with open(handle, "w", encoding="utf-8") as file, few_collections():
        for told in entries(name, wish, found, at):
            file.write(json.dumps(told) + "\n")
    at(_size(name))
    return found, path


def spooled(work: Future[tuple[Found, str]], found: Found, tell: Callable[[], None]) -> Iterator[Told]:
    """Yield what `spool` wrote, once it is there; `tell` is called while it is not."""
    while True:
        try:
            other, path = work.result(timeout=TELLING_SECONDS)
            break
        except TimeoutError:
            if work.done():
                raise
            tell()
    found.verdicts, found.findings = other.verdicts, other.findings
    found.damages, found.unreadable = other.damages, other.unreadable
    found.failed_unanswered, found.stopped = other.failed_unanswered, other.stopped
    with open(path, encoding="utf-8") as file:
        for line in file:
            kind, entry = json.loads(line)
            yield Takes(kind), entry
    os.unlink(path)


def check(arguments: argparse.Namespace) -> int:
    """`corscope check`. Raises UsageError, SettingError, NoCapture, UnusableBaseline, OSError."""
    for option in ("baseline", "write_baseline"):
        if getattr(arguments, option) == "":
            raise UsageError(f"--{option.replace('_', '-')} names no file")
    apart: list[str] = []
    captures = find_captures(arguments.captures, unreadable=apart.append)
    outputs = outputs_of(arguments.outputs or [("text", None)])
    check_targets(captures, outputs, arguments.write_baseline, arguments.baseline)
    if arguments.stack:
        check_stack("--stack", arguments.stack)
    choice = choose(
        browser=arguments.browser, silence=arguments.silence, origins=arguments.origin, filter=arguments.filter
    )
    baseline = Baseline.load(arguments.baseline) if arguments.baseline else None
    writer = BaselineWriter(arguments.write_baseline) if arguments.write_baseline else None
    if any(name != "text" and path in (None, STDIN) for name, path in outputs):
        # What reads these takes them for UTF-8, whatever the terminal's encoding.
        _write_as(sys.stdout, encoding="utf-8")
    bar = has_bar(captures)
    with ExitStack() as stack:
        out = stack.enter_context(kept(sys.stdout)) if bar and sys.stdout.isatty() else sys.stdout
        formats = [FORMATS[name](stack.enter_context(opened(path, out))) for name, path in outputs]
        wish = Wish(choice, arguments.stack, max(one.takes for one in formats), arguments.fail_on)
        results: list[Found] = []
        failed, new = False, 0
        with (
            progress(captures) if bar else nullcontext(lambda _: None) as advance,
            patience(captures),
            few_collections(),
        ):
            for found, told in checked(captures, wish, stack, arguments.jobs, advance):
                results.append(found)
                for kind, entry in told:
                    if kind is Takes.TROUBLE:
                        if writer is not None:
                            writer.add(entry)
                        if baseline is not None and baseline.knows(entry):
                            accept(entry)
                        elif baseline is not None:
                            new += bool(wrong(entry))
                    for one in formats:
                        if kind <= one.takes:
                            one.add(entry)
                    failed = failed or entry["fails"]
        summary = Summary(
            tuple(found.summary() for found in results),
            dict(sum((found.findings for found in results), Counter[str]()).most_common()),
            failed,
            new,
        )
        for one in formats:
            one.finish(summary)
    if writer is not None:
        writer.write()
    sys.stdout.flush()
    for line in apart:
        print(f"corscope: warning: {plain(line)}", file=sys.stderr)
    for found in results:
        for warning in found.warnings:
            print(f"corscope: {'error' if found.unreadable else 'warning'}: {plain(warning)}", file=sys.stderr)
    if any(found.unreadable for found in results):
        return WRONG
    return FOUND if failed else CLEAN


def check_targets(
    captures: Sequence[str], outputs: Iterable[tuple[str, str | None]], baseline: str | None, known: str | None
) -> None:
    """Raise UsageError where two reports, or a report and a baseline, or one and a capture, are the same file.

    `baseline` is the one to write, `known` the one to read; those two may be the same.
    """
    targets = [("--output", path) for _, path in outputs if path is not None and path != STDIN]
    if baseline is not None:
        targets.append(("--write-baseline", baseline))
    taken: set[str] = set()
    for option, path in targets:
        if os.path.exists(path) and any(_same(path, one) for one in captures):
            raise UsageError(f"{option} {path} is one of the captures: name another file")
        if option == "--output" and known is not None and os.path.realpath(path) == os.path.realpath(known):
            raise UsageError(f"--output {path} is the baseline: name another file")
        if os.path.exists(path) and not os.path.isfile(path):
            continue  # a device takes any number
        real = os.path.realpath(path)
        if real in taken:
            raise UsageError(f"{option} {path} is written already: name another file")
        taken.add(real)


def checked(
    captures: Sequence[str], wish: Wish, stack: ExitStack, jobs: int, advance: Callable[[int], None]
) -> Iterator[tuple[Found, Iterator[Told]]]:
    """Yield what is found in each capture, in their order; several are checked at a time, each in its own process.

    `advance` is told how many bytes of all captures have been read. What is found is complete when its entries have
    been taken.
    """
    files = [name for name in captures if name != STDIN and os.path.isfile(name)]
    workers = min(jobs or os.cpu_count() or 1, len(files))
    running: dict[str, Future[tuple[Found, str]]] = {}
    positions: Positions = []
    if workers > 1:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        # Each writes its own alone.
        positions = multiprocessing.Array("q", len(files), lock=False)
        ready = positions, is_patient(captures)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="corscope-"))
        pool = ProcessPoolExecutor(workers, initializer=begin_work, initargs=ready)
        # An interruption does not wait for what has not begun, but for those at work: left to the interpreter's exit,
        # the pool's thread would close the pipe by which that wakes it.
        stack.callback(pool.shutdown, cancel_futures=True)
        running = {name: pool.submit(spool, index, name, wish, folder) for index, name in enumerate(files)}
    before = 0
    for name in captures:
        found = Found(name)
        if name in running:
            yield found, spooled(running[name], found, lambda: advance(sum(positions)))
        else:
            done = before
            yield found, entries(name, wish, found, lambda position, done=done: advance(done + position))  # type: ignore[misc]
            before += _size(name)
        advance(before + sum(positions))


def _size(name: str) -> int:
    return os.path.getsize(name) if name != STDIN and os.path.isfile(name) else 0


def _same(one: str, other: str) -> bool:
    return other != STDIN and os.path.samefile(one, other)


# -- where it goes -----------------------------------------------------------------------------------------------------


def outputs_of(given: Iterable[tuple[str | None, str | None]]) -> list[tuple[str, str | None]]:
    """Return formats with the files that they go to, None for standard output. Raises UsageError.

    An output without a format is told by its suffix.
    """
    outputs: list[tuple[str, str | None]] = []
    for name, path in given:
        if name is None:
            suffix = Path(path or "").suffix.lower()
            if suffix not in SUFFIXES:
                known = ", ".join(SUFFIXES)
                raise UsageError(f"--output {path}: say what it is to be with --format before it, or name it {known}")
            name = SUFFIXES[suffix]
        outputs.append((name, path))
    shown = [name for name, path in outputs if path in (None, STDIN)]
    # Annotations are for whoever reads the log, among the lines for people.
    if len(shown) > 1 and sorted(shown) != ["github", "text"]:
        raise UsageError(f"{' and '.join(shown)} can't all go to standard output: give the others an --output FILE")
    return outputs


@contextmanager
def opened(path: str | None, out: TextIO) -> Iterator[TextIO]:
    """Open what a report goes to, `out` without a path; a file takes its name only when it is complete.

    Raises OSError.
    """
    if path is None or path == STDIN:
        yield out
        return
    if Path(path).is_dir():
        raise UsageError(f"--output {path} is a folder: name a file in it")
    with replacing(path) as file:
        yield file


@contextmanager
def kept(terminal: TextIO) -> Iterator[TextIO]:
    """Keep what goes to a terminal until its progress bar has gone."""
    with _Kept(KEPT_IN_MEMORY, "w+", encoding="utf-8", errors="surrogatepass", newline="") as held:
        try:
            yield cast("TextIO", held)
        finally:
            held.seek(0)
            shutil.copyfileobj(held, terminal)


class _Kept(tempfile.SpooledTemporaryFile[str]):
    """What is kept for a terminal, in memory up to a size: it is coloured as the terminal is."""

    def isatty(self) -> bool:
        return True


KEPT_IN_MEMORY = 10_000_000
"""Bytes."""


def _write_as(stream: TextIO, *, encoding: str | None = None) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding=encoding, errors=ODD)


def is_patient(captures: Sequence[str]) -> bool:
    """Tell whether a first Ctrl-C may be meant for somebody else, who writes into our pipe."""
    return STDIN in captures and not sys.stdin.isatty()


@contextmanager
def patience(captures: Sequence[str]) -> Iterator[None]:
    """Leave the first Ctrl-C to whoever writes into our pipe, to whom it goes too: what came is judged and told."""
    if not is_patient(captures) or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda *_: signal.signal(signal.SIGINT, before))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def has_bar(captures: Sequence[str]) -> bool:
    """Tell whether to show how far it is: where it takes long, and standard error is a terminal."""
    return sys.stderr.isatty() and sum(map(_size, captures)) >= _WORTH_A_BAR


@contextmanager
def progress(captures: Sequence[str]) -> Iterator[Callable[[int], None]]:
    """Show how far it is, on standard error; yields what to tell the bytes to."""
    total = sum(map(_size, captures))
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("checking"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=total)
        yield lambda position: shown.update(task, completed=position)


_WORTH_A_BAR = 5_000_000
"""Bytes of captures from which on it takes long enough."""


# -- the other commands ------------------------------------------------------------------------------------------------


def explain(arguments: argparse.Namespace) -> int:
    """`corscope explain`. Raises UsageError."""
    pages = []
    for id_ in arguments.ids:
        if id_ not in CATALOGUE:
            raise UsageError(f"there is no finding {id_!r}{nearest(id_, CATALOGUE)}; corscope findings lists them")
        pages.append(f"## {id_}\n\n" + "\n".join(section(CATALOGUE[id_])))
    page = "\n".join(pages)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(page))
    else:
        print(page)
    return CLEAN


def findings(arguments: argparse.Namespace) -> int:
    """`corscope findings`."""
    known = [one for one in CATALOGUE.values() if arguments.severity in (None, one.severity)]
    if arguments.json:
        print(json.dumps([{"id": one.id, "severity": one.severity, "title": one.title, "of": one.of} for one in known]))
        return CLEAN
    width = max(len(one.id) for one in known)
    for one in known:
        print(f"{one.id:{width}}  {one.severity:7}  {one.title}")
    return CLEAN


def script(_: argparse.Namespace) -> int:
    """`corscope script`."""
    from corscope.proxy import SCRIPT

    print(SCRIPT)
    return CLEAN


def completions(arguments: argparse.Namespace) -> int:
    """`corscope completions`."""
    import shtab

    top = parser()
    known = {"ids": list(CATALOGUE), "silence": list(CATALOGUE), "stack": list(STACKS)}
    (commands,) = (action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    for command in commands.choices.values():
        for action in command._actions:
            # As choices they would stand in the usage, and hide what was perhaps meant behind a list of all.
            action.choices = known.get(action.dest, action.choices)
            if action.metavar in ("CAPTURE", "FILE"):
                action.complete = shtab.FILE
    print(shtab.complete(top, shell=arguments.shell))
    return CLEAN


_RUN = """\
usage: corscope run [--tui | --dump] [--browser[=NAME|PATH] [--url=URL] [--headless]] [mitmproxy's arguments]

Starts mitmweb with the addon (--tui: mitmproxy, --dump: mitmdump); all other arguments go through to it. --browser also
opens an installed Chrome, Chromium, Edge or Firefox with a throw-away profile that uses the proxy, localhost included.

examples:
  corscope run                                         mitmweb; set your browser's proxy to 127.0.0.1:8080
  corscope run --browser --url=http://localhost:3000   look at what your development server does
  corscope run --dump -nr recording.mitm               judge a recording
"""

_EXAMPLES = """examples:
  corscope check capture.har                            what would a browser block, and why
  corscope check recordings/ --format html --output report.html
  corscope check "tests/**/*.mitm" --fail-on warning --silence preflights-repeated
  corscope check ci.har --format github --format sarif --output corscope.sarif
  corscope check ci.har --write-baseline known.json     accept what is there ...
  corscope check ci.har --baseline known.json           ... and fail on what is new
  mitmdump -q -w /dev/stdout | corscope check -         judge what comes from a pipe; Ctrl-C ends it, and tells

Exit code: 0 nothing reaches --fail-on, 1 something does, 2 wrong usage or a capture that can't be read.
"""


class _Output(argparse.Action):
    """Collects formats and the files that they go to: an --output belongs to the --format before it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option: str | None = None,
    ) -> None:
        outputs: list[tuple[str | None, str | None]] = list(getattr(namespace, self.dest) or [])
        assert isinstance(values, str)
        if option in ("-f", "--format"):
            outputs.append((values, None))
        elif outputs and outputs[-1][1] is None:
            outputs[-1] = (outputs[-1][0], values)
        else:
            outputs.append((None, values))
        setattr(namespace, self.dest, outputs)


def _jobs(text: str) -> int:
    """Parse a number of captures at a time. Raises ArgumentTypeError."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 for one a core, not {text!r}")
    return int(text)


class _Intermixed(argparse.ArgumentParser):
    """Takes captures before, between and behind options."""

    _is_within = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        if self._is_within:
            return super().parse_known_args(args, namespace)
        args, behind = list(args or ()), list[str]()
        captures = next((action for action in self._actions if action.dest == "captures"), None)
        if captures is not None and "--" in args:
            # argparse loses what it says.
            at = args.index("--")
            args, behind = args[:at], args[at + 1 :]
        self._is_within = True
        try:
            if captures is not None and behind:
                captures.nargs, captures.required = "*", False
            found, unknown = self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_within = False
            if captures is not None:
                captures.nargs, captures.required = "+", True
        if behind:
            found.captures = [*(found.captures or ()), *behind]
        return found, unknown


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="corscope",
        description="Judges CORS exchanges as real browsers do: what is blocked, why, and what to change.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    top.add_argument("--version", action="version", version=f"corscope {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True, parser_class=_Intermixed)

    one = commands.add_parser(
        "check",
        help="judge captures: .mitm, .har, packed or not",
        description="Judges the exchanges of captures: mitmproxy's own format and HAR, plain or packed.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    one.add_argument("captures", metavar="CAPTURE", nargs="+", help="a file, a folder, a glob, or - for standard input")
    one.add_argument(
        "-f",
        "--format",
        dest="outputs",
        action=_Output,
        choices=tuple(FORMATS),
        help="text (default), or another; may be given several times, each with an --output of its own",
    )
    one.add_argument(
        "-o", "--output", dest="outputs", action=_Output, metavar="FILE", help="where the --format before it goes"
    )
    one.add_argument(
        "--fail-on",
        choices=FAIL_ON,
        default="blocked",
        help="exit with 1 when there is something blocked (default), also conditional, also warnings, or never",
    )
    one.add_argument("--filter", default="", metavar="EXPR", help="tell only of flows that match a mitmproxy filter")
    one.add_argument(
        "--origin", action="append", default=[], help="tell only of pages of this origin; may be given several times"
    )
    one.add_argument("--silence", action="append", default=[], metavar="IDS", help="findings that are not told")
    one.add_argument("--baseline", metavar="FILE", help="accept what this file knows")
    one.add_argument("--write-baseline", metavar="FILE", help="write what is found, to be accepted from then on")
    one.add_argument("--browser", choices=BROWSERS, default="auto", help="whose rules apply (default: the sender's)")
    one.add_argument("--stack", default="", metavar="ID", help=f"show configurations for {', '.join(STACKS)}")
    one.add_argument(
        "-j", "--jobs", type=_jobs, default=0, metavar="N", help="captures at a time (default: one a core)"
    )
    one.set_defaults(act=check)

    one = commands.add_parser("explain", help="explain findings")
    one.add_argument("ids", metavar="ID", nargs="+", help="a finding, such as allow-origin-missing")
    one.set_defaults(act=explain)

    one = commands.add_parser("findings", help="list all findings")
    one.add_argument("--severity", choices=[str(severity) for severity in Severity], help="only these")
    one.add_argument("--json", action="store_true", help="as JSON")
    one.set_defaults(act=findings)

    commands.add_parser("run", help="start mitmweb, mitmproxy or mitmdump with the addon", add_help=False)

    one = commands.add_parser("script", help="print the path for mitmproxy -s")
    one.set_defaults(act=script)

    one = commands.add_parser("completions", help="print a script that completes this command in a shell")
    one.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    one.set_defaults(act=completions)
    return top


def _drop_output() -> None:
    """Let what was not written yet go nowhere: Python would try once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def explain_run(_: argparse.Namespace) -> int:
    """Print how to start mitmproxy's tools."""
    print(_RUN, end="")
    return CLEAN


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # whoever started us closed it
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - it stays
    for stream in (sys.stdout, sys.stderr):
        _write_as(stream)
    of_run = given[:1] == ["run"]
    if of_run and not {"-h", "--help"} & set(given[1:]):
        from corscope import run

        return run.run(given[1:])
    said = argparse.Namespace(act=explain_run) if of_run else parser().parse_args(given)
    try:
        code: int = said.act(said)
        sys.stdout.flush()
    except (UsageError, SettingError, NoCapture, UnusableBaseline) as error:
        print(f"corscope: {error}", file=sys.stderr)
        return WRONG
    except BrokenExecutor:
        print(
            "corscope: a process was ended by something while it checked, perhaps for want of memory", file=sys.stderr
        )
        return WRONG
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _drop_output()
        return FOUND
    except OSError as error:
        print(f"corscope: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        if error.filename is None:
            _drop_output()
        return WRONG
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main())
