"""Scores the recordings beside the other tests, with what they leave of the machine.

The verdicts are those of `corscope check`; tests/test_cli.py holds that the addon's are the same.
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from corscope.recorder.score import Score, checked, recordings, score

SCORES = pytest.StashKey[dict[str, "Future[Score]"]]()
"""The score of each recording, by its name."""
_POOL = pytest.StashKey[ProcessPoolExecutor]()


def begin(config: pytest.Config) -> None:
    """Begins to score all recordings."""
    workers, method = os.cpu_count() or 1, multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=method, initializer=give_way)
    config.stash[_POOL] = pool
    config.stash[SCORES] = {
        path.name.removesuffix(".mitm.xz"): pool.submit(score, path, checked) for path in recordings()
    }


def give_way() -> None:
    """Lowers the priority of a process and of those it starts, where the system knows of that."""
    if hasattr(os, "nice"):
        os.nice(15)


def end(config: pytest.Config) -> None:
    """Ends what nobody waits for any more."""
    if _POOL in config.stash:
        config.stash[_POOL].shutdown(wait=False, cancel_futures=True)
