"""What one entry of an HTTP Archive says: the exchange, and what became of it in the browser that wrote it down.

What a field means depends on who wrote it. That is said by `log.creator`, which Fiddler puts behind the entries, and by
fields that only one writer has. http://www.softwareishard.com/blog/har-12-spec/
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from corscope import adapter
from corscope.headers import Fields, text
from corscope.model import Asker, Exchange, Observed
from corscope.modes import Head, is_cors_preflight
from corscope.origins import OPAQUE, parse_location
from corscope.privacy import shown_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """What the archives of one program are like."""

    before_sending: tuple[str, ...] = ("blocked", "dns", "connect")
    """What of `timings` lies between `startedDateTime` and the moment at which the request is sent."""
    sanitizes: bool = True
    """Whether it may leave out cookies and Authorization."""
    in_order: bool = False
    """Whether the order of the entries and their times are those of the wire."""


CHROMIUM = Writer()
"""Developer tools of Chrome, Edge and the like (front_end/models/har/Log.ts)."""
FIREFOX = Writer(before_sending=("blocked", "dns", "connect", "ssl"), sanitizes=False)
"""devtools/client/netmonitor/src/har/har-builder.js"""
WEBKIT = Writer()
"""Safari (Source/WebInspectorUI/UserInterface/Controllers/HARBuilder.js). Leaves out what failed."""
PLAYWRIGHT = Writer(sanitizes=False)
"""packages/playwright-core/src/server/har/harTracer.ts"""
MITMPROXY = Writer(before_sending=(), sanitizes=False, in_order=True)
"""mitmproxy/addons/savehar.py"""
FIDDLER = Writer(before_sending=(), sanitizes=False)
PROXY = Writer(before_sending=(), sanitizes=False)
"""Charles and other proxies."""
CORSCOPE = Writer(before_sending=(), sanitizes=False, in_order=True)
"""Our own (formats/har.py): cookies by their names, most other values hidden."""
UNKNOWN = Writer()

_CREATORS = {
    "webinspector": CHROMIUM,
    "firefox": FIREFOX,
    "webkit web inspector": WEBKIT,
    "playwright": PLAYWRIGHT,
    "mitmproxy": MITMPROXY,
    "corscope": CORSCOPE,
    "fiddler": FIDDLER,
    "charles proxy": PROXY,
    "proxyman": PROXY,
    "http toolkit": PROXY,
    "browsermob proxy": PROXY,
}

_OF_ENTRIES = (
    ("_securityState", FIREFOX),
    ("_initiator", CHROMIUM),
    ("_fetchType", WEBKIT),
    ("_serverPort", PLAYWRIGHT),
    ("_securityDetails", PLAYWRIGHT),
)
_OF_RESPONSES = (("_charlesStatus", PROXY), ("_failureText", PLAYWRIGHT))
"""Fields that only one writer has."""


def writer_named(creator: object) -> Writer | None:
    """Return the writer that `log.creator` names, None where it is none that is known."""
    name = creator.get("name") if isinstance(creator, dict) else None
    return _CREATORS.get(name.lower()) if isinstance(name, str) else None


class OddEntry(Exception):
    """An entry is not what it should be; the message says what is wrong."""


class EntryReader:
    """Reads the entries of one archive, one after the other."""

    def __init__(self) -> None:
        self._latest = 0.0
        """When the latest request began, seconds since the epoch."""
        self._agent = b""
        """The User-Agent of the latest request that had one."""
        self.undated: tuple[int, int] | None = None
        """The first entry whose date is none, and how many there are."""

    def read(self, index: int, entry: object, writer: Writer | None) -> tuple[Exchange, Writer] | None:
        """Return an entry's exchange and who wrote it, `writer` unless None; None for what never was on a wire.

        Raises OddEntry.
        """
        if not isinstance(entry, dict):
            raise OddEntry("it is no object")
        request = _part(entry, "request")
        response = _part(entry, "response") if entry.get("response") is not None else {}
        timings = told if isinstance(told := entry.get("timings"), dict) else {}
        url, method = _text(request, "url").strip(), _text(request, "method")
        scheme = _SCHEMES.get(url.partition(":")[0].lower())
        if scheme is None and method != "CONNECT" and not _WITH_SCHEME.match(url):
            # Whoever typed `api.test:3000/v1` meant a server.
            raise OddEntry("its request's url has no scheme")
        if scheme is None or method == "CONNECT" or response.get("_fetchedViaServiceWorker") is True:
            # data:, blob:, an extension's own; a tunnel; what a service worker answered: its own requests are listed.
            return None
        if writer is None:
            writer = _writer_of(entry, response)
        fields, head = _request_fields(entry, request, url, writer)
        host, port, path = _target(url, scheme, head)
        status = _status(response.get("status"))
        started = self._asked(index, entry.get("startedDateTime"))
        if status is not None:
            started += _seconds(timings, writer.before_sending)
        took = _seconds(timings, ("send", "wait")) if timings else _seconds(entry, ("time",))
        exchange = Exchange(
            id=str(index),
            client=self._client(head.get(b"user-agent")),
            connection=_connection(entry, writer),
            started=started,
            answered=started + took,
            method=_encoded(method),
            scheme=scheme,
            host=host,
            port=port,
            path=path,
            http_version=_http_version(request.get("httpVersion")) or _http_version(response.get("httpVersion")) or 1,
            request_headers=fields,
            request_picked=head,
            status=status,
            response_headers=_response_fields(response, writer) if status is not None else (),
            sanitized=writer.sanitizes,
            in_order=writer.in_order,
        )
        if writer is CORSCOPE:
            _by_corscope(exchange, entry, response)
        elif writer is MITMPROXY:
            exchange = _by_mitmproxy(exchange, response)
        elif writer is FIREFOX:
            exchange.observed = _seen_by_firefox(status, timings)
        elif writer is CHROMIUM:
            exchange.observed = _seen_by_chromium(exchange, head, response.get("_error"))
            if b"origin" not in head and b"sec-fetch-site" not in head:
                _without_origin(exchange, entry, head)
        elif writer is PLAYWRIGHT:
            exchange.observed = _seen_by_chromium(exchange, head, response.get("_failureText"))
            if status == 200 and not _CONDITIONAL.isdisjoint(head):
                # What was revalidated has the headers of the 304, and the status that the page sees.
                exchange.status = 304
        elif writer is FIDDLER and status in (502, 504):
            exchange.proxy_made = _begins(response, "[Fiddler]")
        return exchange, writer

    def _asked(self, index: int, date: object) -> float:
        """Return when a request began, in seconds since the epoch; where that is not told, like the one before."""
        if date is None or date == "":
            return self._latest
        began = _moment(date)
        if began is None:
            number, count = self.undated or (index, 0)
            self.undated = number, count + 1
        else:
            self._latest = began
        return self._latest

    def _client(self, agent: bytes | None) -> str:
        """Tell who sent a request: an archive knows a browser by its User-Agent only.

        What never left the browser may have none: that is the same browser's.
        """
        if agent is not None:
            self._agent = agent
        return f"{self._agent!r}"


def _moment(date: object) -> float | None:
    """Return a date as seconds since the epoch, None for what is none; without a time zone it is UTC.

    The format asks for ISO 8601; some write seconds, JavaScript's milliseconds or `toString()`, or an HTTP date.
    """
    if isinstance(date, (int, float)) and not isinstance(date, bool):
        return float(date) / 1000 if 1e11 < date < 1e14 else float(date) if 1e8 < date < 1e11 else None
    if not isinstance(date, str):
        return None
    if len(date) > 8 and date.isdigit() and date.isascii():
        return _moment(int(date[:20]))
    told: datetime | None
    try:
        told = datetime.fromisoformat(date)
    except ValueError:
        told = _unusual_date(date)
    if told is None:
        return None
    return (told if told.tzinfo is not None else told.replace(tzinfo=UTC)).timestamp()


_WITH_SLASHES = re.compile(r"(\d{4})/(\d\d)/(\d\d)(?=\b)")
_HALF_DAY = re.compile(r"\d\s*[ap]\.?m\b", re.IGNORECASE)
"""What the libraries pass over in silence."""
_LEAP_SECOND = re.compile(r"(T\d\d:\d\d:)60")
_JAVASCRIPT_DATE = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d{4}) (\d\d:\d\d:\d\d)(?: (?:GMT|UTC))?(?:([+-]\d\d):?(\d\d))?(?: \(.*)?",
    re.ASCII,
)


def _unusual_date(date: str) -> datetime | None:
    """Return a date that is not quite ISO 8601's, None for what is none."""
    if found := _JAVASCRIPT_DATE.fullmatch(date):
        month, day, year, time, hours, minutes = found.groups()
        date = f"{day} {month} {year} {time} {hours or '+00'}{minutes or '00'}"
    elif _HALF_DAY.search(date):
        return None
    try:
        if date[:4].isdigit():
            return datetime.fromisoformat(_LEAP_SECOND.sub(r"\g<1>59", _WITH_SLASHES.sub(r"\1-\2-\3", date)))
        return parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None


def _part(whole: dict[str, Any], name: str) -> dict[str, Any]:
    part = whole.get(name)
    if not isinstance(part, dict):
        raise OddEntry(f"its {name} is no object" if name in whole else f"it has no {name}")
    return part


def _text(part: dict[str, Any], name: str) -> str:
    text = part.get(name)
    if not isinstance(text, str) or not text:
        raise OddEntry(f"its request has no {name}")
    return text


def _encoded(text: str) -> bytes:
    """Return the bytes that a text stands for: those that are no UTF-8 stand in it as surrogates."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _writer_of(entry: dict[str, Any], response: dict[str, Any]) -> Writer:
    """Tell who wrote an entry by what only they write."""
    for name, writer in _OF_ENTRIES:
        if name in entry:
            return writer
    for name, writer in _OF_RESPONSES:
        if name in response:
            return writer
    return FIDDLER if _client_port(entry) else UNKNOWN


# ---------------------------------------------------------------------- what was asked, and where

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""Schemes of exchanges that were on a wire, with those that an exchange has: a WebSocket begins with HTTP."""

_WITH_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?![0-9]{1,5}(?:[/?#]|\Z))", re.IGNORECASE)

_BEHIND_HOST = re.compile(r"[/?\\]")


def _target(url: str, scheme: str, head: Head) -> tuple[str, int, str]:
    """Return host, port and path of a URL. Raises OddEntry."""
    rest = url.partition("#")[0].partition(":")[2].removeprefix("//")
    begin = found.start() if (found := _BEHIND_HOST.search(rest)) else len(rest)
    place = adapter.parse_authority(_encoded(rest[:begin].rpartition("@")[2]), scheme)
    if place is None and begin:
        # mitmproxy writes IPv6 addresses without their brackets.
        place = adapter.parse_authority(head.get(b"host", b""), scheme)
    if place is None:
        raise OddEntry("its request's url names no host")
    path = rest[begin:]
    if not path.startswith("/"):
        path = f"/{path}"
    return *place, path if path.isascii() else _encoded(path).decode("utf-8", "replace")


_HTTP_VERSION = re.compile(r"(?:http/|h)([123])(?:\.\d|$|-)|(quic|http/2\+quic|hq)", re.IGNORECASE)


def _http_version(text: object) -> int:
    """Return the major version that is named in one way or another; 0 where none is."""
    return _named_version(text) if isinstance(text, str) else 0


@lru_cache(maxsize=64)
def _named_version(text: str) -> int:
    found = _HTTP_VERSION.match(text)
    if found is None:
        return 0
    return int(found[1]) if found[1] else 3


def _status(status: object) -> int | None:
    """Return a status code, None where no response came: browsers write 0 then, Playwright -1. Raises OddEntry."""
    if status is None or status == "":
        return None
    try:
        code = int(status) if isinstance(status, (int, float, str)) else 1000
    except (ValueError, OverflowError):
        code = 1000
    if code >= 1000:
        raise OddEntry("its response's status is no status")
    return code if code >= 100 else None


def _connection(entry: dict[str, Any], writer: Writer) -> str | None:
    """Return the browser's connection, None where that is not told.

    `connection` is the server's port in Chrome's and Firefox's archives.
    """
    if writer is CHROMIUM:
        connection = entry.get("_connectionId")
        return connection if isinstance(connection, str) and connection not in ("", "0") else None
    if writer is CORSCOPE:
        connection = entry.get("connection")
        return connection if isinstance(connection, str) else None
    return _client_port(entry) if writer is FIDDLER else None


_CLIENT_PORT = re.compile(r"ClientPort:([1-9]\d*)")


def _client_port(entry: dict[str, Any]) -> str | None:
    """Return the port from which a client spoke to Fiddler."""
    connection = entry.get("connection")
    found = _CLIENT_PORT.match(connection) if isinstance(connection, str) else None
    return found[1] if found else None


def _seconds(timings: dict[str, Any], names: tuple[str, ...]) -> float:
    """Return the sum of some timings, which are in milliseconds; -1 and null stand for none."""
    total = 0.0
    for name in names:
        timing = timings.get(name)
        if isinstance(timing, (int, float)) and 0 < timing < 1e12:
            total += timing
    return total / 1000


# ---------------------------------------------------------------------- headers


def _joined(part: dict[str, Any]) -> tuple[str, int] | None:
    """Return names and values of a message's headers, each on a line, and how many lines; None where some are odd.

    HTTP/2's pseudo headers are left out, which come first.
    """
    headers = part.get("headers")
    try:
        begin = 0
        while headers[begin]["name"][0] == ":":  # type: ignore[index]
            begin += 1
        lines = [text for header in headers[begin:] for text in (header["name"], header["value"])]  # type: ignore[index]
        return "\n".join(lines), len(lines)
    except (LookupError, TypeError):
        return None


def _fields(part: dict[str, Any], of: str) -> Fields:
    """Return a header list as it went over the wire. Raises OddEntry."""
    joined = _joined(part)
    return (joined and _split(*joined)) or _odd_fields(part.get("headers"), of)


def _split(joined: str, count: int) -> Fields | None:
    """Return the header list that stands in `count` lines, None where one of them was more than one."""
    try:
        lines = joined.encode("utf-8", "surrogateescape").split(b"\n")
    except UnicodeEncodeError:
        return None
    return tuple(zip(lines[::2], lines[1::2], strict=True)) if len(lines) == count else None


@lru_cache(maxsize=512)
def _read_request(joined: str, count: int) -> tuple[Fields, Head] | None:
    """Return the header list in `count` lines, and what is read of it: a page sends the same ones again and again."""
    fields = _split(joined, count)
    return (fields, Head(fields)) if fields is not None else None


def _odd_fields(headers: object, of: str) -> Fields:
    """Return a header list that is not written as usual. Raises OddEntry.

    Slack writes pairs; old Chromes join the values of several fields of one name with line feeds; null and numbers are
    taken for values, as is broken text.
    """
    if headers is None:
        return ()
    fields: list[tuple[bytes, bytes]] = []
    for header in headers if isinstance(headers, list) else [None]:
        pair = (header.get("name"), header.get("value")) if isinstance(header, dict) else header
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise OddEntry(f"its {of}'s headers are no list of names and values")
        name, value = pair
        if isinstance(value, (dict, list)):
            raise OddEntry(f"the value of a header in its {of} is no text")
        if name and not name.startswith(":"):
            said = "" if value is None else str(value)
            fields += [(_encoded(name), _encoded(one)) for one in said.split("\n")]
    return tuple(fields)


_CONDITIONAL = frozenset((b"if-none-match", b"if-modified-since"))

_MODES = {
    "document": b"navigate",
    "eventsource": b"cors",
    "ping": b"no-cors",
    "websocket": b"websocket",
    "xhr": b"cors",
}
"""Chrome's names of what asked, and the request mode that each has; `fetch` has any."""


def _request_fields(entry: dict[str, Any], request: dict[str, Any], url: str, writer: Writer) -> tuple[Fields, Head]:
    """Return a request's headers, and what is read of them. Raises OddEntry."""
    joined = _joined(request)
    read = _read_request(*joined) if joined is not None else None
    if read is not None:
        fields, head = read
    else:
        fields = _odd_fields(request.get("headers"), "request")
        head = Head(fields)
    if writer is FIREFOX and request.get("postData"):
        # Firefox appends the headers of a multipart body's parts.
        names = [name.lower() for name, _ in fields]
        if b"content-disposition" in names:
            fields = fields[: names.index(b"content-disposition")]
            head = Head(fields)
    if b"cookie" not in head and (cookie := _cookies(request.get("cookies"))):
        fields += ((b"cookie", cookie),)
        head = Head(fields)
    if b"sec-fetch-mode" not in head and (mode := _mode(entry.get("_resourceType"), url)):
        # Browsers send Sec-Fetch-Mode to potentially trustworthy URLs only; here the browser itself tells.
        head = Head(fields, said=mode)
    return fields, head


def _cookies(cookies: object) -> bytes:
    """Return the Cookie header that a list of cookies makes, empty for none."""
    if not cookies or not isinstance(cookies, list):
        return b""
    known = [cookie for cookie in cookies if isinstance(cookie, dict)]
    pairs = [(cookie.get("name"), cookie.get("value")) for cookie in known]
    return _encoded("; ".join(f"{name}={value}" for name, value in pairs if isinstance(name, str)))


def _mode(resource: object, url: str) -> bytes:
    """Return the request mode that Chrome's word for what asked stands for, or a WebSocket's URL; empty for several."""
    if url[:2].lower() == "ws":
        # Over HTTP/2 there is no Upgrade, RFC 8441.
        return b"websocket"
    return _MODES.get(resource, b"") if isinstance(resource, str) else b""


_FIREFOXS_OWN = frozenset((b"x-firefox-spdy", b"x-firefox-http3"))
"""Headers that Firefox adds to what it got, to tell the version of HTTP."""


def _response_fields(response: dict[str, Any], writer: Writer) -> Fields:
    """Return a response's headers. Raises OddEntry."""
    fields = _fields(response, "response")
    if writer is FIREFOX:
        return tuple([field for field in fields if field[0].lower() not in _FIREFOXS_OWN])
    return fields


# ---------------------------------------------------------------------- what became of it


def _seen_by_firefox(status: int | None, timings: dict[str, Any]) -> Observed:
    """Tell what Firefox's own record says.

    What fails the CORS check is written there like what passes. A request that was stopped by what its preflight was
    answered has no status, and took no time.
    """
    if status is not None:
        return Observed(None, "")
    return Observed(None if timings else False, "status 0")


_CORS_ERRORS = ("net::ERR_FAILED", "net::ERR_INVALID_REDIRECT")
"""What Chromium says of CORS failures, and of little else. `net::ERR_ABORTED` stands even on what the page got."""

_CSP, _CORP = "a Content-Security-Policy", "Cross-Origin-Resource-Policy, or what a page that embeds others requires"

_NOT_CORS = {
    "net::ERR_BLOCKED_BY_ADMINISTRATOR": "a policy of the browser's administrator",
    "net::ERR_BLOCKED_BY_CLIENT": "an extension, or the browser's own blocker",
    "net::ERR_BLOCKED_BY_CSP": _CSP,
    "net::ERR_BLOCKED_BY_LOCAL_NETWORK_ACCESS_CHECKS": "no permission for local network access",
    "net::ERR_BLOCKED_BY_ORB": "opaque response blocking",
    "net::ERR_BLOCKED_BY_PRIVATE_NETWORK_ACCESS_CHECKS": "no permission for local network access",
    "net::ERR_BLOCKED_BY_RESPONSE": _CORP,
    "net::ERR_INSUFFICIENT_RESOURCES": "the browser had no resources left for it",
    "net::ERR_TOO_MANY_REDIRECTS": "too many redirects",
    "net::ERR_UNSAFE_PORT": "a port that browsers never connect to",
    "csp": _CSP,
    "inspector": "a URL that the developer tools block",
    "mixed-content": "mixed content",
    "subresource-filter": "the browser's own blocker",
}
"""What is certainly not CORS, and what it is. https://source.chromium.org/chromium/chromium/src/+/main:net/base/net_error_list.h

The others are CDP's Network.BlockedReason, which Playwright writes where there is no error (crNetworkManager.ts); of
those `origin` and `other` may be anything."""

_DETAILED = {
    "net::ERR_BLOCKED_BY_CLIENT.CSP": _CSP,
    "net::ERR_BLOCKED_BY_CLIENT.Inspector": _NOT_CORS["inspector"],
    "net::ERR_BLOCKED_BY_CLIENT.MixedContent": _NOT_CORS["mixed-content"],
    "net::ERR_BLOCKED_BY_CLIENT.SubresourceFilter": _NOT_CORS["subresource-filter"],
}
"""What Blink says more precisely behind a dot (third_party/blink/renderer/platform/loader/fetch/resource_error.cc)."""


def _no_matter_of_cors(error: str) -> str | None:
    """Return what an error is that is certainly not CORS, None for all others."""
    found = _NAMED.fullmatch(error)
    name, detail = (found[1], found[2]) if found is not None else (error, None)
    return None if detail in ("Origin", "Other") else _DETAILED.get(error) or _NOT_CORS.get(name)


_NAMED = re.compile(r"(net::ERR_[A-Z0-9_]+)(?:\.(\w{1,80}))?")

_NETWORK = re.compile(
    r"net::ERR_(?:ADDRESS|CERT|CONNECTION|DNS|ECH|EMPTY_RESPONSE|HTTP2|ICANN|INTERNET|INVALID_HTTP|NAME|NETWORK|PROXY|"
    r"QUIC|RESPONSE_HEADERS|SOCKET|SOCKS|SSL|TIMED_OUT|TUNNEL)[A-Z0-9_]*(?:\.\w{1,80})?"
)
"""How the network, or the server, fails (net_error_list.h, too)."""

_CALLED_OFF = "net::ERR_ABORTED"

_NEVER_SENT = "a rule of the page or of the browser, such as a Content-Security-Policy, mixed content or a blocker"
"""Blink stopped it before it was sent: InspectorNetworkAgent::DidBlockRequest tells no error, and the reason that it
does tell is left out of the archive (developer tools: front_end/models/har/Log.ts).

Of what `timings` tells nothing follows. `_blocked_queueing` is how long a request waited for its start, and -1 where
that is not known, for what was sent as for what was not; `_blocked_proxy` how long it took to find the proxy. Firefox
knows why it blocked a request, and does not write it down (har-builder.js)."""

_ERROR_NAME = re.compile(r"(?:net::)?[A-Z]+_[A-Z0-9_]{2,60}")


def _seen_by_chromium(exchange: Exchange, head: Head, error: object) -> Observed:
    """Tell what Chromium's own record says, where `error` is the error in it."""
    status = exchange.status
    if isinstance(error, str) and error:
        stopped = error in _CORS_ERRORS
        if status is None and not any(name.lower() == b"sec-ch-ua" for name, _ in exchange.request_headers):
            # Of a worker's request nothing is told, so that it may have been sent, and answered.
            stopped = False
        if why := _no_matter_of_cors(error):
            return Observed(None, error, why)
        if status is None and _NETWORK.fullmatch(error):
            return Observed(None, error, f"the network, or a server that does not answer: {error}")
        if status is None and error == _CALLED_OFF:
            return Observed(None, error, "called off before there was an answer, by the page or because it was left")
        name = _ERROR_NAME.match(error)
        return Observed(False if stopped else None, name[0] if name else "an error")
    if error == "" and status is None:
        return Observed(None, "", _NEVER_SENT)
    # What is written of a preflight, or of a redirect, does not say whether it passed.
    ended = status is not None and (status == 304 or not 300 <= status < 400)
    return Observed(True if ended and not is_cors_preflight(exchange.method, head) else None, "")


_ASKED_BY_SCRIPTS = frozenset(("eventsource", "fetch", "xhr"))


def _without_origin(exchange: Exchange, entry: dict[str, Any], head: Head) -> None:
    """Take over what Chromium's record tells of a request that has none of the headers there that go with sending it.

    Of what was never sent, or came from a cache, the record has the headers that the page gave, and Referer. Where a
    script asked, that is the URL of its document or worker, with whose origin the request goes: scripts can't set
    another site's, and what has no origin of its own sends none. In the recordings the two are the same wherever both
    are there and the Origin is not `null`, as it may be behind redirects. An element's Referer may be a style sheet's.
    https://w3c.github.io/webappsec-referrer-policy/#determine-requests-referrer

    The other fields tell no origin. `pageref` is the tab's page, also for what its frames ask, and missing for some of
    it (Firefox writes the latest page that was opened before). `_initiator` of type `script` names scripts, and a
    script runs in whatever page included it; of type `parser` the document for an element, of which nothing tells
    whether CORS concerns it, or a style sheet. Of a preflight, type `preflight`, it names a request by an identifier
    that no entry has.
    """
    kind, cached = str(entry.get("_resourceType")), entry.get("_fromCache")
    if kind == "preflight":
        if exchange.status is None:
            # The request that it was asked for has an entry of its own, and failed with it.
            exchange.observed = None
        return
    page = _origin_of(head.get(b"referer", b"")) if kind in _ASKED_BY_SCRIPTS else ""
    if page or cached:
        exchange.asker = Asker(page, "its Referer" if page else "", bool(cached))


@lru_cache(maxsize=64)
def _origin_of(url: bytes) -> str:
    """Return a URL's serialized origin, empty where it has none."""
    target = parse_location("", text(url)) if url else None
    return text(target.origin) if target is not None and target.origin != OPAQUE else ""


def _by_corscope(exchange: Exchange, entry: dict[str, Any], response: dict[str, Any]) -> None:
    """Take over what our own archives tell besides."""
    error = response.get("_error")
    exchange.edited = entry.get("_edited") is True
    exchange.proxy_made = exchange.status == 502 and adapter.is_mitmproxys(exchange.response_headers)
    exchange.proxy_error = shown_text(error) if isinstance(error, str) else ""


def _by_mitmproxy(exchange: Exchange, response: dict[str, Any]) -> Exchange:
    """Return an exchange as mitmproxy's own recordings tell of it: errors are answered by mitmproxy itself."""
    error = response.get("_error")
    if exchange.status is None and isinstance(error, str):
        return adapter.without_answer(exchange, error, exchange.started) or exchange
    exchange.proxy_made = exchange.status == 502 and adapter.is_mitmproxys(exchange.response_headers)
    # It writes methods in upper case, so that what follows a preflight for another one can't be recognised.
    asked = exchange.request_picked.get(b"access-control-request-method", b"") if exchange.request_picked else b""
    exchange.in_order = asked == asked.upper()
    return exchange


def _begins(response: dict[str, Any], text: str) -> bool:
    """Tell whether a response's body begins with a text."""
    content = response.get("content")
    body = content.get("text") if isinstance(content, dict) else None
    return isinstance(body, str) and body.startswith(text)
