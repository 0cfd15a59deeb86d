"""Rewriting in the installed browsers, on a part of the lab's table; the whole takes half an hour."""

from __future__ import annotations

import pytest

from corscope.browsers import Kind
from corscope.lab.scenarios import scenarios
from corscope.recorder import prove


@pytest.mark.timeout(300)
def test_what_was_blocked_reaches_the_page(kind: Kind, capsys: pytest.CaptureFixture[str]) -> None:
    code = prove.main(["--browser", kind, "--web", "https", "--only", "status/"])
    said = capsys.readouterr().out
    assert code == 0, said
    assert said.startswith(f"{kind}-https: 140 steps, 0 did not reach the page, 0 that no header mends")


def test_what_failed_is_told_from_what_had_to() -> None:
    table = scenarios("https")
    user = next(one for one in table if one.tag.startswith("redirect-user/"))
    other = next(one for one in table if one.tag.startswith("status/"))
    wrong, excepted = prove.missed("https", {(user.id, 0): False, (other.id, 0): False, (other.id, 1): None})
    assert (dict(wrong), dict(excepted)) == ({other.tag: 1}, {"redirect-user/": 1})
