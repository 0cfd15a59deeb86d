"""Rewriting in the installed browsers, on a part of the lab's table; the whole takes half an hour."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from corscope.lab import prove
from corscope.lab.scenarios import scenarios


@pytest.mark.timeout(300)
def test_what_was_blocked_reaches_the_page(chromium: Path, firefox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Redirects, those that no header mends among them, and with another origin listed."""
    code = prove.main(["--web", "https", "--only", "redirect", "--unlisted"])
    said = capsys.readouterr().out
    assert code == 0, said
    steps = [
        int(count) for count in re.findall(r"^\w+-https: (\d+) steps, 0 did not reach the page, 60 that", said, re.M)
    ]
    assert len(steps) == 2
    assert min(steps) > 300
    assert re.findall(r"with another origin listed 0 of (\d+) outcomes differ", said) == [str(count) for count in steps]


def test_what_failed_is_told_from_what_had_to() -> None:
    table = scenarios("https")
    user = next(one for one in table if one.tag.startswith("redirect-user/"))
    other = next(one for one in table if one.tag.startswith("status/"))
    wrong, excepted = prove.missed("https", {(user.id, 0): False, (other.id, 0): False, (other.id, 1): None})
    assert (dict(wrong), dict(excepted)) == ({other.tag: 1}, {"redirect-user/": 1})
