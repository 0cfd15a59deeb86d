"""A mitmproxy addon for the tests that is a web of several sites, which set cookies in every way and ask for them.

Each page makes its credentialed requests one after another, then goes to the next page. Only the proxy sees them.
"""

from __future__ import annotations

import itertools
import json
import logging
from typing import NamedTuple

from mitmproxy import http

# $NAME is the cookie's own, $HOST the host that sets it, $SITE the host's registrable domain.
SAME_SITE = ("", "; SameSite=Lax", "; SameSite=Strict", "; SameSite=None")
COOKIES = (
    *(f"$NAME=1; Path=/{first}{second}" for first, second in itertools.product(SAME_SITE, ("", "; Secure"))),
    *(f"$NAME=1; Path=/{first}; Secure; Partitioned" for first in SAME_SITE),
    "$NAME=1; Path=/; SameSite=None; Partitioned",
    "$NAME=1; Path=/; Partitioned",
    "$NAME=1; Path=/; SameSite=Sometimes; Secure",
    "$NAME=1; Path=/; SameSite=Strict; SameSite=None; Secure",
    # Paths
    "$NAME=1",
    "$NAME=1; SameSite=None; Secure",
    "$NAME=1; Path=/p",
    "$NAME=1; Path=/p/; SameSite=None; Secure",
    "$NAME=1; Path=/p/q; SameSite=None; Secure; Partitioned",
    "$NAME=1; Path=p; SameSite=None; Secure; Partitioned",
    # Domains
    "$NAME=1; Path=/; Domain=$SITE",
    "$NAME=1; Path=/; Domain=.$SITE; SameSite=None; Secure",
    "$NAME=1; Path=/; Domain=$SITE; SameSite=None; Secure; Partitioned",
    "$NAME=1; Path=/; Domain=$HOST; SameSite=None; Secure; Partitioned",
    "$NAME=1; Path=/; Domain=deep.$HOST; Secure",
    "$NAME=1; Path=/; Domain=other.test; Secure",
    "$NAME=1; Path=/; Domain=test; Secure",
    "$NAME=1; Path=/; Domain=; Secure",
    # Prefixes
    "__Host-$NAME=1; Path=/; Secure",
    "__Host-$NAME=1; Path=/; SameSite=None; Secure; Partitioned",
    "__Host-$NAME=1; Path=/",
    "__Host-$NAME=1; Path=/p; Secure",
    "__Host-$NAME=1; Secure",
    "__hOST-$NAME=1; Path=/; Secure; Domain=$HOST",
    "__Secure-$NAME=1; Path=/; Secure; SameSite=None",
    "__secure-$NAME=1; Path=/",
    "__Http-$NAME=1; Path=/; Secure",
    "__Http-$NAME=1; Path=/; Secure; HttpOnly",
    "__Host-Http-$NAME=1; Path=/; Secure; HttpOnly; SameSite=None",
    "__Host-Http-$NAME=1; Path=/; Secure",
    # Lives
    "$NAME=1; Path=/; Secure; SameSite=None; Partitioned; Max-Age=0",
    "$NAME=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    "$NAME=1; Path=/; Expires=Wed, 31-Dec-98 23:59:59 GMT",
    "$NAME=1; Path=/; Secure; SameSite=None; Partitioned; Expires=Fri, 31 Dec 2038 23:59:59 GMT",
    "$NAME=1; Path=/; Secure; SameSite=None; Max-Age=600; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    "$NAME=1; Path=/; Max-Age=1",
    "$NAME=1; Path=/; Max-Age=soon",
    "$NAME=1; Path=/; Expires=soon",
    # In each place the same name
    "over=1; Path=/; Secure",
    "over=1; Path=/",
    "under=1; Path=/",
    "under=1; Path=/; SameSite=None; Secure",
    "both=1; Path=/; SameSite=None; Secure",
    "both=1; Path=/; SameSite=None; Secure; Partitioned",
)
"""What is set at once in each place, each by a name of its own."""

REMOVED = (
    "$NAME-gone=1; Path=/; Secure; SameSite=None",
    "$NAME-gone=; Path=/; Max-Age=0",
    "$NAME-stays=1; Path=/; Secure; SameSite=None",
    "$NAME-stays=; Path=/p; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
)
"""What is removed by the line after it, and what is not."""


class Page(NamedTuple):
    """A page: what its own response sets, and the requests that it makes."""

    origin: str
    sets: str = ""
    """How the cookies are called that its response sets; none without a name."""
    asks: tuple[str, ...] = ()
    frame: str = ""
    """The origin of a frame that makes the requests in its place."""
    sandboxed: bool = False
    """Whether that frame has no origin of its own."""
    worker: bool = False
    """Whether a worker makes the requests in its place."""


def looks(*origins: str) -> tuple[str, ...]:
    """URLs on which cookies of various paths are due."""
    return tuple(f"{origin}{path}" for origin in origins for path in ("/", "/p/q?x=/", "/pq", "/set", "/page/"))


SECURE = looks("https://a.test", "https://api.a.test", "https://b.test", "https://x.b.test")
PLAIN = looks("http://a.test", "http://api.a.test", "http://b.test", "http://x.b.test")
LOOPBACK = looks("http://localhost:3000", "http://localhost:4000", "http://127.0.0.1:3000")

PAGES = (
    Page(origin="https://api.a.test", sets="api-visit"),
    Page(origin="https://b.test", sets="b-visit"),
    Page(origin="https://a.test", asks=("https://api.a.test/set/api-near", "https://b.test/set/b-far")),
    Page(origin="http://api.a.test", sets="api-plain-visit"),
    Page(origin="http://b.test", sets="b-plain-visit"),
    Page(
        origin="http://a.test",
        asks=(
            "http://api.a.test/set/api-plain-near",
            "http://b.test/set/b-plain-far",
            "https://api.a.test/set/api-upwards",
            "https://b.test/set/b-upwards",
            *SECURE,
            *PLAIN,
        ),
    ),
    Page(
        origin="http://localhost:3000",
        sets="local-visit",
        asks=("http://localhost:4000/set/local-near", "http://127.0.0.1:3000/set/local-far", *LOOPBACK),
    ),
    Page(origin="http://127.0.0.1:3000", sets="address-visit", asks=LOOPBACK),
    Page(origin="https://a.test", asks=SECURE),
    Page(origin="https://b.test", asks=SECURE),
    Page(origin="https://c.test", asks=SECURE),
    Page(origin="https://a.test", asks=("https://b.test/back", "https://api.a.test/back", "https://b.test/on")),
    Page(origin="https://c.test", frame="https://b.test", asks=("https://b.test/set/framed", *SECURE)),
    Page(origin="https://a.test", frame="https://b.test", asks=SECURE),
    Page(origin="https://c.test", asks=SECURE),
    Page(origin="https://c.test", frame="https://b.test", sandboxed=True, asks=("https://b.test/set/boxed", *SECURE)),
    Page(origin="https://a.test", frame="https://api.a.test", sandboxed=True, asks=SECURE),
    Page(origin="http://a.test", frame="http://api.a.test", sandboxed=True, asks=PLAIN),
    Page(origin="http://b.test", frame="http://a.test", asks=PLAIN),
    Page(origin="https://a.test", worker=True, asks=("https://b.test/set/b-worker", *SECURE)),
    Page(origin="https://b.test", worker=True, asks=SECURE),
)
BACK = {"/back": "https://a.test/", "/on": "https://c.test/"}
"""Where paths redirect to."""

HTML = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>cookies</title><script>
const {asks, frame, sandboxed, worker, next} = TABLE;
const ask = async (urls) => {
  for (const url of urls) await fetch(url, {credentials: "include", cache: "no-store"}).catch(() => 0);
};
(async () => {
  if (frame) {
    const element = document.createElement("iframe");
    if (sandboxed) element.sandbox = "allow-scripts";
    element.src = frame;
    const done = new Promise((resolve) => addEventListener("message", resolve));
    document.documentElement.append(element);
    await done;
  }
  if (worker) {
    const source = `const ask = ${ask}; ask(${JSON.stringify(asks)}).then(() => postMessage("done"));`;
    const one = new Worker(URL.createObjectURL(new Blob([source])));
    await new Promise((resolve) => (one.onmessage = resolve));
  } else await ask(asks);
  // What lives for a second is not to die between two requests of one page.
  await new Promise((resolve) => setTimeout(resolve, 150));
  if (parent !== window) parent.postMessage("done", "*");
  else if (next) location.href = next;
  else await fetch("/done");
})();
</script>"""


def page(number: int, *, framed: bool = False) -> str:
    """The document of a page, or of the frame in it."""
    one = PAGES[number]
    table = {
        "asks": one.asks if framed or not one.frame else (),
        "sandboxed": one.sandboxed,
        "worker": one.worker,
        "frame": f"{one.frame}/frame/{number}" if one.frame and not framed else "",
        "next": f"{PAGES[number + 1].origin}/page/{number + 1}" if number + 1 < len(PAGES) else "",
    }
    return HTML.replace("TABLE", json.dumps(table))


def set_cookie_lines(label: str, scheme: str, host: str) -> list[str]:
    """The Set-Cookie lines of one place."""
    site = host if host.replace(".", "").isdigit() else ".".join(host.split(".")[-2:])
    made = [line.replace("$NAME", f"{label}-{number}") for number, line in enumerate(COOKIES)]
    made += [line.replace("$NAME", label) for line in REMOVED]
    # What https sets with Secure, plain http tries to replace.
    made.append("secured=1; Path=/; Secure" if scheme == "https" else "secured=2; Path=/")
    return [line.replace("$HOST", host).replace("$SITE", site) for line in made]


class CookieWeb:
    """Answers every request by itself, so that no test needs a network."""

    def request(self, flow: http.HTTPFlow) -> None:
        what, _, rest = flow.request.path[1:].partition("/")
        headers = [("Cache-Control", "no-store")]
        if origin := flow.request.headers.get("origin"):
            headers += [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true")]
        status, body = 200, ""
        label = rest if what == "set" else ""
        if what in ("page", "frame") and rest:
            headers.append(("Content-Type", "text/html"))
            body = page(int(rest), framed=what == "frame")
            label = PAGES[int(rest)].sets
        elif BACK.get(flow.request.path):
            status = 307
            headers.append(("Location", BACK[flow.request.path]))
        elif what == "done":
            logging.info("the last page is done")
        if label:
            headers += [
                ("Set-Cookie", line) for line in set_cookie_lines(label, flow.request.scheme, flow.request.pretty_host)
            ]
        fields = http.Headers([(name.lower().encode(), value.encode()) for name, value in headers])
        flow.response = http.Response.make(status, body, fields)


addons = [CookieWeb()]
