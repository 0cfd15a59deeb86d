"""Reports that Chromium delivers by itself: after a preflight, and without a look at the answer.

Firefox's Reporting API is off (`dom.reporting.enabled`).
"""

from __future__ import annotations

from pathlib import Path

from corscope.browsers import launch
from proxies import Mitmdump, confdir, eventually, final, read_report
from reports_web import PAGE, PREFLIGHTS, collector

WEB = Path(__file__).parent / "reports_web.py"


def test_what_chromium_delivers_is_judged_as_it_went(chromium: Path, tmp_path: Path) -> None:
    hurried = tmp_path / "chromium"
    # Otherwise reports are on their way a minute later.
    hurried.write_text(f'#!/bin/sh\nexec "{chromium}" --short-reporting-delay "$@"\n')
    hurried.chmod(0o755)
    report = tmp_path / "verdicts.jsonl"

    def told() -> dict[tuple[str, str], dict[str, object]]:
        lines = final(read_report(report))
        return {
            (line["method"], name): line
            for line in lines
            for name in PREFLIGHTS
            if line["url"] == f"{collector(name)}/reports"
        }

    with Mitmdump("-s", str(WEB), cors_report=report) as mitmdump:
        ca_file = confdir() / "mitmproxy-ca-cert.pem"
        with launch("chromium", hurried, f"{PAGE}/", proxy_port=mitmdump.port, ca_file=ca_file, headless=True):
            eventually(lambda: len(told()) >= len(PREFLIGHTS) + 2)
            # Each was asked for, so that what did not follow by now is not to come.
            eventually(lambda: all(line["settled"] for line in told().values()))
        mitmdump.stop()

    verdicts = told()
    delivered = {name for method, name in verdicts if method == "POST"}
    assert delivered == {"anyone", "named"}
    for name in PREFLIGHTS:
        asked = verdicts["OPTIONS", name]
        assert (asked["kind"], asked["verdict"]) == ("preflight", "allowed" if name in delivered else "blocked"), name
    for name in delivered:
        sent = verdicts["POST", name]
        assert (sent["verdict"], sent["preflight"]) == ("exempt", verdicts["OPTIONS", name]["flow_id"])
        assert sent["note"] == "it is a report of the browser's own, whose answer no page reads"
