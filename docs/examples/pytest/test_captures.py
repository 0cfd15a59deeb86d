from pathlib import Path

import pytest

import corscope
from corscope.model import Exchange
from corscope.pytest_plugin import assert_no_cors_blocks

SHOP = Path(__file__).parent / "recordings" / "shop.mitm"


def test_the_products_reach_the_page(cors_replay):
    outcomes = {verdict.url: verdict.outcome for verdict in cors_replay("recordings/shop.mitm")}
    assert outcomes["http://api.example/products"] == "allowed"


def test_nothing_is_blocked_but_for_what_is_known():
    assert_no_cors_blocks(SHOP, silence=["allow-origin-missing", "method-not-allowed"], origins=["http://app.example"])


@pytest.mark.cors("recordings/*.har")
def test_no_story_of_the_browsers_own_recording_is_blocked():
    pass


@pytest.mark.cors("recordings/shop.mitm", silence=["allow-origin-missing", "method-not-allowed"])
def test_each_story_is_the_pages(cors_story):
    assert cors_story.name.endswith("from http://app.example")
    cors_story.assert_allowed()


def test_the_same_without_pytest():
    blocked = [verdict for verdict in corscope.check(SHOP) if verdict.outcome == "blocked"]
    assert [verdict.reason.id for verdict in blocked] == ["allow-origin-missing", "method-not-allowed"]


def test_one_exchange_by_itself():
    exchange = Exchange(
        id="1",
        client="somebody",
        connection=None,
        started=0,
        answered=0.2,
        method=b"GET",
        scheme="https",
        host="api.example",
        port=443,
        path="/v1",
        http_version=2,
        request_headers=((b"origin", b"https://app.example"), (b"sec-fetch-mode", b"cors")),
        status=200,
        response_headers=((b"access-control-allow-origin", b"https://app.example/"),),
    )
    assert corscope.judge(exchange).reason.id == "allow-origin-trailing-slash"
