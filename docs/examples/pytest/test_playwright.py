import os

import pytest
from playwright.sync_api import sync_playwright


@pytest.fixture
def page(cors_proxy):
    with sync_playwright() as playwright:
        # The Chromium of the system, if it is named; otherwise the one that `playwright install chromium` brought.
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM"),
            args=cors_proxy.chromium_arguments,
        )
        yield browser.new_page()
        browser.close()


def test_the_products_reach_the_page(page, cors_proxy, shop):
    page.goto(f"{shop.page}/?method=GET&url={shop.api}/products")
    page.wait_for_function("document.title == 'loaded'")
    cors_proxy.assert_no_blocks()


def test_the_cart_can_not_be_changed(page, cors_proxy, shop):
    page.goto(f"{shop.page}/?method=PUT&url={shop.api}/cart")
    verdict = cors_proxy.wait_for_verdict(lambda verdict: verdict["verdict"] == "blocked")
    assert (verdict["kind"], verdict["reason"]) == ("preflight", "method-not-allowed")
    page.wait_for_function("document.title == 'failed'")
