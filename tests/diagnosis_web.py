"""A mitmproxy addon for the tests: a web whose pages log in at APIs, and ask them in ways that go wrong.

Each page makes its requests one after another, then goes to the next page. Each request is known by its query.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from mitmproxy import http

from corscope.lab.answers import IMAGE

PAGE, OTHER_PAGE, NEAR, BASIC = "https://a.test", "https://c.test", "https://api.a.test", "https://basic.a.test"
FAR = "https://api.far.test"


class Ask(NamedTuple):
    """A request of a page, and how it is answered."""

    name: str
    at: str
    """Where it goes."""
    via: str = "fetch"
    opted_in: bool = True
    """Whether the client asks for credentials to be sent along."""
    sets: tuple[str, ...] = ()
    """Set-Cookie lines of the answer."""
    method: str = "GET"
    authorization: str = ""
    """What the script sets."""
    allowed: bool = True
    """Whether the actual answer has CORS headers."""
    max_age: int = 0
    """How long the preflight's answer may be kept, in seconds. Firefox keeps it only if what follows is allowed, so the
    first actual answer then is."""
    status: int = 200


class Page(NamedTuple):
    """A page, and what its own answer sets."""

    origin: str
    asks: tuple[Ask, ...] = ()
    sets: tuple[str, ...] = ()
    waits: float = 0
    """Seconds before its requests."""
    logs_in: bool = False
    """Whether its user answers a challenge for a name and a password."""


def host_of(name: str) -> str:
    """The host of a cookie that has a site of its own."""
    return f"https://api.{name.lower().strip('_').replace('_', '-')}.test"


VISITED = {
    "default": "default=1; Path=/; Secure",
    "lax": "lax=1; Path=/; Secure; SameSite=Lax",
    "strict": "strict=1; Path=/; Secure; SameSite=Strict",
    "none": "none=1; Path=/; Secure; SameSite=None",
    "bare": "bare=1; Path=/; SameSite=None",
    "path": "path=1; Path=/elsewhere; Secure; SameSite=None",
    "pathless": "pathless=1; Secure; SameSite=None",
    "domain": "domain=1; Path=/; Domain=other.test; Secure; SameSite=None",
    "__Host-prefix": "__Host-prefix=1; Secure; SameSite=None",
    "__Secure-prefix": "__Secure-prefix=1; Path=/",
    "expired": "expired=1; Path=/; Max-Age=1; Secure; SameSite=None",
    "partitioned": "partitioned=1; Path=/; Secure; SameSite=None; Partitioned",
    "loose": "loose=1; Path=/; Partitioned",
}
"""Cookies that their own site sets when it is visited, by name."""

FETCHED = {
    "f-default": "f-default=1; Path=/; Secure",
    "f-lax": "f-lax=1; Path=/; Secure; SameSite=Lax",
    "f-strict": "f-strict=1; Path=/; Secure; SameSite=Strict",
    "f-none": "f-none=1; Path=/; Secure; SameSite=None",
    "f-bare": "f-bare=1; Path=/; SameSite=None",
    "f-domain": "f-domain=1; Path=/; Domain=other.test; Secure; SameSite=None",
    "__Host-f": "__Host-f=1; Secure; SameSite=None",
    "f-partitioned": "f-partitioned=1; Path=/; Secure; SameSite=None; Partitioned",
}
"""Cookies that a credentialed request of another site's page sets, by name."""

MANY = (
    "m-none=1; Path=/; Secure; SameSite=None",
    "m-partitioned=1; Path=/; Secure; SameSite=None; Partitioned",
    "m-default=1; Path=/; Secure",
    "m-lax=1; Path=/; Secure; SameSite=Lax",
    "m-strict=1; Path=/; Secure; SameSite=Strict",
    "m-path=1; Path=/elsewhere; Secure; SameSite=None",
    "m-gone=1; Path=/; Secure; SameSite=None",
    "m-gone=; Path=/; Max-Age=0; Secure; SameSite=None",
)
"""Cookies of one host, set when it is visited."""

INITIATORS = ("fetch", "xhr", "events", "img", "script")


def opting(where: str, at: str) -> tuple[Ask, ...]:
    """What asks without credentials, then with them, in every way."""
    return tuple(
        Ask(f"{where}-{via}-{'with' if opted_in else 'without'}", at, via=via, opted_in=opted_in)
        for opted_in in (False, True)
        for via in INITIATORS
    )


def ignoring(where: str, at: str) -> tuple[Ask, ...]:
    """What gets a cookie although it was sent without credentials, and what then might send it."""
    line = f"ignored-{where}=1; Path=/; Secure; SameSite=None"
    return (
        Ask(f"{where}-ignored", at, opted_in=False, sets=(line,)),
        Ask(f"{where}-ignored-after", at),
        Ask(f"{where}-taken", at, sets=(line.replace("ignored", "taken"),)),
        Ask(f"{where}-taken-after", at),
        Ask(f"{where}-wanted", at, opted_in=False, status=401),
    )


def logging_in(where: str, at: str) -> tuple[Ask, ...]:
    """What a script's login sets, and what then misses it unless both of them were sent with credentials."""
    return tuple(
        ask
        for login in (False, True)
        for opted_in in (False, True)
        for name in (f"{where}-{login:d}{opted_in:d}",)
        for ask in (
            Ask(
                f"{name}-login",
                f"https://{name}.{at}",
                opted_in=login,
                sets=(f"{name}=1; Path=/; Secure",),
                method="POST",
            ),
            Ask(f"{name}-me", f"https://{name}.{at}", opted_in=opted_in, status=401),
        )
    )


PLAIN = ("secured=1; Path=/; Secure", "over=1; Path=/; Secure")
BY_PLAIN = ("over=2; Path=/", "p-secure=1; Path=/; Secure", "p-bare=1; Path=/; SameSite=None", "plain=1; Path=/")

AUTHORIZATIONS = (
    Ask("basic-blocked", BASIC, method="PUT", allowed=False),
    Ask("basic", BASIC, method="PUT"),
    Ask("bearer-blocked", BASIC, opted_in=False, authorization="Bearer t", allowed=False),
    # The second one of these goes without a preflight.
    *2 * (Ask("bearer", BASIC, opted_in=False, authorization="Bearer t", allowed=False, max_age=60),),
    Ask("own-basic-blocked", BASIC, opted_in=False, authorization="Basic dTp3", allowed=False),
    Ask("basic-simple-blocked", BASIC, allowed=False),
)

PAGES = (
    Page(NEAR, sets=("near=1; Path=/; Secure",)),
    Page(FAR, sets=("far=1; Path=/; Secure; SameSite=None",)),
    *(Page(host_of(name), sets=(line,)) for name, line in VISITED.items()),
    Page("https://www.hosted.test", sets=("hosted=1; Path=/; Secure; SameSite=None",)),
    Page("https://api.many.test", sets=MANY),
    Page("https://api.plain.test", sets=PLAIN),
    Page("http://api.plain.test", sets=BY_PLAIN),
    Page(
        PAGE,
        waits=2.5,
        asks=(
            *opting("near", NEAR),
            *opting("far", FAR),
            *ignoring("near", NEAR),
            *ignoring("far", FAR),
            *logging_in("session", "a.test"),
            *(Ask(name, host_of(name)) for name in VISITED),
            Ask("hosted", "https://api.hosted.test"),
            Ask("many", "https://api.many.test"),
            *(Ask(f"{name}-login", host_of(name), sets=(line,)) for name, line in FETCHED.items()),
            *(Ask(name, host_of(name)) for name in FETCHED),
        ),
    ),
    Page(OTHER_PAGE, asks=tuple(Ask(f"{name}-elsewhere", host_of(name)) for name in FETCHED)),
    Page("http://plain.test", asks=(Ask("plain", "http://api.plain.test"),)),
    Page(BASIC, logs_in=True, sets=("beside=1; Path=/; Secure",)),
    Page(PAGE, asks=AUTHORIZATIONS),
    # What these visits send is what the browser holds.
    *(Page(host_of(name)) for name in (*VISITED, *FETCHED)),
    Page(NEAR),
    Page(FAR, asks=(Ask("done", PAGE),)),
)
ASKS = {ask.name: ask for page in PAGES for ask in page.asks}

HTML = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>diagnosis</title><script>
const {asks, waits, logsIn, next} = TABLE;
const ended = (one) => new Promise((resolve) => (one.onload = one.onerror = one.onmessage = one.onloadend = resolve));
const element = (tag, {url, optedIn}) => {
  const made = document.createElement(tag);
  made.crossOrigin = optedIn ? "use-credentials" : "anonymous";
  made.src = url;
  document.head.append(made);
  return ended(made);
};
const perform = {
  fetch: ({url, optedIn, method, authorization}) => fetch(url, {
    method,
    ...(optedIn ? {credentials: "include"} : {}),
    ...(authorization ? {headers: {authorization}} : {}),
  }).catch(() => 0),
  xhr: ({url, optedIn}) => {
    const request = new XMLHttpRequest();
    request.open("GET", url);
    request.withCredentials = optedIn;
    request.send();
    return ended(request);
  },
  events: async ({url, optedIn}) => {
    const source = new EventSource(url, {withCredentials: optedIn});
    await ended(source);
    source.close();
  },
  img: (ask) => element("img", ask),
  script: (ask) => element("script", ask),
};
(async () => {
  if (logsIn) {
    const request = new XMLHttpRequest();
    request.open("GET", "/challenge", true, "user", "word");
    request.send();
    await ended(request);
  }
  await new Promise((resolve) => setTimeout(resolve, 1000 * waits));
  for (const ask of asks) await perform[ask.via](ask);
  if (next) location.href = next;
})();
</script>"""

BODIES = {
    "events": ("text/event-stream", b"data: here\n\n"),
    "img": ("image/png", IMAGE),
    "script": ("text/javascript", b"void 0;"),
}


def document(number: int) -> bytes:
    """The document of a page."""
    page = PAGES[number]
    asks = [
        {
            "url": f"{ask.at}/ask?{ask.name}",
            "via": ask.via,
            "optedIn": ask.opted_in,
            "method": ask.method,
            "authorization": ask.authorization,
        }
        for ask in page.asks
    ]
    following = f"{PAGES[number + 1].origin}/page/{number + 1}" if number + 1 < len(PAGES) else ""
    table = {"asks": asks, "waits": page.waits, "logsIn": page.logs_in, "next": following}
    return HTML.replace("TABLE", json.dumps(table)).encode()


class DiagnosisWeb:
    """Answers every request by itself, so that no test needs a network."""

    def __init__(self) -> None:
        self._answered = set[str]()
        """The names of requests that got an actual answer."""

    def request(self, flow: http.HTTPFlow) -> None:
        path, _, query = flow.request.path.partition("?")
        status, body = 200, b"here"
        headers = [("Cache-Control", "no-store")]
        if path == "/ask" and query in ASKS:
            ask = ASKS[query]
            kind, body = BODIES.get(ask.via, ("text/plain", body))
            preflight = flow.request.method == "OPTIONS"
            if ask.allowed or preflight or (ask.max_age and query not in self._answered):
                headers += [
                    ("Access-Control-Allow-Origin", flow.request.headers.get("origin", "")),
                    ("Access-Control-Allow-Credentials", "true"),
                    ("Vary", "Origin"),
                ]
            if preflight:
                status, body = 204, b""
                headers += [
                    ("Access-Control-Allow-Methods", ask.method),
                    ("Access-Control-Allow-Headers", "authorization"),
                    ("Access-Control-Max-Age", str(ask.max_age)),
                ]
            else:
                self._answered.add(query)
                status = ask.status
                headers += [("Content-Type", kind), *(("Set-Cookie", line) for line in ask.sets)]
        elif path.startswith("/page/"):
            number = int(path[len("/page/") :])
            body = document(number)
            headers += [("Content-Type", "text/html"), *(("Set-Cookie", line) for line in PAGES[number].sets)]
        elif path == "/challenge" and "authorization" not in flow.request.headers:
            status = 401
            headers.append(("WWW-Authenticate", 'Basic realm="web"'))
        fields = http.Headers([(name.lower().encode(), value.encode()) for name, value in headers])
        flow.response = http.Response.make(status, body, fields)


addons = [DiagnosisWeb()]
