"""Exchanges in one line, for the tests of the pure core. Header names are typed anew, so that a typo can't hide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from corscope.model import Exchange, Outcome, Verdict
from corscope.modes import read_head, url_of
from corscope.session import Session

CHROMIUM = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
SAFARI = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.2 Safari/605.1.15"
AGENTS = {"chromium": CHROMIUM, "firefox": FIREFOX, "safari": SAFARI}

PAGE = "https://a.test"
"""The page's origin, unless a test says otherwise."""

ALLOW_ORIGIN = "Access-Control-Allow-Origin"
ALLOW_CREDENTIALS = "Access-Control-Allow-Credentials"
ALLOW_METHODS = "Access-Control-Allow-Methods"
ALLOW_HEADERS = "Access-Control-Allow-Headers"
MAX_AGE = "Access-Control-Max-Age"
STORAGE_ACCESS = "Sec-Fetch-Storage-Access"

type Pairs = Mapping[str, str] | Iterable[tuple[str, str]]

ANY: dict[str, str] = {ALLOW_ORIGIN: "*"}
"""A response for every origin, but for no credentials: what it means for a page is decided by the credentials mode."""
GOOD: dict[str, str] = {ALLOW_ORIGIN: PAGE, ALLOW_CREDENTIALS: "true"}
"""A response that passes in either mode."""


def fields(pairs: Pairs) -> tuple[tuple[bytes, bytes], ...]:
    """Returns a header list; characters stand for bytes one by one."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in items)


def exchange(
    line: str,
    *,
    origin: str | None = PAGE,
    browser: str = "chromium",
    agent: str | None = None,
    mode: str | None = "cors",
    site: str | None = "cross-site",
    dest: str | None = "empty",
    headers: Pairs = (),
    status: int | None = 200,
    response: Pairs = (),
    at: float = 1000.0,
    took: float = 0.01,
    connection: str | None = "1",
    client: str | None = None,
    http: int = 1,
    flow: str = "flow",
    **more: Any,  # noqa: ANN401 - the rest of Exchange's fields as they are
) -> Exchange:
    """Returns an exchange as a browser sends it.

    `line` is method and URL. Sec-Fetch headers are left out on plain http, as browsers do. `origin`, `mode`, `site` and
    `dest` are left out where None.
    """
    method, _, url = line.partition(" ")
    parts = urlsplit(url)
    host = parts.hostname or ""
    request: list[tuple[str, str]] = [("Host", parts.netloc), ("User-Agent", agent or AGENTS[browser])]
    request.append(("Accept", "*/*"))
    if origin is not None:
        request.append(("Origin", origin))
    if parts.scheme == "https" or host in ("localhost", "127.0.0.1"):
        names = ("Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest")
        request += [(name, value) for name, value in zip(names, (site, mode, dest), strict=True) if value is not None]
    given = list(headers.items() if isinstance(headers, Mapping) else headers)
    named = {name.lower() for name, _ in given}
    request = [(name, value) for name, value in request if name.lower() not in named] + given
    return Exchange(
        id=flow,
        client=client if client is not None else browser,
        connection=connection,
        started=at,
        answered=at + took,
        method=method.encode("latin-1"),
        scheme=parts.scheme,
        host=host,
        port=parts.port or {"http": 80, "https": 443}[parts.scheme],
        path=url.partition("://")[2].partition("/")[1] + url.partition("://")[2].partition("/")[2] or "/",
        http_version=http,
        request_headers=fields(request),
        status=status,
        response_headers=fields(response),
        **more,
    )


def preflight(url: str, method: str = "PUT", asks: str = "", *, headers: Pairs = (), **rest: Any) -> Exchange:  # noqa: ANN401
    """Returns the preflight of a request with `method` and the header names `asks`; it is answered 204 by default."""
    said = list(headers.items() if isinstance(headers, Mapping) else headers)
    said.append(("Access-Control-Request-Method", method))
    if asks:
        said.append(("Access-Control-Request-Headers", asks))
    return exchange(f"OPTIONS {url}", headers=said, **{"status": 204, **rest})


@dataclass
class Talk:
    """A conversation that a session overhears: each exchange begins a little after the one before was answered."""

    session: Session = field(default_factory=Session)
    now: float = 1000.0
    defaults: dict[str, Any] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    first: dict[str, Verdict] = field(default_factory=dict)
    """What was said of each exchange at once."""
    sent: int = 0

    def take(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            self.first.setdefault(verdict.flow_id, verdict)
            self.verdicts[verdict.flow_id] = verdict

    def _prepare(self, given: dict[str, Any]) -> dict[str, Any]:
        self.sent += 1
        said = {"flow": f"flow-{self.sent}", "at": self.now, "took": 0.01, **self.defaults, **given}
        self.now = max(self.now, said["at"] + said["took"] + 0.002)
        return said

    def say(self, line: str, **given: Any) -> str:  # noqa: ANN401
        """Judges an exchange and returns its id."""
        one = exchange(line, **self._prepare(given))
        self.take(self.session.judge(one))
        return one.id

    def ask(self, url: str, method: str = "PUT", asks: str = "", **given: Any) -> str:  # noqa: ANN401
        """Judges a preflight and returns its id."""
        one = preflight(url, method, asks, **self._prepare(given))
        self.take(self.session.judge(one))
        return one.id

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.session.settle(self.now))

    def end(self) -> None:
        self.take(self.session.finish())

    def __getitem__(self, flow: str) -> Verdict:
        return self.verdicts[flow]

    def outcomes(self, *flows: str) -> list[Outcome]:
        return [self.verdicts[flow].outcome for flow in flows]


def judged(one: Exchange, *, browser: str = "auto") -> Verdict:
    """Returns the verdict on an exchange that stands alone."""
    return Session(browser=browser).judge(one)[0]


def ids(verdict: Verdict) -> list[str]:
    """Returns the ids of a verdict's findings, in order."""
    return [finding.id for finding in verdict.findings]


def pass_by(session: Session, one: Exchange) -> bool:
    """Lets a session pass by an exchange, and tells whether it would."""
    return session.pass_by(
        one.client,
        one.connection,
        one.started,
        read_head(one.request_headers),
        one.response_headers,
        one.status or 0,
        one,
        lambda one, _: url_of(one),
    )
