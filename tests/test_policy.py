"""What of a policy may enter a configuration."""

from __future__ import annotations

import pytest

from corscope.policy import Policy, is_listable, sound


def test_plain_names_stay() -> None:
    policy = Policy(
        origins=("https://app.example", "http://localhost:3000", "http://[::1]:8080", "null"),
        credentials=True,
        methods=("GET", "patch"),
        request_headers=("content-type", "x-a_b"),
        exposed_headers=("X-Total-Count",),
        path="/v1/items",
    )
    assert sound(policy) == policy


@pytest.mark.parametrize(
    "origin", ['https://a.example"', "https://a.example/x", "https://$host", "https://a b", "*", "", "https://a;b"]
)
def test_an_origin_that_could_break_out_of_its_quotes_is_left_out(origin: str) -> None:
    assert sound(Policy(origins=(origin,), credentials=False)).origins == ()


@pytest.mark.parametrize("name", ["x'y", "$x", "x`y", "x|y", "x\ny", "%{x}", ""])
def test_a_name_with_unusual_characters_is_left_out(name: str) -> None:
    policy = Policy(
        origins=(), credentials=False, methods=(name,), request_headers=(name, "x-a"), exposed_headers=(name,)
    )
    cleaned = sound(policy)
    assert (cleaned.methods, cleaned.request_headers, cleaned.exposed_headers) == ((), ("x-a",), ())


@pytest.mark.parametrize("path", ["/a;b", "/$x", "/a b", "/{x}", '/"', "a", "", "/ü"])
def test_an_unusual_path_becomes_the_root(path: str) -> None:
    assert sound(Policy(origins=(), credentials=False, path=path)).path == "/"


@pytest.mark.parametrize("origin", ["https://www.shop.com", "http://localhost:3000", "http://[::1]:8080"])
def test_an_origin_as_browsers_send_it_can_be_listed(origin: str) -> None:
    assert is_listable(origin)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "*",
        "null",
        "www.shop.com",
        "https://www.shop.com/",
        "https://www.shop.com:443",
        "https://www.shop.com:99999",
        "https://WWW.shop.com",
        "https://*.shop.com",
        "https://user@shop.com",
        "https://a.test, https://b.test",
        "chrome-extension://abc",
    ],
)
def test_what_no_page_sends_as_its_origin_is_not_listed(value: str) -> None:
    assert not is_listable(value)
