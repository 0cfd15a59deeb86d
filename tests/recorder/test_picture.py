"""The README's picture, made with the installed Chromium."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from corscope.recorder import picture
from corscope.recorder.shop import ANSWERS

API = "https://api.shop.test"
PAY = "https://pay.other.test"


def test_the_picture_lists_every_flow_with_its_verdict(tmp_path: Path, chromium: Path) -> None:
    path = tmp_path / "new" / "picture.png"
    rows = picture.make(chromium, path)

    png = path.read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert (width, height) == (picture.WIDTH * picture.SCALE, picture.HEIGHT * picture.SCALE)
    assert 50_000 < len(png) < 300_000

    assert sorted((row.method, row.path) for row in rows) == sorted(ANSWERS)
    assert {(row.method, row.path): row.mark for row in rows} == {
        ("GET", "https://app.shop.test/"): "",
        ("GET", f"{API}/api/products"): "✅",
        ("GET", f"{API}/images/teapot.png"): "",
        ("GET", f"{API}/api/session"): "✅",
        ("OPTIONS", f"{API}/api/cart/items"): "✅",
        ("POST", f"{API}/api/cart/items"): "✅",
        ("GET", f"{API}/api/cart"): "⛔",
        ("GET", f"{API}/api/orders"): "⛔",
        ("OPTIONS", f"{API}/api/cart/items/7"): "⛔",
        ("GET", f"{API}/api/search?q=teapot"): "✅",
        ("GET", f"{API}/api/search/?q=teapot"): "✅",
        ("GET", f"{API}/api/stock/7"): "⛔",
        ("GET", f"{PAY}/v1/rates?to=EUR"): "⛔",
        ("OPTIONS", f"{PAY}/v1/payments"): "⛔",
    }
    for row in rows:
        assert bool(row.comment) == bool(row.mark)
        assert {"⛔": "blocked", "✅": "allowed", "": ""}[row.mark] in row.comment.split("\n")[0]


@pytest.mark.parametrize("what", ["report", "live"])
def test_a_picture_of_stories_shows_the_same_traffic(what: str, tmp_path: Path, chromium: Path) -> None:
    path = tmp_path / f"{what}.png"
    rows = picture.make(chromium, path, what)

    png = path.read_bytes()
    width, height = struct.unpack(">II", png[16:24])
    assert (width, height) == (picture.WIDTH * picture.SCALE, picture.REPORT_HEIGHT * picture.SCALE)
    assert 50_000 < len(png) < 400_000
    blocked = {(row.method, row.path) for row in rows if row.mark == "blocked"}
    assert blocked == {
        ("GET", f"{API}/api/cart"),
        ("GET", f"{API}/api/orders"),
        ("PUT", f"{API}/api/cart/items/7"),
        ("GET", f"{API}/api/stock/7"),
        ("GET", f"{PAY}/v1/rates?to=EUR"),
        ("POST", f"{PAY}/v1/payments"),
    }
    assert all(row.comment for row in rows if row.mark == "blocked")


def test_the_picture_of_the_playground_shows_a_run(tmp_path: Path, chromium: Path) -> None:
    path = tmp_path / "playground.png"
    assert picture.make(chromium, path, "playground") == []
    assert 50_000 < path.stat().st_size < 400_000


def test_the_path_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(picture, "find_browsers", lambda: {"chromium": tmp_path})
    monkeypatch.setattr(picture, "make", lambda *_: [])
    assert picture.main(["--output", str(tmp_path / "picture.png")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'picture.png'}\n"
    for what in ("mitmweb", "report", "live", "playground"):
        assert picture.main([what]) == 0
        assert capsys.readouterr().out.endswith(f"/docs/{what}.png\n")


def test_without_chromium_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(picture, "find_browsers", lambda: {"firefox": tmp_path})
    assert picture.main([]) == 1
    assert capsys.readouterr().err == "picture: no Chromium was found: install Chromium, Chrome or Edge\n"


def test_a_mitmweb_that_does_not_start_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(picture, "find_browsers", lambda: {"chromium": tmp_path})
    monkeypatch.setattr(picture, "MITMWEB", (sys.executable, "-c", "raise SystemExit('no room left')"))
    assert picture.main(["--output", str(tmp_path / "picture.png")]) == 1
    assert capsys.readouterr().err == "picture: mitmweb ended at once: no room left\n"
