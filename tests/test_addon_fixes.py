"""What the addon says of the fix: the smallest change, the configuration for the user's stack, and what is silenced."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from mitmproxy import contentviews, exceptions, http
from mitmproxy.contentviews import Metadata

from builders import ANY, exchange
from corscope.adapter import METADATA_KEY
from corscope.addon import CorsAddon
from proxies import API, PAGE, allowed_flow, blocked_flow, cors_flow, read_report, replay, write_recording
from test_addon import inside_mitmproxy, judged

CHANGE = [
    "Smallest change, actual answer:",
    "  - Access-Control-Allow-Origin: *",
    f"  + Access-Control-Allow-Origin: {PAGE}",
    "  + Access-Control-Allow-Credentials: true",
    "  + Vary: Origin",
]


def served_by(server: str, flow: http.HTTPFlow | None = None) -> http.HTTPFlow:
    flow = flow or blocked_flow()
    assert flow.response
    flow.response.headers["Server"] = server
    return flow


def shown(addon: CorsAddon, flow: http.HTTPFlow, *stack: str) -> list[str]:
    return [line for (line,) in addon.fix([flow], *stack)]


def test_the_fix_ends_in_the_configuration_that_was_guessed() -> None:
    with inside_mitmproxy() as (addon, _):
        lines = shown(addon, judged(served_by("nginx/1.22.1"), addon))
    assert lines[: len(CHANGE)] == CHANGE
    start = lines.index("Configuration for nginx (guessed from Server: nginx/1.22.1), in nginx.conf:")
    assert lines[start + 1 : start + 3] == [
        "It allows what this traffic shows: add what else your pages use.",
        "",
    ]
    assert f'    "{PAGE}" "{PAGE}";' in lines


def test_the_configuration_lets_in_whom_the_answer_let_in() -> None:
    other = cors_flow(
        f"{API}/x", response=[("server", "nginx"), ("access-control-allow-origin", "https://shop.example")]
    )
    with inside_mitmproxy() as (addon, _):
        lines = shown(addon, judged(other, addon))
    for origin in (PAGE, "https://shop.example"):
        assert f'    "{origin}" "{origin}";' in lines


def test_null_gets_neither_change_nor_configuration() -> None:
    flow = cors_flow(f"{API}/x", origin="null", response=[("server", "nginx")], request=[("cookie", "a=1")])
    with inside_mitmproxy() as (addon, _):
        assert addon.fix([judged(flow, addon)], "nginx") == [["nothing to mend, or no header mends it", flow.id]]


def test_the_option_goes_before_the_guess_and_the_command_before_both() -> None:
    with inside_mitmproxy() as (addon, options):
        options.update(cors_stack="express")
        flow = judged(served_by("nginx/1.22.1"), addon)
        chosen, named = shown(addon, flow), shown(addon, flow, "django")
    assert "Configuration for Express (chosen by name), in app.js:" in chosen
    assert "Configuration for Django, in settings.py:" in named
    assert flow.metadata[METADATA_KEY]["fix"]["stack"]["id"] == "express"
    assert "Configuration for Express (chosen by name): in this flow's CORS view" in flow.comment


def test_without_a_guess_the_command_says_what_may_be_named() -> None:
    with inside_mitmproxy() as (addon, _):
        lines = shown(addon, judged(blocked_flow(), addon))
    assert lines[: len(CHANGE)] == CHANGE
    assert lines[-1].startswith("For a configuration name the server software: nginx, apache, ")


def test_the_view_shows_the_configuration_unbroken() -> None:
    with inside_mitmproxy() as (addon, _):
        flow = judged(served_by("Caddy"), addon)
        text = contentviews.registry["cors"].prettify(b"", Metadata(flow=flow))
        configuration = shown(addon, flow)[len(CHANGE) + 1 :]
    assert configuration[0].startswith("Configuration for Caddy")
    assert text.endswith("\n".join(configuration))


def test_nothing_to_mend_is_said_to_be_so() -> None:
    away = cors_flow(
        f"{API}/away",
        status=302,
        response=[("access-control-allow-origin", PAGE), ("location", "https://user@other.example/")],
    )
    with inside_mitmproxy() as (addon, _):
        for flow in (allowed_flow(), away):
            assert addon.fix([judged(flow, addon)]) == [["nothing to mend, or no header mends it", flow.id]]


def test_an_unknown_stack_is_refused_and_the_old_value_stays() -> None:
    with inside_mitmproxy() as (addon, options):
        options.update(cors_stack="nginx")
        with pytest.raises(
            exceptions.OptionsError, match=r"cors_stack takes nginx, .*not 'ngnix' \(did you mean nginx"
        ):
            options.update(cors_stack="ngnix")
        assert options.cors_stack == "nginx"
        with pytest.raises(exceptions.CommandError, match=r"cors\.fix takes .*, not 'expres' \(did you mean express"):
            addon.fix([judged(blocked_flow(), addon)], "expres")


def test_hostile_names_do_not_reach_a_configuration() -> None:
    asks = [("access-control-request-method", "PUT"), ("access-control-request-headers", 'x-$(id),x-"a,x-good')]
    flow = cors_flow(f"{API}/x", method="OPTIONS", request=asks, response=[("server", "nginx")])
    with inside_mitmproxy() as (addon, _):
        lines = shown(addon, judged(flow, addon), "nginx")
    start = lines.index("Configuration for nginx (guessed from server: nginx), in nginx.conf:")
    assert "x-good" in "\n".join(lines[:start])
    assert "x-good" in "\n".join(lines[start:])
    assert "$(id)" not in "\n".join(lines)


# ---------------------------------------------------------------------- silence


def test_a_silenced_hint_is_nowhere_and_the_rest_stays(tmp_path: Path) -> None:
    recording, report = tmp_path / "recording.mitm", tmp_path / "report.jsonl"
    write_recording(recording, [served_by("cloudflare", cors_flow(f"{API}/down", status=502))])
    done = replay(recording, cors_report=report, cors_silence="answered-by-intermediary,error-page-without-cors")
    assert done.returncode == 0, done.stdout
    (line,) = read_report(report)
    assert [one["id"] for one in line["findings"]] == ["allow-origin-missing"]
    assert line["verdict"] == "blocked"
    assert "no Allow-Origin — CORS blocked" in done.stdout


def test_a_silenced_fault_leaves_the_verdict_and_no_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with inside_mitmproxy() as (addon, options):
        options.update(cors_silence=["allow-origin-wildcard-with-credentials"])
        flow = judged(blocked_flow(live=True), addon)
        said = json.dumps(flow.metadata[METADATA_KEY])
        # Another browser's rules, and it is silent still.
        options.update(cors_browser="firefox")
        other = judged(blocked_flow(live=True), addon)
        # Nor of one that is settled when its flow is gone.
        addon.tell(addon.session.judge(exchange("GET https://b.test/x", headers={"Cookie": "a=1"}, response=ANY)))
    assert flow.metadata[METADATA_KEY]["verdict"] == other.metadata[METADATA_KEY]["verdict"] == "blocked"
    assert flow.metadata[METADATA_KEY]["devtools_error"] == "WildcardOriginNotAllowed"
    assert "docs/findings.md#allow-origin-wildcard-with-credentials" not in said
    assert flow.comment.startswith("* with credentials — CORS blocked")
    assert not caplog.records


def test_a_finding_that_is_not_there_is_refused_and_the_old_ones_stay() -> None:
    with inside_mitmproxy() as (addon, options):
        options.update(cors_silence=["max-age-above-cap"])
        with pytest.raises(
            exceptions.OptionsError, match=r"no finding 'allow-origin-mising' \(did you mean allow-origin-"
        ):
            options.update(cors_silence=["allow-origin-mising"])
        assert addon.session.silence == {"max-age-above-cap"}


# ---------------------------------------------------------------------- what is no CORS


def test_an_image_that_another_policy_blocks_is_told_of() -> None:
    flow = cors_flow(
        f"{API}/logo.png",
        response=[("cross-origin-resource-policy", "same-origin"), ("content-type", "image/png")],
    )
    del flow.request.headers["origin"]
    flow.request.headers.update(
        {"sec-fetch-mode": "no-cors", "sec-fetch-site": "cross-site", "sec-fetch-dest": "image"}
    )
    with inside_mitmproxy() as (addon, _):
        judged(allowed_flow(), addon)
        judged(flow, addon)
    assert flow.comment.startswith("blocked by CORP, not CORS — CORS exempt")
    assert "Send: Cross-Origin-Resource-Policy: cross-origin" in flow.comment
    assert flow.metadata[METADATA_KEY]["verdict"] == "exempt"


def test_a_rewritten_flow_still_says_what_the_server_has_to_change() -> None:
    with inside_mitmproxy() as (addon, options):
        options.update(cors_rewrite="blocked", cors_allow_origins=[PAGE])
        flow = judged(served_by("nginx/1.22.1", blocked_flow(live=True)), addon)
        lines = shown(addon, flow)
    assert flow.metadata[METADATA_KEY]["verdict"] == "allowed"
    assert lines[: len(CHANGE)] == CHANGE
    assert "Configuration for nginx (guessed from Server: nginx/1.22.1), in nginx.conf:" in lines
    assert "Configuration for nginx (guessed from Server: nginx/1.22.1): in this flow's CORS view" in flow.comment
    assert "Smallest change" not in flow.comment, "the edits say it"
