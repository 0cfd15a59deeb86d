"""The documentation of findings keeps in step with the catalogue, and everything that links to it leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from corscope.catalogue import CATALOGUE
from corscope.docs import FILE, main, markdown
from corscope.report import docs

TOP = Path(__file__).parent.parent


def test_the_page_is_what_the_catalogue_says() -> None:
    assert FILE.read_text(encoding="utf-8") == markdown(), "run scripts/docs"


def test_every_finding_has_one_anchor() -> None:
    headings = re.findall(r"^## (.+)$", markdown(), re.MULTILINE)
    assert sorted(headings) == sorted(CATALOGUE)


@pytest.mark.parametrize("id_", CATALOGUE)
def test_a_link_leads_to_its_finding(id_: str) -> None:
    path, _, anchor = docs(id_).partition("#")
    assert f"\n## {anchor}\n" in (TOP / path).read_text(encoding="utf-8")


def test_links_inside_the_page_lead_somewhere() -> None:
    linked = set(re.findall(r"\]\(#([^)]+)\)", markdown()))
    assert linked
    assert linked <= set(CATALOGUE)


def test_the_readme_links_to_it() -> None:
    assert "(docs/findings.md)" in (TOP / "README.md").read_text(encoding="utf-8")


def test_checking_tells_a_page_that_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "docs" / "findings.md"
    monkeypatch.setattr("corscope.docs.FILE", page)
    assert main(["--check"]) == 1
    assert "run scripts/docs" in capsys.readouterr().err
    assert main([]) == 0
    assert main(["--check"]) == 0
    page.write_text("something else", encoding="utf-8")
    assert main(["--check"]) == 1
