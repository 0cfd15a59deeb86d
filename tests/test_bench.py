"""`scripts/bench` runs and prints its figures. What they are is not tested: that depends on the machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent.parent / "scripts" / "bench"


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the script in this environment."""
    return subprocess.run([sys.executable, str(BENCH), *arguments], capture_output=True, text=True, check=False)


def test_every_figure_is_printed_with_its_limit() -> None:
    done = bench("--quick")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    figures = dict(re.findall(r"^(\w.+?) {2,}(-?[\d.]+) (?:µs|requests/s|%|MB|times)", done.stdout, re.MULTILINE))
    assert figures.keys() == {
        "a CORS exchange in session and engine",
        "an ordinary exchange, let by (with what the adapter reads)",
        "a CORS flow in all of the addon's hooks",
        "a rewritten CORS flow, beyond a judged one",
        "an ordinary flow in all of the addon's hooks",
        "mitmdump -nr without the addon, an exchange of 20 kB",
        "mitmproxy's FlowReader",
        "corscope check",
        "corscope check, how much faster than mitmdump",
        "corscope check, how much faster than FlowReader",
        "corscope check, memory",
        "parsing the JSON of a HAR, an exchange of 20 kB",
        "corscope check of it",
        "corscope check of it, of the speed of parsing",
        "corscope check of it, memory",
        "CORS requests through mitmdump with the addon",
        "CORS requests through mitmdump without it",
        "CORS requests with against without the addon",
        "ordinary requests through mitmdump with the addon",
        "ordinary requests through mitmdump without it",
        "ordinary requests with against without the addon",
    }
    # Differences may come out below zero in so short a run: that of rewriting, and those without the time to start.
    assert all(
        float(figure) > 0
        for name, figure in figures.items()
        if "an exchange of" not in name and ("requests" in name or "addon" in name or "memory" in name)
    )
    limits = re.findall(r"limit: (at (?:most|least) [\d.]+ (?:µs|%|MB|times))", done.stdout)
    assert limits == [
        *("at most 30 µs", "at most 3 µs", "at most 40 µs"),
        *("at least 40 times", "at least 4 times", "at most 200 MB", "at least 0.5 times", "at most 200 MB"),
        *("at least 97 %", "at least 97 %"),
    ]


def test_a_missed_limit_is_an_exit_code_only_when_asked_for() -> None:
    impossible = (
        "import runpy, sys; sys.argv = ['bench', '--quick', '--no-live', '--captures', '0', *sys.argv[1:]];"
        f" bench = runpy.run_path({str(BENCH)!r});"
        " bench['main'].__globals__['MICROSECONDS_PER_CORS_EXCHANGE'] = 0.001; sys.exit(bench['main'](sys.argv[1:]))"
    )
    for arguments, code in (((), 0), (("--check",), 1)):
        command = [sys.executable, "-c", impossible, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(BENCH.parent)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == code, done.stderr
        assert "Missed: a CORS exchange in session and engine" in done.stdout


def test_an_unknown_argument_is_named() -> None:
    done = bench("--fast")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--fast" in done.stderr
