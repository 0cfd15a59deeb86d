"""A little shop that mitmproxy serves for scripts/picture: a page, its API and a payment service, with CORS faults.

`mitmweb -s` loads this file by itself. All names are reserved, and nothing is ever connected to; mitmproxy must not
connect before it has a request (`connection_strategy=lazy`).
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Final

from mitmproxy import http

HOME: Final = "https://app.shop.test/"
APP: Final = "https://app.shop.test"
API: Final = "https://api.shop.test"
PAY: Final = "https://pay.other.test"

PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">
<title>Shop</title><h1>Shop</h1><script>
const json = {"Content-Type": "application/json"};
const visit = async (url, options) => { try { await (await fetch(url, options)).text(); } catch { /* as it goes */ } };
const show = (url) => new Promise((shown) => {
  const image = new Image();
  image.onload = image.onerror = shown;
  image.src = url;
  document.body.append(image);
});
(async () => {
  await visit("API/api/products");
  await show("API/images/teapot.png");
  await visit("API/api/session", {credentials: "include"});
  await visit("API/api/cart/items", {
    method: "POST", credentials: "include", headers: json, body: JSON.stringify({product: 7}),
  });
  await visit("API/api/cart", {credentials: "include"});
  await visit("API/api/orders", {credentials: "include"});
  await visit("API/api/cart/items/7", {method: "PUT", headers: json, body: JSON.stringify({quantity: 2})});
  await visit("API/api/search?q=teapot");
  await visit("API/api/stock/7");
  await visit("PAY/v1/rates?to=EUR");
  await visit("PAY/v1/payments", {method: "POST", headers: json, body: JSON.stringify({order: 1042})});
  document.title = "Shop: all is tried";
})();
</script></html>"""

TEAPOT: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)

PRODUCTS: Final = [
    {"id": number, "name": name, "price": price, "currency": "EUR", "image": f"/images/{name}.png"}
    for number, (name, price) in enumerate(
        [("kettle", 34.0), ("mug", 7.5), ("saucer", 4.0), ("spoon", 2.5), ("strainer", 6.0), ("teapot", 29.0)], start=2
    )
]
CART: Final = {"items": [{"product": 7, "name": "teapot", "quantity": 1, "price": 29.0}], "total": 29.0}
ORDERS: Final = [{"id": 1042, "total": 29.0, "state": "paid"}, {"id": 1037, "total": 11.5, "state": "delivered"}]

JSON: Final = (("content-type", "application/json"),)
ANYONE: Final = (("access-control-allow-origin", "*"),)
PAGE_ONLY: Final = (("access-control-allow-origin", APP), ("vary", "origin"))
WITH_CREDENTIALS: Final = (*PAGE_ONLY, ("access-control-allow-credentials", "true"))
PREFLIGHT: Final = (
    ("access-control-allow-methods", "GET, POST, DELETE"),
    ("access-control-allow-headers", "content-type"),
)
COOKIE: Final = (("set-cookie", "sid=f3b1c8; Path=/; Secure; HttpOnly; SameSite=Lax"),)

type Answer = tuple[int, int, tuple[tuple[str, str], ...], object]
"""Milliseconds that it takes, the status, the headers, and the body: text, bytes, or what becomes JSON."""

ANSWERS: Final[dict[tuple[str, str], Answer]] = {
    ("GET", HOME): (38, 200, (("content-type", "text/html"),), PAGE.replace("API", API).replace("PAY", PAY)),
    ("GET", f"{API}/api/products"): (71, 200, (*JSON, *ANYONE), PRODUCTS),
    ("GET", f"{API}/images/teapot.png"): (24, 200, (("content-type", "image/png"),), TEAPOT),
    ("GET", f"{API}/api/session"): (96, 200, (*JSON, *WITH_CREDENTIALS, *COOKIE), {"user": "ada", "currency": "EUR"}),
    ("OPTIONS", f"{API}/api/cart/items"): (12, 204, (*WITH_CREDENTIALS, *PREFLIGHT), ""),
    ("POST", f"{API}/api/cart/items"): (43, 201, (*JSON, *WITH_CREDENTIALS), CART),
    ("GET", f"{API}/api/cart"): (57, 200, (*JSON, *ANYONE), CART),
    ("GET", f"{API}/api/orders"): (84, 200, (*JSON, *PAGE_ONLY), ORDERS),
    ("OPTIONS", f"{API}/api/cart/items/7"): (11, 204, (*PAGE_ONLY, *PREFLIGHT), ""),
    ("GET", f"{API}/api/search?q=teapot"): (9, 308, (*ANYONE, ("location", "/api/search/?q=teapot")), ""),
    ("GET", f"{API}/api/search/?q=teapot"): (63, 200, (*JSON, *ANYONE), PRODUCTS[-1:]),
    ("GET", f"{API}/api/stock/7"): (213, 500, JSON, {"error": "database is locked"}),
    ("GET", f"{PAY}/v1/rates?to=EUR"): (48, 200, JSON, {"USD": 1.16, "GBP": 0.87, "CHF": 0.93}),
    ("OPTIONS", f"{PAY}/v1/payments"): (31, 405, (*ANYONE, *JSON, ("allow", "POST")), {"error": "method not allowed"}),
}
"""What the shop says, by method and URL. The page asks for each exactly once, so that as many flows are to be seen."""


class Shop:
    """Answers for the shop; other hosts, such as those that the browser itself asks, get no connection."""

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Refuses a tunnel to a host that is not the shop's, unless somebody takes it already."""
        if flow.response is None and not any(url.startswith(f"https://{flow.request.host}/") for _, url in ANSWERS):
            flow.response = http.Response.make(502)

    async def request(self, flow: http.HTTPFlow) -> None:
        """Answers, after as much time as a server would take, what has no answer yet."""
        if flow.response is not None:
            return
        found = ANSWERS.get((flow.request.method, flow.request.url))
        if found is None:
            flow.kill()
            return
        milliseconds, status, headers, said = found
        await asyncio.sleep(milliseconds / 1000)
        body = said if isinstance(said, str | bytes) else json.dumps(said, indent=2)
        flow.response = http.Response.make(status, body, headers=[(k.encode(), v.encode()) for k, v in headers])
        flow.response.http_version = flow.request.http_version


addons = [Shop()]
