"""Rewriting flows of mitmproxy's: the options, and edits made and taken back. What to edit is planned elsewhere."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mitmproxy import ctx, exceptions, flowfilter, http, optmanager
from mitmproxy.addonmanager import Loader
from mitmproxy.net.http import status_codes

from corscope import adapter, flow_filters, rewriter
from corscope.credentials import recognise
from corscope.headers import Fields, Names, get, is_token, pick
from corscope.model import Edit, Exchange, Operation, RequestMode, Rewrite, Verdict
from corscope.modes import Head, Request, is_cors_preflight, request_mode
from corscope.privacy import shown_origin
from corscope.public_suffixes import spans_public_suffix
from corscope.rewriter import COOKIES_CROSS_SITE, COOKIES_OFF, COOKIES_PARTITIONED, Settings
from corscope.scope import OriginPatternError, parse_allowed_origins, parse_origin

OFF, BLOCKED, ALL = "off", "blocked", "all"
MODES = (OFF, BLOCKED, ALL)
FROM_SERVER, LOCAL = "server", "local"
PREFLIGHTS = (FROM_SERVER, LOCAL)
COOKIES = (COOKIES_OFF, COOKIES_CROSS_SITE, COOKIES_PARTITIONED)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a server sent, before it was rewritten."""

    status: int
    fields: Fields
    rewrite: Rewrite
    without_body: bool
    """Whether the rewritten response has none."""


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What the options ask for."""

    mode: str = OFF
    settings: Settings = field(default_factory=Settings)
    filter: flowfilter.TFilter | None = None
    local_preflights: bool = False
    upstream_origin: bytes | None = None

    @property
    def on(self) -> bool:
        """Whether flows are rewritten as they come."""
        return self.mode != OFF

    def in_scope(self, flow: http.HTTPFlow, origin: bytes | None) -> bool:
        """Tell whether the user wants this flow, whose request has `origin`, rewritten where that is needed."""
        return (
            origin is not None
            and self.settings.allowed.allows(origin)
            and (self.filter is None or _matches(self.filter, flow))
        )

    def wants(self, flow: http.HTTPFlow, head: Head, verdict: Verdict) -> bool:
        """Tell whether a judged flow is to be rewritten."""
        return rewriter.needs(verdict, self.settings) and self.in_scope(flow, head.get(b"origin"))

    def why_not(self, flow: http.HTTPFlow, head: Head, verdict: Verdict) -> str:
        """Say why a flow that was selected can't be rewritten; empty where it can."""
        origin = head.get(b"origin")
        if origin is None or not rewriter.is_subject(verdict):
            return "it is not subject to CORS"
        if not self.settings.allowed:
            return "cors_allow_origins names no origin to let in"
        if not self.in_scope(flow, origin):
            return f"its origin, {shown_origin(origin)}, is not in cors_allow_origins, or cors_filter leaves it out"
        return ""

    def _asked(self, flow: http.HTTPFlow) -> tuple[Exchange, Head] | None:
        """Return the request of a flow that a browser sends and that is certainly a CORS request in scope."""
        if flow.response is not None or is_repeated(flow):
            return None
        head = adapter.head(flow)
        if not self.in_scope(flow, head.get(b"origin")):
            return None
        exchange = adapter.exchange(flow, "", head, answered=False)
        subject = request_mode(Request(exchange), recognise(head.get(b"user-agent", b"")))
        certain = subject.exempt is None and subject.mode is RequestMode.CORS
        return (exchange, head) if certain else None

    def answer_preflight(self, flow: http.HTTPFlow) -> None:
        """Answer a preflight here, without asking the server."""
        asked = self._asked(flow) if flow.request.data.method == b"OPTIONS" else None
        if asked is None or not is_cors_preflight(flow.request.data.method, asked[1]):
            return
        exchange, head = asked
        if not rewriter.is_answerable(head):
            return
        answer = http.Response.make(204)
        edits = rewriter.plan(exchange.with_response(204, ()), head, self.settings)
        answer.headers.fields = rewriter.edited_fields((), edits)
        flow.metadata[adapter.LOCAL_ANSWER] = True
        flow.response = answer

    def send_as_upstream(self, flow: http.HTTPFlow) -> None:
        """Send a request in the name of the origin that the server knows."""
        upstream, asked = self.upstream_origin, self._asked(flow)
        if asked is not None and upstream is not None and asked[1][b"origin"] != upstream:
            send_origin(flow, upstream)


def _matches(wanted: flowfilter.TFilter, flow: http.HTTPFlow) -> bool:
    """Tell whether a flow matches a filter, by the Origin that the browser sent."""
    if adapter.PAGE_ORIGIN not in flow.metadata:
        return bool(wanted(flow))
    headers = flow.request.headers
    sent = headers.fields
    try:
        headers.fields = adapter.request_fields(flow)
        return bool(wanted(flow))
    finally:
        headers.fields = sent


def send_origin(flow: http.HTTPFlow, origin: bytes) -> None:
    """Send a request in another origin's name; it is judged by the one that the browser sent."""
    # A request that is sent again keeps what the browser said at first. A character stands for each byte, so that
    # none is lost, and the flow can be saved.
    named = get(flow.request.headers.fields, b"origin") or b""
    flow.metadata.setdefault(adapter.PAGE_ORIGIN, named.decode("latin-1"))
    flow.request.headers["origin"] = origin.decode("latin-1")


def restore_origin(flow: http.HTTPFlow) -> Edit | None:
    """Name the page's origin where the answer names the one that the server was told; None where it does not."""
    page = flow.metadata.get(adapter.PAGE_ORIGIN)
    if page is None or flow.response is None:
        return None
    sent, own = (one.encode("latin-1", "replace") for one in (flow.request.headers.get("origin", ""), page))
    fields = flow.response.headers.fields
    lines = [(name, value) for name, value in fields if name.lower() == rewriter.ALLOW_ORIGIN]
    before = tuple([value for _, value in lines])
    if sent not in before:
        return None
    flow.response.headers.fields = tuple(
        (name, own if value == sent and name.lower() == rewriter.ALLOW_ORIGIN else value) for name, value in fields
    )
    after = tuple([own if value == sent else value for value in before])
    return Edit(Operation.SET, lines[0][0].decode("latin-1"), after, before)


def with_restored(edits: tuple[Edit, ...], restored: Edit | None) -> tuple[Edit, ...]:
    """Return edits with what `restore_origin` did before them: one to the same header changed what the server sent."""
    if restored is None:
        return edits
    if not any(edit.name.lower() == restored.name.lower() for edit in edits):
        return (restored, *edits)
    return tuple(
        edit._replace(before=restored.before) if edit.name.lower() == restored.name.lower() else edit for edit in edits
    )


UNREACHABLE_SECONDS, CONNECT_SECONDS = 30.0, 5.0
"""For how long a server that could not be reached is looked for first, and how long that may take."""

_ANSWERERS = ("map_local", "map_remote", "server_replay")
_TRUST = ("ssl_insecure", "ssl_verify_upstream_trusted_ca", "ssl_verify_upstream_trusted_confdir", "client_certs")


class Unreachable:
    """Where no server answered a moment ago, so that a page can be told so in words that it can read.

    The error page that mitmproxy makes when a connection fails is not an addon's to change.
    """

    def __init__(self) -> None:
        self._failed: dict[tuple[str, int], tuple[float, bool]] = {}
        """By host and port, when that was, in seconds of the monotonic clock, and whether it was TLS that failed."""

    def __bool__(self) -> bool:
        return bool(self._failed)

    def note(self, address: tuple[str, int], *, tls: bool = False) -> None:
        """Remember that connecting failed, or the handshake of TLS."""
        if len(self._failed) >= 256:
            self._failed.clear()
        self._failed[address] = time.monotonic(), tls

    async def answer(self, flow: http.HTTPFlow, rewriting: Rewriting) -> None:
        """Answer in the place of a server that still can't be reached; requests for others, or out of scope, pass."""
        address = (flow.request.host, flow.request.port)
        failed, tls = self._failed.get(address, (None, False))
        if failed is None or flow.server_conn.via is not None or is_repeated(flow):
            return
        # The first three come after us, and may answer without that server; with the others mitmproxy may trust a
        # certificate that we would not.
        if any(getattr(ctx.options, name, None) for name in (*_ANSWERERS, *(_TRUST if tls else ()))):
            return
        if time.monotonic() - failed > UNREACHABLE_SECONDS:
            del self._failed[address]
            return
        if not rewriting.in_scope(flow, adapter.head(flow).get(b"origin")):
            return
        try:
            opening = asyncio.open_connection(*address, ssl=True if tls else None)
            _, writer = await asyncio.wait_for(opening, CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            what = "No secure connection to" if tls else "No server answers at"
            words = f"{what} {address[0]}:{address[1]}: {str(error) or 'it took too long'}\n"
            fields = {"server": "mitmproxy (corscope)", "content-type": "text/plain; charset=utf-8"}
            flow.response = http.Response.make(502, words, fields)
        else:
            self._failed.pop(address, None)
            writer.close()


def is_repeated(flow: http.HTTPFlow) -> bool:
    """Tell a flow that is read from a file, or sent again by mitmproxy: no browser waits for its response."""
    return not flow.live or flow.is_replay == "request"


_OPTIONS: tuple[tuple[str, Any, Any, str, Sequence[str] | None], ...] = (
    (
        "cors_rewrite",
        str,
        OFF,
        (
            "Rewrite responses so that the browser lets the page have them, for the origins in cors_allow_origins "
            "only: those that it would block (blocked), every CORS exchange (all), or none (off)."
        ),
        MODES,
    ),
    (
        "cors_allow_origins",
        Sequence[str],
        [],
        (
            "Origins that rewriting may let in: https://app.example, https://*.example.com (all below it), ~regex (of "
            "the whole origin), null, or * for any."
        ),
        None,
    ),
    ("cors_filter", str, "", "Rewrite only flows that match this flow filter.", None),
    (
        "cors_preflight",
        str,
        FROM_SERVER,
        "Who answers preflights in scope: the server (its answer is rewritten where needed) or the proxy (local).",
        PREFLIGHTS,
    ),
    (
        "cors_upstream_origin",
        str,
        "",
        "Send requests in scope with this Origin, for a server that refuses the page's own.",
        None,
    ),
    (
        "cors_max_age",
        str,
        "0",
        "Access-Control-Max-Age of rewritten preflights, in seconds: how long the browser goes on without asking.",
        None,
    ),
    (
        "cors_expose_headers",
        str,
        "",
        "Header names to put into Access-Control-Expose-Headers of rewritten responses; * for all that they have.",
        None,
    ),
    (
        "cors_rewrite_cookies",
        str,
        COOKIES_OFF,
        (
            "Give Set-Cookie of rewritten responses SameSite=None and Secure (cross-site), and Partitioned too "
            "(partitioned)."
        ),
        COOKIES,
    ),
)
"""Name, type, default, help and choices of each option, as mitmproxy's Loader.add_option takes them."""

OPTIONS = frozenset(option[0] for option in _OPTIONS)


def add_options(loader: Loader) -> None:
    """Declare the options about rewriting."""
    for option in _OPTIONS:
        loader.add_option(*option)


def parse(options: optmanager.OptManager) -> Rewriting:
    """Parse the options about rewriting. Raises OptionsError."""
    mode = _choice(options.cors_rewrite, "cors_rewrite", MODES)
    try:
        allowed = parse_allowed_origins(options.cors_allow_origins, spans_public_suffix)
    except OriginPatternError as error:
        raise exceptions.OptionsError(f"cors_allow_origins: {error}.") from error
    if mode != OFF and not allowed:
        raise exceptions.OptionsError(
            f"cors_rewrite={mode} needs cors_allow_origins, whom to let in: --set cors_allow_origins=https://app.example"
        )
    upstream: bytes | None = None
    if options.cors_upstream_origin:
        try:
            upstream = parse_origin(options.cors_upstream_origin)
        except OriginPatternError as error:
            raise exceptions.OptionsError(f"cors_upstream_origin: {error}.") from error
    try:
        wanted = flow_filters.parse(options.cors_filter)
    except ValueError as error:
        raise exceptions.OptionsError(f"cors_filter: {error}") from error
    if not (options.cors_max_age.isascii() and options.cors_max_age.isdigit() and len(options.cors_max_age) < 10):
        raise exceptions.OptionsError(
            f"cors_max_age takes seconds from 0 on, such as 600, not {options.cors_max_age!r}."
        )
    settings = Settings(
        allowed=allowed,
        everything=mode == ALL,
        max_age=int(options.cors_max_age),
        expose_headers=_names(options.cors_expose_headers),
        cookies=_choice(options.cors_rewrite_cookies, "cors_rewrite_cookies", COOKIES),
    )
    local = _choice(options.cors_preflight, "cors_preflight", PREFLIGHTS) == LOCAL
    # What changes requests is part of rewriting, so that "off" leaves every byte alone.
    return Rewriting(mode, settings, wanted, local and mode != OFF, upstream if mode != OFF else None)


def _choice(value: str, option: str, choices: Sequence[str]) -> str:
    # mitmproxy itself does not hold a value from the command line to the choices.
    if value not in choices:
        raise exceptions.OptionsError(f"{option} takes {', '.join(choices)}, not {value!r}.")
    return value


def _names(value: str) -> tuple[str, ...]:
    names = tuple(name for name in value.replace(",", " ").split() if name)
    for name in names:
        if not is_token(name.encode("latin-1", "replace")):
            raise exceptions.OptionsError(
                f"cors_expose_headers: {name!r} is no header name; an example is X-Total, ETag"
            )
    return names


def put(response: http.Response, status: int, fields: Fields) -> None:
    """Put status and header fields onto a response."""
    response.headers.fields = fields
    if response.data.status_code != status:
        response.status_code = status
        # HTTP/2 has no reason phrase.
        response.reason = status_codes.RESPONSES.get(status, "") if response.http_version[:6] == "HTTP/1" else ""


def is_event_stream(fields: Fields) -> bool:
    """Tell server-sent events by their Content-Type. https://html.spec.whatwg.org/#text/event-stream"""
    essence = pick(fields, _CONTENT_TYPE).get(b"content-type", b"").partition(b";")[0]
    return essence.strip().lower() == b"text/event-stream"


_CONTENT_TYPE = Names((b"content-type",))


def empty(response: http.Response) -> None:
    """Drop a response's body; its headers say nothing of one any more."""
    response.data.content = b""
    response.trailers = None
