"""The mitmproxy addon: judges live and replayed flows and says so on them. Changes no byte on the wire."""

import asyncio
import contextlib
import json
import logging
import time
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from mitmproxy import command, contentviews, ctx, dns, exceptions, flow, hooks, http, tls, types
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import server_hooks
from mitmproxy.utils import asyncio_utils

from corscope import adapter, report, rewriter, rewriting
from corscope.adapter import METADATA_KEY
from corscope.advice import configuration_lines, verdict_json
from corscope.headers import Fields
from corscope.memory import bound
from corscope.model import Edit, Exchange, Kind, Outcome, Rewrite, Verdict
from corscope.modes import REPORTS, Head
from corscope.pages.hosts import Place, place_of_host
from corscope.pages.pages import LastLook, Pages, add_options, check_who
from corscope.privacy import shown_url
from corscope.report_file import ReportFile, UnusableReport, open_report, report_path
from corscope.session import DEFAULT_GRACE, Session
from corscope.settings import BROWSERS, SettingError, check_browser, check_stack, new_session, no_option, parse_silence
from corscope.stacks import STACKS
from corscope.view import NO_VERDICT, CORSContentview

logger = logging.getLogger(__name__)


MARKS = {
    Outcome.BLOCKED: ":no_entry:",
    Outcome.CONDITIONAL: ":grey_question:",
    Outcome.ALLOWED: ":white_check_mark:",
    Outcome.EXEMPT: "",
}
"""The marker of a judged flow; an exempt one gets none."""

CHANGED_TOO_LATE = "another addon changed its headers after corscope had let them pass, and then they left at once"

REWRITTEN_MARK = ":wrench:"
"""The marker of a flow whose response was rewritten."""

PLANS = 4096
"""Rewritings that are kept for when more is said of a flow."""

LOGGED = 4096
"""Flows of which it is kept that the log tells of them."""

TICK_SECONDS = 0.5
"""How often a live session is asked what the passing of time has settled."""

PACKED, PACKED_AT_REST = 250, 1000
"""Exchanges of the pages' history whose memory is put in order at each look, while flows come and while none does:
a millisecond's work, and five.
"""


class CorsAddon:
    """Judges every exchange as the browser will: options and commands begin with `cors_` and `cors.`"""

    def __init__(self) -> None:
        self.session = new_session()
        self.report: ReportFile | None = None
        self.report_path = ""
        self.last_live = 0.0
        """When the last live flow was judged, seconds of the monotonic clock; 0 before the first."""
        self.last_replayed = 0.0
        self.flows: weakref.WeakValueDictionary[str, http.HTTPFlow] = weakref.WeakValueDictionary()
        """Flows of which more may be said."""
        self.judged: dict[str, tuple[Fields, int]] = {}
        """Header fields and status by which live flows were judged, until their response is complete."""
        self.changed: list[flow.Flow] = []
        """Flows of which the user interfaces do not know yet."""
        self.faulty: set[str] = set()
        self.logged: OrderedDict[str, None] = OrderedDict()
        """Blocked flows of which the log tells, by id."""
        self.rewriting = rewriting.Rewriting()
        self.unreachable = rewriting.Unreachable()
        self.rewritten: dict[str, rewriting.Sent] = {}
        """What servers sent, of rewritten flows until their response is complete."""
        self.restored: dict[str, Edit] = {}
        """How the page's origin came back into responses, until they are complete."""
        self.plans: OrderedDict[str, Rewrite] = OrderedDict()
        """How those of them were rewritten, or would be."""
        self.requestheaders: Callable[[http.HTTPFlow], None] | None = None
        """A hook that is only there when it is needed: mitmproxy passes by what is None."""
        self.view = CORSContentview()
        self.pages = Pages()
        self.stack = ""
        """The option cors_stack: mitmproxy copies an option's value each time that it is asked for."""
        self.last_look: LastLook | None = None
        """Stands behind mitmproxy's other addons where an upstream proxy is used."""
        self.ticker: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------ lifecycle

    def load(self, loader: Loader) -> None:
        loader.add_option(
            "cors_browser",
            str,
            "auto",
            "Whose rules apply: those of the browser that sends the request (auto), of chromium or firefox, or the "
            "Fetch standard to the letter (spec).",
            choices=BROWSERS,
        )
        loader.add_option(
            "cors_grace",
            str,
            f"{DEFAULT_GRACE:g}",
            "Seconds to wait for the request that a preflight permits, before its absence is taken for a refusal.",
        )
        loader.add_option(
            "cors_report",
            str,
            "",
            "Write verdicts as JSON Lines to this path as they come; +PATH appends. A later line on the same flow_id "
            "replaces an earlier one.",
        )
        loader.add_option(
            "cors_silence",
            Sequence[str],
            [],
            "Findings that are not told, by their ids (docs/findings.md); verdicts stay what they are.",
        )
        loader.add_option(
            "cors_stack",
            str,
            "",
            f"The server software that configurations are shown for: {', '.join(STACKS)}. Empty: guessed from the "
            "responses.",
        )
        rewriting.add_options(loader)
        add_options(loader)
        contentviews.registry.register(self.view)

    def configure(self, updated: set[str]) -> None:
        try:
            self.take(updated)
        except (exceptions.OptionsError, SettingError) as error:
            # A script that was just loaded is told of all options at once, and mitmproxy would show a traceback of what
            # it raises then. An error in the log ends mitmproxy's start just as well, in one line.
            if not updated.issuperset(ctx.options.keys()):
                raise exceptions.OptionsError(str(error)) from error
            logger.error(str(error))

    def take(self, updated: set[str]) -> None:
        """Take over the options that have changed. Raises OptionsError or SettingError."""
        if "cors_grace" in updated:
            self.session.grace = self.pages.verification.grace = parse_grace(ctx.options.cors_grace)
        if "cors_browser" in updated and ctx.options.cors_browser != self.session.browser:
            # mitmproxy itself does not hold a value from the command line to the choices.
            check_browser("cors_browser", ctx.options.cors_browser)
            self.session.use_rules(ctx.options.cors_browser)
            self.pages.verification.rules = ctx.options.cors_browser
        if "cors_silence" in updated:
            self.session.silence = parse_silence("cors_silence", ctx.options.cors_silence)
        if "cors_stack" in updated:
            if ctx.options.cors_stack:
                check_stack("cors_stack", ctx.options.cors_stack)
            self.stack = self.pages.site.live.stack = ctx.options.cors_stack
        if "mode" in updated and has_upstream():
            # What is streamed to a host of ours would be on its way to the upstream proxy before `request`.
            self.requestheaders = self.early
            if self.ticker is not None:
                self.look_last()
        if "cors_pages" in updated:
            self.pages.let_in(check_who(ctx.options.cors_pages))
        if rewriting.OPTIONS & updated:
            warned = self.rewriting.on and self.rewriting.settings.allowed.any
            self.rewriting = rewriting.parse(ctx.options)
            if self.rewriting.upstream_origin is not None:
                self.requestheaders = self.early
            if self.rewriting.on and self.rewriting.settings.allowed.any and not warned:
                logger.warning(
                    "cors_allow_origins=*: any site open in this browser can now read credentialed answers through the "
                    "proxy. Name the origins you develop instead."
                )
        if "cors_report" in updated and ctx.options.cors_report != self.report_path:
            try:
                opened = open_report(ctx.options.cors_report) if ctx.options.cors_report else None
            except UnusableReport as error:
                raise exceptions.OptionsError(f"cors_report: {error}.") from error
            self.close_report()
            self.report, self.report_path = opened, ctx.options.cors_report

    def running(self) -> None:
        for name in ctx.options.deferred:
            if name.startswith("cors_"):
                # mitmproxy keeps it for a script that may know it. Who mistyped it would wait for what never comes.
                logger.error(f"corscope: {no_option(name, ctx.options.keys())}.")
        if "web_columns" in ctx.options and not ctx.options.has_changed("web_columns"):
            columns = list(ctx.options.web_columns)
            if "comment" not in columns:
                ctx.options.update(web_columns=[*columns, "comment"])
        if ctx.master.addons.get("view") is not None:
            # A list takes flows in before `request`, the first one of our own pages too.
            self.requestheaders = self.early
        if self.ticker is None:
            self.ticker = asyncio_utils.create_task(self.tick(), name="corscope", keep_ref=True)
        if has_upstream():
            self.look_last()

    def look_last(self) -> None:
        """Put an addon behind all others: scripts are asked before map_remote is, which may name a host of ours."""
        if self.last_look is None:
            self.last_look = LastLook(self.pages)
            ctx.master.addons.add(self.last_look)

    def done(self) -> None:
        if self.last_look is not None:
            ctx.master.addons.remove(self.last_look)
            self.last_look = None
        if self.ticker is not None:
            self.ticker.cancel()
            self.ticker = None
        try:
            self.tell(self.session.finish())
        finally:
            self.close_report()
            self.pages.history.wake()

    # ------------------------------------------------------------------ hooks

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        # Whoever sends it once more wants to hear of it once more.
        self.logged.pop(flow.id, None)
        if flow.live:
            place = self.pages.place(flow)
            if place is Place.SITE:
                # From now on also before it is listed, which nobody pays for who never opens our pages.
                self.requestheaders = self.early
                return self.pages.answer_site(flow)
            # By another addon, which may have refused it: proxyauth does.
            answered = flow.response is not None
            self.guard(flow, self.begin)
            if self.rewriting.local_preflights and not self.pages.is_private(flow):
                self.guard(flow, self.rewriting.answer_preflight)
            if place is Place.LAB and not answered:
                return self.pages.answer_lab(flow)
            if self.unreachable and self.rewriting.on and flow.response is None:
                return self.unreachable.answer(flow, self.rewriting)
        return None

    def early(self, flow: http.HTTPFlow) -> None:
        """Keep our own pages' traffic from lists and files and from upstream proxies, and do what the option
        cors_upstream_origin says before a streamed request's headers leave.
        """
        self.pages.keep_from_upstream(flow)
        self.pass_over(flow)
        if self.rewriting.upstream_origin is not None and not self.pages.is_private(flow):
            self.guard(flow, self.rewriting.send_as_upstream)

    def pass_over(self, flow: http.HTTPFlow) -> None:
        """Raise AddonHalt for a flow of our own pages, so that no other addon gets to see it."""
        if flow.live and self.pages.place(flow) is Place.SITE:
            raise exceptions.AddonHalt

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Take a tunnel to a host of ours without connecting anywhere, which mitmproxy does first unless it is lazy.

        One that another addon refuses (proxyauth, say) stays refused.
        """
        if place_of_host(flow.request.data.host) is not None and flow.response is None:
            self.pages.note_tunnel(flow)
            flow.response = http.Response.make(200)
            flow.response.reason = "Connection established"
            del flow.response.headers["content-length"]

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """Raise AddonHalt for a host of ours: the next addon would have mitmproxy ask the server for TLS first."""
        address = data.context.server.address
        if address is not None and place_of_host(address[0]) is not None:
            raise exceptions.AddonHalt

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        self.pages.keep_off_the_network(data)

    def dns_request(self, flow: dns.DNSFlow) -> None:
        self.pages.keep_off_dns(flow)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        self.pass_over(flow)
        self.guard(flow, self.judge)

    def response(self, flow: http.HTTPFlow) -> None:
        """Judge again what another addon (modify_headers, say) changed before the browser sees it."""
        self.pass_over(flow)
        judged = self.judged.pop(flow.id, None)
        response = flow.response
        if judged is None or response is None:
            return
        if response.data.headers.fields is not judged[0] or response.data.status_code != judged[1]:
            self.guard(flow, self.judge_departed if response.stream else self.judge)
            self.judged.pop(flow.id, None)
        self.restored.pop(flow.id, None)
        if flow.id in self.rewritten:
            self.guard(flow, self.complete)

    def server_connect_error(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Remember where no server answers, so that a page can be told so in words that it can read."""
        if self.rewriting.on and data.server.address is not None:
            self.unreachable.note(data.server.address[:2])

    def tls_failed_server(self, data: tls.TlsData) -> None:
        """Remember where TLS failed, likewise."""
        address = data.context.server.address
        if self.rewriting.on and address is not None:
            self.unreachable.note(address[:2], tls=True)

    def error(self, flow: http.HTTPFlow) -> None:
        self.pass_over(flow)
        self.judged.pop(flow.id, None)
        self.restored.pop(flow.id, None)
        self.rewritten.pop(flow.id, None)
        # Of a response that is not streamed nothing has left before it is complete: an error page goes in its place.
        if flow.response is None or not flow.response.stream:
            self.guard(flow, self.fail)

    def guard(self, flow: http.HTTPFlow, act: Callable[[http.HTTPFlow], None]) -> None:
        """Keep a fault of ours from the flow: it passes as it is, and the fault is logged once with its URL."""
        try:
            act(flow)
        except Exception:
            if flow.id not in self.faulty:
                if len(self.faulty) >= 10_000:
                    self.faulty.clear()
                self.faulty.add(flow.id)
                logger.exception(f"corscope could not judge {shown_url(flow.request.url)}; the flow is untouched.")

    def begin(self, flow: http.HTTPFlow) -> None:
        if not self.session.waits_for(adapter.path_of(flow)):
            return
        headers = adapter.head(flow)
        if b"origin" in headers or headers.get(b"content-type") == REPORTS:
            client = adapter.client_key(flow, headers)
            self.tell(self.session.begin(adapter.exchange(flow, client, headers, answered=False)))

    def fail(self, flow: http.HTTPFlow) -> None:
        """Judge what mitmproxy answers in the server's place: to the page it looks like a CORS failure."""
        head = adapter.head(flow)
        exchange = adapter.failed_exchange(flow, adapter.client_key(flow, head), head)
        if exchange is None or (b"origin" not in head and self.report is None):
            if flow.response is None:
                self.begin(flow)
            return
        # Nothing that was planned for the server's response has come true.
        self.plans.pop(flow.id, None)
        own, *others = self.session.judge(exchange)
        if not own.complete:
            self.flows[flow.id] = flow
        self.write(own, self.say(flow, own) if own.outcome is not Outcome.EXEMPT else None)
        self.tell(others)

    def judge_departed(self, flow: http.HTTPFlow) -> None:
        """Judge a streamed response that another addon has changed: its headers have left, and stay what they are."""
        self.judge(flow, departed=True)

    def judge(self, flow: http.HTTPFlow, *, departed: bool = False) -> None:
        response = flow.response
        if response is None:
            return
        if flow.live:
            self.last_live = time.monotonic()
        else:
            self.last_replayed = time.monotonic()
        headers = adapter.head(flow)
        client = adapter.client_key(flow, headers)
        # Every exchange gets a line in a report, and the lab asks for each of its own; other ordinary traffic is let by
        # at once.
        if (
            self.report is None
            and self.pages.place(flow) is not Place.LAB
            and self.session.pass_by(
                client,
                flow.client_conn.id,
                flow.request.data.timestamp_start,
                headers,
                response.data.headers.fields,
                response.data.status_code,
                flow,
                adapter.url_of,
            )
        ):
            self.pages.history.passed_by += 1
            return
        if flow.live and adapter.PAGE_ORIGIN in flow.metadata and (restored := rewriting.restore_origin(flow)):
            self.restored[flow.id] = restored
        exchange = adapter.exchange(flow, client, headers)
        exchange.edited = self.is_edited(flow)
        verdicts = self.session.judge(exchange)
        if exchange.status is None:
            self.tell(verdicts)
            return
        rewrite: Rewrite | None = None
        changed: Exchange | None = None
        if flow.id in self.rewritten:
            # Another addon changed it after us: what leaves is judged, and not changed once more.
            rewrite = self.rewritten[flow.id].rewrite
        elif flow.live and adapter.LOCAL_ANSWER in flow.metadata:
            edits = rewriter.plan(exchange.with_response(204, ()), headers, self.rewriting.settings)
            rewrite = Rewrite(edits, True, verdicts[0], notes=("answered by the proxy, the server was not asked",))
        elif (
            (asked := self.pages.playground.rewriting_of(flow) or self.rewriting).on
            and asked.wants(flow, headers, verdicts[0])
            and not (flow.live and self.pages.is_private(flow))
        ):
            if not departed:
                rewrite, changed, verdicts = self.mend(flow, exchange, headers, verdicts, asked.settings)
            elif rewriter.mends(verdicts[0], asked.settings):
                rewrite = Rewrite((), False, verdicts[0], CHANGED_TOO_LATE)
        own = verdicts[0]
        if flow.live and adapter.PAGE_ORIGIN in flow.metadata:
            said = f"the server was asked with Origin: {flow.request.headers['origin']}, as cors_upstream_origin says"
            rewrite = rewrite or Rewrite((), True, own)
            if rewrite.applied:
                rewrite = rewrite._replace(edits=rewriting.with_restored(rewrite.edits, self.restored.get(flow.id)))
            if said not in rewrite.notes:
                rewrite = rewrite._replace(notes=(*rewrite.notes, said))
        if not own.complete:
            self.flows[flow.id] = flow
            if rewrite is not None:
                self.plans[flow.id] = rewrite
                bound(self.plans, PLANS)
        subject = own.origin is not None or own.outcome is not Outcome.EXEMPT or bool(own.findings)
        data = self.say(flow, own, rewrite) if subject else None
        self.write(own, data, rewrite)
        # Only now, so that a fault while saying it leaves the response as it is.
        if changed is not None and rewrite is not None:
            self.apply(flow, changed, rewrite)
        if flow.live and own.origin is not None:
            self.judged[flow.id] = (response.data.headers.fields, response.data.status_code)
        if len(verdicts) > 1:
            self.tell(verdicts[1:])

    # ------------------------------------------------------------------ rewriting

    def is_edited(self, flow: http.HTTPFlow) -> bool:
        """Tell whether the headers of a flow's response are our own work, now or when the flow was recorded."""
        if flow.id in self.rewritten:
            return True
        metadata = flow.metadata
        if flow.live:
            return adapter.PAGE_ORIGIN in metadata or adapter.LOCAL_ANSWER in metadata
        return adapter.was_edited(metadata)

    def mend(
        self,
        flow: http.HTTPFlow,
        exchange: Exchange,
        head: Head,
        verdicts: list[Verdict],
        settings: rewriter.Settings,
    ) -> tuple[Rewrite | None, Exchange | None, list[Verdict]]:
        """Plan the rewriting of a judged flow's response, and judge the result.

        Returns what is to be said, the exchange as it is to be made (None where it passes as it came), and verdicts.
        Of what no browser waits for only the plan is told.
        """
        was = verdicts[0]
        drafted = self.draft(exchange, head, was, settings)
        if drafted.why_not or (was.outcome is Outcome.ALLOWED and not drafted.edits):
            return (drafted if drafted.why_not or drafted.notes else None), None, verdicts
        changed = rewriter.edited(exchange, drafted.edits)
        if rewriting.is_repeated(flow):
            return hold(drafted, self.judge_alone(changed)), None, verdicts
        again = self.session.judge(changed)
        held = hold(drafted, again[0])
        if held.why_not:
            back = self.session.judge(exchange)
            return held, None, [back[0], *verdicts[1:], *again[1:], *back[1:]]
        done = Rewrite(held.edits, True, was, notes=held.notes)
        return done, changed, [again[0], *verdicts[1:], *again[1:]]

    @staticmethod
    def draft(exchange: Exchange, head: Head, was: Verdict, settings: rewriter.Settings) -> Rewrite:
        """Plan the rewriting of a response; the result is yet to be judged."""
        notes = rewriter.notes(exchange, settings)
        beyond = rewriter.beyond_headers(was)
        if beyond is not None:
            return Rewrite((), False, was, f"no header mends {beyond}", notes)
        edits = rewriter.plan(exchange, head, settings, mend=rewriter.mends(was, settings))
        return Rewrite(edits, False, was, notes=notes)

    def judge_alone(self, exchange: Exchange) -> Verdict:
        """Judge an exchange by itself, without what the session knows."""
        return Session(browser=self.session.browser).judge(exchange)[0]

    def apply(self, flow: http.HTTPFlow, changed: Exchange, rewrite: Rewrite) -> None:
        """Put a planned rewriting onto a flow's response, before its headers leave."""
        response = flow.response
        assert response is not None
        without_body = rewriter.drops_body(rewrite.edits)
        self.rewritten[flow.id] = rewriting.Sent(response.status_code, response.headers.fields, rewrite, without_body)
        rewriting.put(response, changed.status or 0, changed.response_headers)
        if without_body:
            # mitmproxy may begin to stream when it sees how long the body is: then nothing of it is passed on.
            swallows = response.stream or getattr(ctx.options, "stream_large_bodies", None)
            response.stream = (lambda _: b"") if swallows else False
        elif rewriting.is_event_stream(changed.response_headers):
            # mitmproxy would wait for its end, which may never come, and the page could not have what it may have.
            response.stream = response.stream or True

    def complete(self, flow: http.HTTPFlow) -> None:
        """Finish what could not be done while a rewritten response was still on its way."""
        response = flow.response
        sent = self.rewritten.pop(flow.id)
        if response is None:
            return
        if ctx.master.addons.get("view") is not None:
            # For the user's Revert: the whole response as the server sent it, with what is to be said of that.
            now = response.status_code, response.headers.fields
            said = flow.comment, flow.marked, flow.metadata
            try:
                rewriting.put(response, sent.status, sent.fields)
                flow.metadata = dict(flow.metadata)
                self.inscribe(flow, sent.rewrite.was)
                flow.backup()
            finally:
                rewriting.put(response, *now)
                flow.comment, flow.marked, flow.metadata = said
        if sent.without_body:
            rewriting.empty(response)

    # ------------------------------------------------------------------ saying it

    def say(self, flow: http.HTTPFlow, verdict: Verdict, rewrite: Rewrite | None = None) -> dict[str, Any]:
        """Write a verdict onto its flow and into the log; returns it as JSON values."""
        data = self.inscribe(flow, verdict, rewrite)
        self.log(verdict)
        return data

    def log(self, verdict: Verdict) -> None:
        """Write a blocked exchange into the log, once, unless its reason is silenced."""
        if verdict.outcome is not Outcome.BLOCKED:
            self.logged.pop(verdict.flow_id, None)
        elif verdict.flow_id not in self.logged:
            self.logged[verdict.flow_id] = None
            bound(self.logged, LOGGED)
            if verdict.reason is None or verdict.reason.id not in self.session.silence:
                logger.warning(report.log_line(verdict))

    def inscribe(self, flow: http.HTTPFlow, verdict: Verdict, rewrite: Rewrite | None = None) -> dict[str, Any]:
        """Write a verdict onto its flow, sparing what the user wrote there."""
        before = adapter.told(flow.metadata)
        data = self.as_json(verdict, rewrite)
        stack = ""
        if "fix" in data and data["fix"]["stack"] is not None:
            stack = "{title} ({evidence})".format(**data["fix"]["stack"])
        if rewrite is None and before is not None and not flow.live and adapter.was_rewritten(before):
            # Of a saved flow that was rewritten, what was said then still holds.
            flow.metadata[METADATA_KEY] = {**before, **data}
            return {**data, "rewrite": before["rewrite"]}
        said = dict(data)
        if flow.comment == "" or (before is not None and before.get("comment") == zlib.crc32(flow.comment.encode())):
            flow.comment = report.comment(verdict, rewrite, stack, data.get("fix"))
            said["comment"] = zlib.crc32(flow.comment.encode())
        if flow.marked == "" or (before is not None and before.get("mark") == flow.marked):
            unsure = verdict.outcome is Outcome.EXEMPT and verdict.reason is not None
            flow.marked = MARKS[Outcome.CONDITIONAL if unsure else verdict.outcome]
            if rewrite is not None and rewrite.applied:
                flow.marked = REWRITTEN_MARK
            said["mark"] = flow.marked
        flow.metadata[METADATA_KEY] = said
        return data

    def as_json(self, verdict: Verdict, rewrite: Rewrite | None = None) -> dict[str, Any]:
        """Return a verdict as JSON values, with what the user's own server software needs."""
        return verdict_json(verdict, rewrite, stack=self.stack)

    def tell(self, verdicts: Sequence[Verdict]) -> None:
        """Pass on what more is said of earlier exchanges."""
        for verdict in verdicts:
            flow = self.flows.get(verdict.flow_id)
            plan = self.plans.get(verdict.flow_id)
            if plan is not None and plan.applied and verdict.kind is Kind.PREFLIGHT:
                # It permits what is asked for in any mode, and all that is to be mended has been said.
                continue
            if plan is not None and not plan.applied and verdict.outcome is Outcome.ALLOWED:
                plan = None
            rewritten = flow is not None and adapter.was_rewritten(adapter.told(flow.metadata) or {})
            # Where the user has rewritten it since, or reverted that, it shows another response than was judged.
            if flow is not None and rewritten == (plan is not None and plan.applied):
                self.write(verdict, self.say(flow, verdict, plan), plan)
                self.show(flow)
            else:
                self.write(verdict, self.as_json(verdict, plan) if plan is not None else None, plan)
                self.log(verdict)

    def show(self, flow: flow.Flow) -> None:
        """Let the user interfaces know of a changed flow; those of a moment go together, for each call costs.

        mitmdump has no list of flows to be told of it.
        """
        if ctx.master.addons.get("view") is None:
            return
        if not self.changed:
            asyncio_utils.create_task(self.tell_views(), name="corscope update", keep_ref=True)
        self.changed.append(flow)

    async def tell_views(self) -> None:
        """Tell mitmproxy which flows have changed."""
        changed, self.changed = self.changed, []
        await ctx.master.addons.trigger_event(hooks.UpdateHook(changed))

    async def tick(self) -> None:
        """Let time settle what nothing follows; a replay is at its end when no flow comes any more."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                self.pass_time()
            except Exception:
                logger.exception("corscope could not settle what waits; it goes on.")

    def pass_time(self) -> None:
        """Tell what has been settled by the time that passed."""
        now = time.monotonic()
        if self.last_live > self.last_replayed:
            self.tell(self.session.settle(time.time()))
        elif self.last_replayed and now - self.last_replayed > 2 * TICK_SECONDS:
            self.last_replayed = 0.0
            self.tell(self.session.finish())
        self.pages.history.pack(PACKED if now - self.last_live < TICK_SECONDS else PACKED_AT_REST)

    def write(self, verdict: Verdict, data: dict[str, Any] | None = None, rewrite: Rewrite | None = None) -> None:
        """Write a verdict into the report and the pages' history; `data` is its JSON form, where that is there."""
        if self.pages.who != "off":
            self.pages.history.note(verdict, rewrite)
        if self.report is None:
            return
        try:
            self.report.write(
                json.dumps(data if data is not None else self.as_json(verdict), ensure_ascii=False) + "\n"
            )
            self.report.flush()
        except OSError as error:
            logger.error(f"cors_report: {self.report_path} can't be written any more: {error}. Reporting has stopped.")
            self.close_report(told=True)

    def close_report(self, *, told: bool = False) -> None:
        """Close the report; `told` says that the user knows already that it is not complete."""
        opened, self.report = self.report, None
        if opened is None:
            return
        try:
            opened.close()
        except OSError as error:
            if not told:
                logger.error(f"cors_report: {self.report_path} is not complete: {error.strerror or error}.")

    # ------------------------------------------------------------------ commands

    @command.command("cors.explain")
    def explain(self, flows: Sequence[flow.Flow]) -> types.Data:
        """Explain the verdicts on flows, line by line."""
        lines: list[list[str]] = []
        for one in flows:
            data = adapter.told(one.metadata)
            if data is None:
                lines.append(["no CORS verdict", getattr(one, "id", "")])
                continue
            try:
                lines += [[line] for line in report.explanation(data)]
            except adapter.NOT_OURS:
                lines.append([NO_VERDICT, getattr(one, "id", "")])
        return lines  # type: ignore[return-value]

    @command.command("cors.report")
    def save_report(self, flows: Sequence[flow.Flow], path: types.Path) -> None:
        """Write the verdicts on flows as JSON Lines."""
        lines = [data for one in flows if (data := adapter.told(one.metadata)) is not None]
        try:
            target = report_path(str(path))
            if self.report is not None and _is_same_file(target, report_path(self.report_path)):
                raise UnusableReport(f"{target} is where cors_report writes just now: name another file")
            with contextlib.closing(open_report(str(path))) as file:
                for data in lines:
                    file.write(json.dumps(data, ensure_ascii=False) + "\n")
        except OSError as error:
            raise exceptions.CommandError(f"cors.report: {path} can't be written: {error}") from error
        except UnusableReport as error:
            raise exceptions.CommandError(f"cors.report: {error}.") from error
        logger.info(f"Wrote {len(lines)} CORS verdicts to {path}.")

    @command.command("cors.fix")
    def fix(self, flows: Sequence[flow.Flow], stack: str = "") -> types.Data:
        """Show the smallest change that mends flows, and the configuration of a server software for it."""
        if stack:
            try:
                check_stack("cors.fix", stack)
            except SettingError as error:
                raise exceptions.CommandError(str(error)) from error
        lines: list[list[str]] = []
        for one in flows:
            data = adapter.told(one.metadata) or {}
            if "fix" not in data:
                lines.append(["nothing to mend, or no header mends it", getattr(one, "id", "")])
                continue
            try:
                shown = [*report.fix_lines(data["fix"]), *configuration_lines(data, stack)]
                guessed = data["fix"].get("stack")
            except adapter.NOT_OURS:
                lines.append([NO_VERDICT, getattr(one, "id", "")])
                continue
            if not stack and guessed is None:
                shown += ["", f"For a configuration name the server software: {', '.join(STACKS)}"]
            lines += [[line] for line in shown[1:]]
        return lines  # type: ignore[return-value]

    def planned(self, one: flow.Flow) -> tuple[Exchange | None, Rewrite | None]:
        """Plan the rewriting of a selected flow by itself; None and None where there is nothing to judge."""
        if not isinstance(one, http.HTTPFlow) or one.response is None:
            return None, None
        head = adapter.head(one)
        exchange = adapter.exchange(one, adapter.client_key(one, head), head)
        if exchange.status is None:
            return None, None
        was = self.judge_alone(exchange)
        if why_not := self.rewriting.why_not(one, head, was):
            return exchange, Rewrite((), False, was, why_not)
        drafted = self.draft(exchange, head, was, self.rewriting.settings)
        after = self.judge_alone(rewriter.edited(exchange, drafted.edits))
        return exchange, drafted if drafted.why_not else hold(drafted, after)

    @command.command("cors.plan")
    def plan(self, flows: Sequence[flow.Flow]) -> types.Data:
        """Show what rewriting would change of flows, without changing anything."""
        lines: list[list[str]] = []
        for one in flows:
            _, rewrite = self.planned(one)
            if rewrite is None:
                lines.append(["no response to rewrite"])
            else:
                lines += [[line] for line in (report.log_line(rewrite.was), *report.changes(rewrite))]
        return lines  # type: ignore[return-value]

    @command.command("cors.rewrite")
    def rewrite(self, flows: Sequence[flow.Flow]) -> None:
        """Rewrite the responses of flows as cors_rewrite does; Revert takes it back."""
        for one in flows:
            exchange, rewrite = self.planned(one)
            if exchange is None or rewrite is None or not isinstance(one, http.HTTPFlow) or one.response is None:
                logger.warning("cors.rewrite: a flow without a response is left as it is.")
            elif rewrite.why_not or not rewrite.edits:
                logger.warning(f"cors.rewrite: {shown_url(one.request.url)}: {report.changes(rewrite)[0]}")
            else:
                one.backup()
                changed = rewriter.edited(exchange, rewrite.edits)
                rewriting.put(one.response, changed.status or 0, changed.response_headers)
                if rewriter.drops_body(rewrite.edits):
                    rewriting.empty(one.response)
                self.say(one, self.judge_alone(changed), rewrite._replace(applied=True))
                self.show(one)

    @command.command("cors.clear")
    def clear(self, flows: Sequence[flow.Flow]) -> None:
        """Remove verdicts, with our comments and marks, from flows, and forget what the session learned."""
        self.session.clear()
        self.plans.clear()
        self.pages.history.clear()
        for one in flows:
            data = adapter.told(one.metadata)
            if data is None:
                continue
            del one.metadata[METADATA_KEY]
            if data.get("comment") == zlib.crc32(one.comment.encode()):
                one.comment = ""
            if data.get("mark") == one.marked:
                one.marked = ""
            self.show(one)


def hold(drafted: Rewrite, after: Verdict) -> Rewrite:
    """Keep to a draft only if the edited exchange comes out allowed; otherwise nothing is edited, and why is said."""
    if after.outcome is Outcome.ALLOWED or not rewriter.is_subject(after):
        return drafted
    return drafted._replace(edits=(), why_not=f"it would stay {after.outcome}: {report.headline(after)}")


def has_upstream() -> bool:
    """Tell whether the proxy hands requests on to another one."""
    return any(mode.startswith("upstream") for mode in ctx.options.mode)


def parse_grace(value: str) -> float:
    """Parse `cors_grace`: seconds, at least 0. Raises OptionsError."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 3600:
        raise exceptions.OptionsError(f"cors_grace takes seconds from 0 to 3599, such as 3 or 0.5, not {value!r}.")
    return seconds


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False
