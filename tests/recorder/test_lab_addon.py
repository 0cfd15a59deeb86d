"""The lab's web as mitmproxy serves it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mitmproxy.test import taddons, tflow, tutils

from corscope.lab.answers import Served
from corscope.lab.web import request_origin, response
from corscope.recorder.lab_addon import Lab


@pytest.mark.parametrize(
    ("scheme", "host", "port", "origin"),
    [
        ("https", "app.corscope.test", 443, "https://app.corscope.test"),
        ("https", "app.corscope.test", 8443, "https://app.corscope.test:8443"),
        ("http", "LOCALHOST", 8080, "http://localhost:8080"),
        ("http", "::1", 8080, "http://[::1]:8080"),
        ("https", "bücher.corscope.test", 443, "https://xn--bcher-kva.corscope.test"),
    ],
)
def test_origins_are_serialized_as_browsers_do(scheme: str, host: str, port: int, origin: str) -> None:
    request = tutils.treq(scheme=scheme.encode(), host=host, port=port)
    assert request_origin(request) == origin


def test_http_1_gets_the_very_bytes_of_the_table() -> None:
    served = Served(status=200, headers=(("X-Padded", "  a\t "), ("X-Padded", ""), ("x-lower", "b")), content=b"c")
    made = response(served, http2=False)
    assert made.headers.fields == ((b"X-Padded", b"  a\t "), (b"X-Padded", b""), (b"x-lower", b"b"))
    assert (made.content, made.http_version) == (b"c", "HTTP/1.1")


def test_http_2_gets_what_http_2_can_carry() -> None:
    served = Served(status=204, headers=(("X-Padded", "  a\t "), ("X-Padded", "")))
    made = response(served, http2=True)
    assert made.headers.fields == ((b"x-padded", b"a"), (b"x-padded", b""))
    assert made.http_version == "HTTP/2.0"


def test_only_the_labs_hosts_are_answered() -> None:
    with taddons.context(Lab()) as context:
        (lab,) = context.master.addons.chain[-1:]
        ours, theirs = tflow.tflow(), tflow.tflow()
        ours.request.url, theirs.request.url = "https://app.corscope.test/", "https://app.example/"
        lab.request(ours)
        lab.request(theirs)
        assert ours.response is not None
        assert b"Verify this browser" in ours.response.content
        assert theirs.response is None


def test_what_the_lab_lacks_is_not_found() -> None:
    with taddons.context(Lab()) as context:
        (lab,) = context.master.addons.chain[-1:]
        flow = tflow.tflow()
        flow.request.url = "https://app.corscope.test/nothing"
        lab.request(flow)
        assert flow.response is not None
        assert flow.response.status_code == 404


def test_reports_are_kept_where_the_option_says(tmp_path: Path) -> None:
    with taddons.context(Lab()) as context:
        (lab,) = context.master.addons.chain[-1:]
        context.configure(lab, cors_lab_results=str(tmp_path / "results.jsonl"))
        for content in (b'{"run": "r", "results": [], "done": true}', b"nonsense"):
            flow = tflow.tflow(req=tutils.treq(method=b"POST", content=content))
            flow.request.url = "https://app.corscope.test/results"
            lab.request(flow)
            assert flow.response is not None
            assert flow.response.status_code == 204
        lines = (tmp_path / "results.jsonl").read_text().splitlines()
        assert [json.loads(line)["done"] for line in lines] == [True]
