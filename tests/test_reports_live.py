"""Reports that browsers deliver by themselves, after a preflight: Chromium without a look at the answer, Firefox with.

Firefox makes an ordinary request of them in mode "cors", and makes it again where that fails
(dom/reporting/ReportDeliver.cpp).
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
        # What is delivered later, perhaps while the browser ends, is not looked at: the first of each is the last here.
        lines = reversed(final(read_report(report)))
        return {
            (line["method"], name): line
            for line in lines
            for name in PREFLIGHTS
            if line["url"] == f"{collector(name)}/reports"
        }

    with Mitmdump("-s", str(WEB), cors_report=report) as mitmdump:
        ca_file = confdir() / "mitmproxy-ca-cert.pem"
        with launch("chromium", hurried, f"{PAGE}/", proxy_port=mitmdump.port, ca_file=ca_file, headless=True):
            eventually(lambda: len(told()) >= len(PREFLIGHTS) + 3)
            # Each was asked for, so that what did not follow by now is not to come.
            eventually(lambda: all(line["settled"] for line in told().values()))
        mitmdump.stop()

    verdicts = told()
    delivered = {name for method, name in verdicts if method == "POST"}
    assert delivered == {"anyone", "named", "heard"}
    for name in PREFLIGHTS:
        asked = verdicts["OPTIONS", name]
        assert (asked["kind"], asked["verdict"]) == ("preflight", "allowed" if name in delivered else "blocked"), name
    for name in delivered:
        sent = verdicts["POST", name]
        assert (sent["verdict"], sent["preflight"]) == ("exempt", verdicts["OPTIONS", name]["flow_id"])
        assert sent["note"] == "it is a report of the browser's own, whose answer no page reads"


def test_what_firefox_delivers_is_judged_as_a_pages_own(firefox: Path, tmp_path: Path) -> None:
    report = tmp_path / "verdicts.jsonl"

    def told(method: str, name: str) -> list[str]:
        lines = final(read_report(report))
        url = f"{collector(name)}/reports"
        return [line["verdict"] for line in lines if line["method"] == method and line["url"] == url]

    with Mitmdump("-s", str(WEB), cors_report=report) as mitmdump:
        ca_file = confdir() / "mitmproxy-ca-cert.pem"
        with launch("firefox", firefox, f"{PAGE}/", proxy_port=mitmdump.port, ca_file=ca_file, headless=True):
            # It tries a report that failed twice more.
            eventually(lambda: all(len(told("POST", name)) >= 3 for name in ("anyone", "named")))
            eventually(lambda: all(len(told("OPTIONS", name)) >= 3 for name in ("another", "type", "nothing")))
            eventually(lambda: told("POST", "heard"))
        mitmdump.stop()

    assert told("POST", "heard") == told("OPTIONS", "heard") == ["allowed"]
    for name in ("anyone", "named"):
        assert told("POST", name) == ["blocked"] * 3
        # Of the later ones it can't be told at once whether the first was still kept.
        first, *_ = asked = told("OPTIONS", name)
        assert (first, len(asked)) == ("allowed", 3)
        assert "blocked" not in asked
    for name in ("another", "type", "nothing"):
        assert (told("OPTIONS", name), told("POST", name)) == (["blocked"] * 3, [])
