"""A mitmproxy addon that serves a page whose policies report to collectors of other origins, and the collectors."""

from __future__ import annotations

from mitmproxy import http

PAGE = "https://app.reports.test"

ANYONE = {"Access-Control-Allow-Origin": "*"}
PERMITTED = {"Access-Control-Allow-Headers": "content-type"}

PREFLIGHTS = {
    "anyone": {**ANYONE, **PERMITTED},
    "named": {"Access-Control-Allow-Origin": PAGE, **PERMITTED},
    "heard": {**ANYONE, **PERMITTED},
    "another": {"Access-Control-Allow-Origin": "https://other.test", **PERMITTED},
    "type": ANYONE,
    "nothing": {},
}
"""By collector, how it answers a preflight."""
ANSWERS = {"heard": ANYONE}
"""By collector, how it answers a report; the others without any CORS header."""


def collector(name: str) -> str:
    """The origin of a collector."""
    return f"https://{name}.collector.test"


class ReportsWeb:
    """Answers for the page and for every collector."""

    def request(self, flow: http.HTTPFlow) -> None:
        request = flow.request
        name, _, domain = request.pretty_host.partition(".")
        if domain == "collector.test":
            headers = PREFLIGHTS[name] if request.method == "OPTIONS" else ANSWERS.get(name, {})
            flow.response = http.Response.make(204, b"", headers)
        elif request.pretty_host == "app.reports.test":
            policies = [f"img-src 'none'; report-to {name}" for name in PREFLIGHTS]
            flow.response = http.Response.make(
                200,
                b'<!doctype html><link rel="icon" href="data:,"><img src="/seen.png">',
                http.Headers(
                    [
                        (b"Content-Type", b"text/html"),
                        (
                            b"Reporting-Endpoints",
                            ", ".join(f'{name}="{collector(name)}/reports"' for name in PREFLIGHTS).encode(),
                        ),
                        *((b"Content-Security-Policy-Report-Only", policy.encode()) for policy in policies),
                    ]
                ),
            )


addons = [ReportsWeb()]
