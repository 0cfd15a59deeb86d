"""Baselines: what is the same thing in another run, and the file that keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import PAGE, exchange, judged
from corscope.baselines import Baseline, BaselineWriter, Fingerprint, UnusableBaseline, fingerprint, wrong
from corscope.report import as_json


def entry(url: str = "https://b.test/x", page: str = PAGE, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """An exchange that is blocked."""
    return as_json(judged(exchange(f"GET {url}", origin=page, **more)))


BLOCKED = entry()


def place(url: str, page: str = PAGE) -> Fingerprint:
    one = entry(url, page)
    return fingerprint(one, one["findings"][0])


def written(path: Path, *entries: dict[str, Any]) -> Baseline:
    writer = BaselineWriter(path)
    for one in entries:
        writer.add(one)
    writer.write()
    return Baseline.load(path)


# -- fingerprints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/orders/17", "/orders/2048"),
        ("/orders/17/lines/3", "/orders/18/lines/44"),
        ("/u/3f2b8a1c-9d4e-4f6a-8b7c-0123456789ab", "/u/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
        ("/blob/9f86d081884c7d65", "/blob/deadbeef00"),
        ("/static/main.3f2a8b9c.js", "/static/main.00c0ffee.js"),
        ("/v/dQw4w9WgXcQ", "/v/9bZkp7q19f0"),
        ("/s/V1StGXR8_Z5jdHi6B-myT", "/s/aB3dEf6hIj9-kLm2nOpQr_5"),
        ("/t/eyJhbGciOiJIUzI1NiJ9.dozjgNryP4J3jVmNHl0w5N", "/t/eyJhbGciOiJSUzI1Nig5.9ozjgNryP4J3jVmNHl0w5M"),
        ("/order-12345", "/order-9"),
        ("/day/2026-11-22", "/day/2026-12-01"),
        ("/x?page=1", "/x?page=2"),
        ("/x", "/x?anything#at-all"),
    ],
)  # fmt: skip
def test_another_id_is_the_same_place(one: str, other: str) -> None:
    assert place(f"https://b.test{one}") == place(f"https://b.test{other}")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/v1/users",
        "/api/v2/orders/latest",
        "/oauth2/callback",
        "/index.html",
        "/GetUserByName",
        "/deadbeef",
        "/caf%C3%A9/menu%20card",
        "/utf8/base64/sha256",
        "/internationalization-settings",
    ],
)
def test_words_and_versions_are_kept(path: str) -> None:
    assert place(f"https://b.test{path}").url == f"https://b.test{path}"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "app.localhost", "0.0.0.0"])
def test_a_port_of_this_machine_is_whatever_was_free(host: str) -> None:
    assert place(f"http://{host}:49152/x", f"http://{host}:3000") == place(f"http://{host}:5000/x", f"http://{host}:1")
    assert place(f"http://{host}:5000/x").url == f"http://{host}:*/x"


def test_a_port_elsewhere_is_part_of_the_place() -> None:
    assert place("https://b.test:8443/x") != place("https://b.test:9443/x")
    assert place("https://b.test/x", "https://a.test:8443") != place("https://b.test/x", "https://a.test:9443")


def test_another_finding_page_method_or_kind_is_another_place() -> None:
    one = entry()
    finding = one["findings"][0]
    others = [
        fingerprint(one, {**finding, "id": "allow-origin-path"}),
        fingerprint({**one, "origin": "https://c.test"}, finding),
        fingerprint({**one, "method": "POST"}, finding),
        fingerprint({**one, "kind": "preflight"}, finding),
        fingerprint({**one, "url": "https://b.test/y"}, finding),
    ]
    assert len({fingerprint(one, finding), *others}) == 6


def test_a_request_without_origin_has_a_place_too() -> None:
    one = entry()
    assert fingerprint({**one, "origin": None}, one["findings"][0]).origin == ""


# -- what is known -----------------------------------------------------------------------------------------------------


def test_what_was_written_is_known_in_the_next_run(tmp_path: Path) -> None:
    baseline = written(tmp_path / "known.json", entry("https://b.test/orders/1?token=abc"))
    assert baseline.knows(entry("https://b.test/orders/2"))
    assert not baseline.knows(entry("https://b.test/customers"))
    assert "token" not in (tmp_path / "known.json").read_text()


def test_an_exchange_is_known_only_with_all_that_is_wrong(tmp_path: Path) -> None:
    one = entry()
    baseline = written(tmp_path / "known.json", one)
    warning = {**one["findings"][0], "id": "vary-origin-missing", "severity": "warning"}
    hint = {**warning, "severity": "info"}
    assert not baseline.knows({**one, "findings": [*one["findings"], warning]})
    assert baseline.knows({**one, "findings": [*one["findings"], hint]})


def test_an_exchange_with_which_nothing_is_wrong_is_not_in_a_baseline(tmp_path: Path) -> None:
    clean = entry(response={"Access-Control-Allow-Origin": PAGE, "Vary": "Origin"})
    assert clean["verdict"] == "allowed"
    assert wrong(clean) == []
    assert not written(tmp_path / "known.json", clean).knows(clean)


# -- the file ----------------------------------------------------------------------------------------------------------


def test_the_file_reads_well_and_does_not_depend_on_the_order(tmp_path: Path) -> None:
    one, other = entry("https://b.test/a/1"), entry("https://b.test/b")
    written(tmp_path / "one.json", one, other, entry("https://b.test/a/2"))
    written(tmp_path / "other.json", other, one)
    text = (tmp_path / "one.json").read_text()
    assert text == (tmp_path / "other.json").read_text()
    first, second = (
        json.dumps(
            {"finding": "allow-origin-missing", "kind": "actual", "method": "GET", "origin": PAGE, "url": url},
        )
        for url in ("https://b.test/a/*", "https://b.test/b")
    )
    assert text.splitlines() == [
        "{",
        '  "format": "corscope baseline",',
        '  "version": 1,',
        '  "known": [',
        f"    {first},",
        f"    {second}",
        "  ]",
        "}",
    ]


def test_nothing_wrong_is_a_baseline_too(tmp_path: Path) -> None:
    assert not written(tmp_path / "known.json").knows(entry())
    assert json.loads((tmp_path / "known.json").read_text())["known"] == []


@given(url=st.text(), method=st.text(), origin=st.text())
def test_whatever_a_capture_holds_comes_back_out_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, url: str, method: str, origin: str
) -> None:
    one = {**BLOCKED, "url": url, "method": method, "origin": origin}
    assert written(tmp_path_factory.getbasetemp() / "any.json", one).knows(one)


def test_a_new_baseline_takes_the_place_of_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    written(tmp_path / "known.json", entry("https://b.test/old"))
    (tmp_path / "link.json").symlink_to("known.json")
    written(tmp_path / "link.json", entry("https://b.test/new"))
    assert Baseline.load(tmp_path / "known.json").knows(entry("https://b.test/new"))
    assert not Baseline.load(tmp_path / "known.json").knows(entry("https://b.test/old"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["known.json", "link.json"]


def test_what_cannot_be_written_is_said_in_a_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "missing" / "known.json"):
        with pytest.raises(UnusableBaseline) as raised:
            BaselineWriter(path).write()
        assert str(raised.value).startswith(f"{path}: can't be written (")
        assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


ITEM = '{"finding": "a", "kind": "b", "method": "c", "origin": "d", "url": "e"}'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read (No such file or directory)"),
        (b"", "is no JSON"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"[" * 200_000, "is no JSON"),
        (b"[]", "is no baseline"),
        (b'{"version": 1, "known": []}', "is no baseline"),
        (b'{"format": "corscope baseline", "version": 2, "known": []}', "of version 2; expected version 1"),
        (b'{"format": "corscope baseline", "known": []}', "is a baseline of version None"),
        (b'{"format": "corscope baseline", "version": 1}', "has no list “known”"),
        (b'{"format": "corscope baseline", "version": 1, "known": {}}', "has no list “known”"),
        (f'{{"format": "corscope baseline", "version": 1, "known": [{ITEM}, 7]}}'.encode(), "number 2 of “known”"),
        (b'{"format": "corscope baseline", "version": 1, "known": [{"finding": "a"}]}', "number 1 of “known”"),
        (ITEM.replace('"e"', "5").join(('{"format": "corscope baseline", "version": 1, "known": [', "]}")).encode(),
         "expected the texts finding, kind, method, origin, url"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_baseline_is_refused_in_a_line(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "known.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnusableBaseline) as raised:
        Baseline.load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
