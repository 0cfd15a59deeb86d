"""No value of a cookie, of Authorization or of a token reaches any report, wherever in a capture it hides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corscope.formats import FORMATS
from proxies import PAGE, Lines, cors_flow, write_recording
from test_cli import corscope

SECRET = "s3cr3t-Zq7"
URL = f"https://user:{SECRET}@api.example/v1?access_token={SECRET}&q=1&api_key={SECRET}&next=%2Fx%3Ftoken%3D{SECRET}"
BARE = (
    f"https://api.example/v1?access_token={SECRET}&q=1&sig={SECRET}&next=https%3A%2F%2Fa.example%2F%3Ftoken%3D{SECRET}"
)

REQUEST: Lines = [
    ("timing-allow-origin", f"https://user:{SECRET}@app.example"),
    ("cookie", f"sid={SECRET}; theme={SECRET}; {SECRET}"),
    ("authorization", f"Bearer {SECRET}"),
    ("proxy-authorization", f"Basic {SECRET}"),
    ("x-api-key", SECRET),
    ("x-csrf-token", SECRET),
    ("referer", f"{PAGE}/?token={SECRET}"),
]
RESPONSES: dict[str, tuple[int, Lines]] = {
    "wildcard": (200, [("access-control-allow-origin", "*")]),
    "cookies": (200, [("set-cookie", f"sid={SECRET}; Path=/; SameSite=None; {SECRET}"), ("set-cookie", SECRET)]),
    "folded cookies": (200, [
        ("set-cookie", f"a=1; Path=/, sid={SECRET}; Expires=Wed, 01 Jan 2031 00:00:00 GMT, b={SECRET}"),
    ]),
    "redirect": (302, [("access-control-allow-origin", "*"), ("location", URL)]),
    "login": (302, [("location", f"/login?return=1&session={SECRET}")]),
    "user": (302, [("access-control-allow-origin", PAGE), ("location", f"https://user:{SECRET}@other.example/")]),
    "url as origin": (200, [("access-control-allow-origin", f"{PAGE}/?token={SECRET}")]),
    "user as origin": (200, [("access-control-allow-origin", f"https://user:{SECRET}@app.example")]),
    "refused": (401, [("www-authenticate", f"Bearer {SECRET}"), ("x-amz-security-token", SECRET)]),
    "error": (500, [("server", "nginx"), ("x-debug-token", SECRET), ("etag", '"1"')]),
    "exposed": (200, [("access-control-allow-origin", PAGE), ("access-control-allow-credentials", "true"),
                      ("x-session-token", SECRET), ("authorization", f"Bearer {SECRET}")]),
}  # fmt: skip


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same exchanges as mitmproxy and as a browser record them."""
    folder = tmp_path_factory.mktemp("secrets")
    flows = []
    for number, (status, response) in enumerate(RESPONSES.values()):
        for method in ("GET", "OPTIONS"):
            asks = [("access-control-request-method", "PUT"), ("access-control-request-headers", "authorization")]
            request = asks if method == "OPTIONS" else REQUEST
            at = 1_795_278_746.0 + number
            flows.append(cors_flow(BARE, method=method, request=request, status=status, response=response, started=at))
    for origin in (f"https://user:{SECRET}@app.example", f"{PAGE}/?access_token={SECRET}"):
        flows += [cors_flow(BARE, method=method, origin=origin) for method in ("GET", "PUT")]
    write_recording(folder / "secrets.mitm", flows)
    (folder / "secrets.har").write_text(json.dumps(har()), encoding="utf-8")
    return [folder / "secrets.mitm", folder / "secrets.har"]


def har() -> dict[str, Any]:
    entries = []
    for number, (status, response) in enumerate(RESPONSES.values()):
        request = [("origin", PAGE), ("sec-fetch-mode", "cors"), ("sec-fetch-site", "cross-site"), *REQUEST]
        entries.append(
            {
                "startedDateTime": f"2026-11-22T10:00:{number:02}.000Z",
                "time": 5,
                "_initiator": {"type": "script", "url": f"{PAGE}/app.js?token={SECRET}"},
                "request": {
                    "method": "GET",
                    "url": URL,
                    "httpVersion": "h2",
                    "headers": [{"name": name, "value": value} for name, value in request],
                    "cookies": [{"name": "sid", "value": SECRET}],
                    "queryString": [{"name": "access_token", "value": SECRET}],
                    "postData": {"mimeType": "text/plain", "text": SECRET},
                    "headersSize": -1,
                    "bodySize": 0,
                },
                "response": {
                    "status": status,
                    "statusText": "",
                    "httpVersion": "h2",
                    "headers": [{"name": name, "value": value} for name, value in response],
                    "cookies": [{"name": "sid", "value": SECRET}],
                    "content": {"size": 3, "mimeType": "text/plain", "text": SECRET},
                    "redirectURL": URL,
                    "headersSize": -1,
                    "bodySize": 3,
                    "_error": f"net::ERR_FAILED {URL}" if number % 2 else None,
                },
                "cache": {},
                "timings": {"send": 0, "wait": 5, "receive": 0},
            }
        )
    creator = {"name": "WebInspector", "version": "537.36"}
    return {"log": {"version": "1.2", "creator": creator, "pages": [], "entries": entries}}


@pytest.mark.parametrize("form", FORMATS)
def test_no_secret_reaches_a_report(form: str, captures: list[Path], tmp_path: Path) -> None:
    for number, capture in enumerate(captures):
        done = corscope("check", capture, "--format", form, "--stack", "nginx")
        assert done.returncode == 1, done.stderr
        assert SECRET not in done.stdout + done.stderr
        # It is about these exchanges all the same.
        assert "api.example" in done.stdout
        baseline = tmp_path / f"{number}.json"
        corscope("check", capture, "--write-baseline", baseline)
        assert SECRET not in baseline.read_text()
