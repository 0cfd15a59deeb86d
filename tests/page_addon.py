"""A mitmproxy addon that answers for https://page.test/, and writes down what the page and the browser report."""

from __future__ import annotations

import json
from pathlib import Path

from mitmproxy import addonmanager, ctx, http, tls

PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>page</title><script>
const report = (what) => fetch("/report", {method: "POST", body: JSON.stringify(what)});
(async () => {
  await report({
    loaded: true, secure: isSecureContext, automated: navigator.webdriver,
    agent: navigator.userAgent, languages: navigator.languages,
  });
  for (const host of ["localhost", "127.0.0.1"]) {
    const answer = await fetch(`http://${host}:59999/`, {mode: "no-cors"});
    await report({[host]: answer.type});
  }
})().catch((fault) => report({fault: String(fault)}));
</script>"""


class PageAddon:
    """Answers by itself, so that no test needs a network; other hosts get a 404."""

    def load(self, loader: addonmanager.Loader) -> None:
        loader.add_option("report_file", str, "", "Where to write what the page reports, one JSON object a line.")

    def request(self, flow: http.HTTPFlow) -> None:
        host, path = flow.request.pretty_host, flow.request.path
        if host == "page.test" and path == "/report":
            self._write(json.loads(flow.request.content or b"null"))
            flow.response = http.Response.make(204)
        elif host == "page.test" and path == "/":
            flow.response = http.Response.make(200, PAGE, {"Content-Type": "text/html"})
        elif flow.request.port == 59999:
            flow.response = http.Response.make(200, b"here")
        else:
            flow.response = http.Response.make(404)

    def tls_failed_client(self, data: tls.TlsData) -> None:
        self._write({"distrusts": data.context.client.sni})

    def _write(self, report: object) -> None:
        with Path(ctx.options.report_file).open("a", encoding="utf-8") as file:
            file.write(json.dumps(report) + "\n")


addons = [PageAddon()]
