import os

import pytest
from selenium import webdriver
from selenium.webdriver.support.expected_conditions import title_is
from selenium.webdriver.support.wait import WebDriverWait


@pytest.fixture
def driver(cors_proxy):
    options = webdriver.ChromeOptions()
    options.binary_location = os.environ.get("CHROMIUM", "")  # empty: Selenium looks for an installed Chrome
    options.add_argument("--headless=new")
    for argument in cors_proxy.chromium_arguments:
        options.add_argument(argument)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # as root, in a container, Chromium does not start with it
    service = webdriver.ChromeService(executable_path=os.environ.get("CHROMEDRIVER"))
    with webdriver.Chrome(options=options, service=service) as driver:
        yield driver


def test_the_products_reach_the_page(driver, cors_proxy, shop):
    driver.get(f"{shop.page}/?method=GET&url={shop.api}/products")
    WebDriverWait(driver, 20).until(title_is("loaded"))
    cors_proxy.assert_no_blocks()


def test_the_cart_can_not_be_changed(driver, cors_proxy, shop):
    driver.get(f"{shop.page}/?method=PUT&url={shop.api}/cart")
    verdict = cors_proxy.wait_for_verdict(lambda verdict: verdict["verdict"] == "blocked")
    assert (verdict["kind"], verdict["reason"]) == ("preflight", "method-not-allowed")
    WebDriverWait(driver, 20).until(title_is("failed"))
