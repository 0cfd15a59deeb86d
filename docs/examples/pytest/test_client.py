import urllib.request

import pytest

from corscope.proxy import CorsProxy


def fetch(proxy, url, origin):
    """Ask as a page's script would: what makes it a CORS request is the Origin."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy.url, "https": proxy.url}))
    return opener.open(urllib.request.Request(url, headers={"Origin": origin}), timeout=20)


def test_the_products_may_be_read(cors_proxy, shop):
    fetch(cors_proxy, f"{shop.api}/products", origin=shop.page)
    cors_proxy.assert_no_blocks()


def test_the_cart_may_not(cors_proxy, shop):
    fetch(cors_proxy, f"{shop.api}/cart", origin=shop.page)
    [verdict] = cors_proxy.verdicts()
    assert (verdict["verdict"], verdict["reason"]) == ("blocked", "allow-origin-missing")


@pytest.mark.cors_proxy(cors_rewrite="blocked", cors_allow_origins="*")
def test_what_the_cart_should_send(cors_proxy, shop):
    answer = fetch(cors_proxy, f"{shop.api}/cart", origin=shop.page)
    assert answer.headers["Access-Control-Allow-Origin"] == shop.page
    cors_proxy.assert_no_blocks()


@pytest.fixture(scope="session")
def proxy_of_all_tests():
    with CorsProxy() as proxy:
        yield proxy


@pytest.fixture
def shared_proxy(proxy_of_all_tests):
    proxy_of_all_tests.clear()
    return proxy_of_all_tests


@pytest.mark.parametrize("path", ["/cart", "/products"])
def test_one_proxy_for_several_tests(shared_proxy, shop, path):
    fetch(shared_proxy, f"{shop.api}{path}", origin=shop.page)
    assert [verdict["url"] for verdict in shared_proxy.verdicts()] == [f"{shop.api}{path}"]
