"""Joins the site and the lab's web for the addon: who may see them, and that nothing of theirs reaches the network."""

import logging
import weakref
from collections.abc import Collection
from typing import Final

from mitmproxy import connection, ctx, dns, exceptions, http
from mitmproxy.addonmanager import Loader
from mitmproxy.net.dns import response_codes
from mitmproxy.proxy import server_hooks
from mitmproxy.utils import human

from corscope.lab.answers import AGREEMENT_PATH, Served, answer
from corscope.lab.web import NOT_FOUND, LabWeb, read, response
from corscope.pages.guards import as_asked, plain, private
from corscope.pages.history import History
from corscope.pages.hosts import Place, is_loopback, place_of_host
from corscope.pages.playground import Playground, is_of_playground
from corscope.pages.site import Site
from corscope.pages.verification import Verification
from corscope.settings import SettingError, nearest

logger = logging.getLogger(__name__)

WHO: Final = ("off", "local", "all")
"""Who may open the pages: nobody, this machine, every client of the proxy."""

LONGEST = 2_000_000
"""Bytes that the lab's pages send at most: the report of the whole table."""


class Pages:
    """What corscope answers for by itself."""

    def __init__(self) -> None:
        self.who = "local"
        self.history = History()
        self.site = Site(self.history)
        self.lab = LabWeb()
        self.verification = Verification(self.history, self.lab.named)
        self.playground = Playground(self.history)
        self._tunnels: weakref.WeakSet[connection.Client] = weakref.WeakSet()
        """Client connections that became a tunnel to a host of ours."""

    def let_in(self, who: str) -> None:
        """Take over who may open the pages; nothing is kept for nobody."""
        self.who = who
        if who == "off":
            self.history.clear()
            self.playground.clear()

    def place(self, flow: http.HTTPFlow) -> Place | None:
        """Tell what a flow's host belongs to; None for all the world's others."""
        return place_of_host(flow.request.data.host)

    def is_private(self, flow: http.HTTPFlow) -> bool:
        """Tell whether a flow asks one of the lab's hosts for what is its page's alone; nothing lets others in."""
        if self.place(flow) is not Place.LAB:
            return False
        path = flow.request.path.partition("?")[0]
        return path == AGREEMENT_PATH or is_of_playground(path)

    async def answer_lab(self, flow: http.HTTPFlow) -> None:
        """Answer a request to the lab's web, unless it is answered."""
        try:
            refused = self._refusal(flow)
            served = private(refused) if refused else await self._lab_answer(flow)
        except Exception:
            logger.exception(f"corscope could not answer {flow.request.path.partition('?')[0]}.")
            served = private(plain(500, "corscope could not make this answer; its log says why."))
        if flow.response is None:
            self._put(flow, served)

    async def _lab_answer(self, flow: http.HTTPFlow) -> Served:
        asked = self.lab.read(flow)
        if asked.path == AGREEMENT_PATH:
            return private(await self.verification.answer(asked))
        if asked.path in ("/", "/playground") and (limit := _streams_above()) is not None:
            why = "mitmproxy then connects to a server before anything can answer, and these pages have none"
            return plain(409, f"Set stream_large_bodies to nothing, or to 2m or more, not {limit}: {why}.")
        found = self.playground.serve(asked, flow) or await self.playground.answer(asked)
        return found or answer(asked) or NOT_FOUND

    async def answer_site(self, flow: http.HTTPFlow) -> None:
        """Answer a request to the site, unless it is answered: refused, by proxyauth.

        Raises AddonHalt: neither lists of flows nor files get what is ours.
        """
        if flow.response is not None:
            raise exceptions.AddonHalt
        try:
            served = self._refusal(flow) or await self.site.answer(read(flow.request))
        except Exception:
            # As everywhere a fault of ours costs no more than it must; here that is our own page.
            logger.exception(f"corscope could not answer {flow.request.path.partition('?')[0]}.")
            served = plain(500, "corscope could not make this page; its log says why.")
        self._put(flow, private(served))
        raise exceptions.AddonHalt

    def _put(self, flow: http.HTTPFlow, served: Served) -> None:
        request = flow.request
        flow.response = response(as_asked(served, request.method, request.scheme), request.is_http2)

    def note_tunnel(self, flow: http.HTTPFlow) -> None:
        """Remember that a client's connection becomes a tunnel to a host of ours; of HTTP/2 a stream alone does."""
        if not flow.request.is_http2:
            self._tunnels.add(flow.client_conn)

    def keep_off_the_network(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Let no connection be opened for a reserved host, whatever asked for it.

        Where an upstream proxy is used, the address is that proxy's: what came through a tunnel tells.
        """
        address = data.server.address
        if (address is not None and place_of_host(address[0]) is not None) or data.client in self._tunnels:
            data.server.error = "corscope's own hosts are not on the network"

    def keep_from_upstream(self, flow: http.HTTPFlow) -> None:
        """Let nothing that is on its way to a host of ours go to an upstream proxy.

        The connection is looked for at the host itself, and there it is refused.
        """
        if flow.server_conn.via is not None and self.place(flow) is not None:
            request = flow.request
            flow.server_conn = connection.Server(address=(request.data.host, request.data.port))

    @staticmethod
    def keep_off_dns(flow: dns.DNSFlow) -> None:
        """Answer a query for a reserved host (modes dns and wireguard), which no name server is asked for."""
        if flow.live and any(place_of_host(question.name) is not None for question in flow.request.questions):
            flow.response = flow.request.fail(response_codes.NXDOMAIN)

    def _refusal(self, flow: http.HTTPFlow) -> Served | None:
        if self.who == "off":
            return plain(403, "corscope's pages are off: cors_pages is `off`.")
        peer = flow.client_conn.peername
        if self.who == "local" and not (peer and is_loopback(peer[0])):
            return plain(403, "corscope's pages are for the proxy's own machine, unless cors_pages is `all`.")
        named = flow.request.host_header
        if named is not None and place_of_host(_host(named)) is not self.place(flow):
            return plain(421, "The Host header names another site than the URL.")
        return None


class LastLook:
    """Stands behind all other addons: what one of them (map_remote, say) sends to a host of ours has no answer by then,
    and must not reach an upstream proxy.
    """

    name = "corscope_last_look"

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def request(self, flow: http.HTTPFlow) -> None:
        if flow.response is None:
            self._pages.keep_from_upstream(flow)


def _streams_above() -> str | None:
    """Return the option stream_large_bodies where it keeps what the lab's pages send from being answered."""
    limit: str | None = ctx.options.stream_large_bodies
    size = human.parse_size(limit)
    return limit if size is not None and size < LONGEST else None


def _host(authority: str) -> str:
    """Return the host of a Host header, which may have a port."""
    return authority.rpartition(":")[0] if authority.rpartition(":")[2].isdigit() else authority


def add_options(loader: Loader) -> None:
    """Add the option `cors_pages`."""
    loader.add_option(
        "cors_pages",
        str,
        "local",
        "Who may open corscope's own pages, http://corscope.test/: clients on this machine (local), every client of "
        "the proxy (all), nobody (off).",
        choices=WHO,
    )


def check_who(who: str, known: Collection[str] = WHO) -> str:
    """Return a value that `cors_pages` takes. Raises SettingError for others."""
    if who not in known:
        raise SettingError(f"cors_pages takes {', '.join(known)}, not {who!r}{nearest(who, known)}.")
    return who
