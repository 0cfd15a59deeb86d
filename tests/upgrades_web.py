"""A mitmproxy addon that serves an https web whose redirects lead to plain http, and a page that follows them from a
window, a worker and a shared worker, with a policy that upgrades them or without.
"""

from __future__ import annotations

from mitmproxy import http

PAGE = "https://app.upgrades.test"
API = "https://api.upgrades.test"
PLAIN_PAGE, PLAIN_API = "http://app.upgrades.test", "http://api.upgrades.test"

CASES = {
    "home to home": ("GET", PAGE, PLAIN_PAGE),
    "home to home, posted": ("POST", PAGE, PLAIN_PAGE),
    "home to API": ("GET", PAGE, PLAIN_API),
    "API to API": ("GET", API, PLAIN_API),
    "API to home": ("GET", API, PLAIN_PAGE),
}
"""Of each redirect the method, where it is, and where it leads."""

CONTEXTS = ("window", "worker", "shared worker")

FOLLOW = """async (cases, context) => {
  const ends = {};
  for (const [name, [method, from, to]] of Object.entries(cases)) {
    const mark = encodeURIComponent(`${name}, ${context}`);
    const target = encodeURIComponent(`${to}/there?${mark}`);
    ends[name] = await fetch(`${from}/hop?${mark}&to=${target}`, {method}).then(() => true, () => false);
  }
  return ends;
}"""

WORKER = f"""const follow = {FOLLOW};
const answer = (port) => async ({{data}}) => port.postMessage(await follow(...data));
onconnect = ({{ports: [port]}}) => {{ port.onmessage = answer(port); }};
onmessage = answer(globalThis);"""

HTML = f"""<!doctype html><link rel="icon" href="data:,"><script>
const follow = {FOLLOW};
const ask = (port, ...what) => new Promise((done) => {{
  port.onmessage = ({{data}}) => done(data);
  port.postMessage(what);
}});
window.go = async (cases) => ({{
  "window": await follow(cases, "window"),
  "worker": await ask(new Worker("/worker.js"), cases, "worker"),
  "shared worker": await ask(new SharedWorker("/worker.js").port, cases, "shared worker"),
}});
</script>"""


class UpgradesWeb:
    """Answers for both hosts on https and http; lets any page read everything, without credentials."""

    def request(self, flow: http.HTTPFlow) -> None:
        request = flow.request
        if not request.pretty_host.endswith(".upgrades.test"):
            return
        headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
        if request.path.startswith("/hop"):
            flow.response = http.Response.make(302, b"", {**headers, "Location": request.query["to"]})
        elif request.path == "/worker.js":
            flow.response = http.Response.make(200, WORKER, {**headers, "Content-Type": "text/javascript"})
        elif request.path in ("/upgrades", "/plain"):
            headers["Content-Type"] = "text/html"
            if request.path == "/upgrades":
                headers["Content-Security-Policy"] = "upgrade-insecure-requests"
            flow.response = http.Response.make(200, HTML, headers)
        else:
            flow.response = http.Response.make(200, b"there", headers)


addons = [UpgradesWeb()]
