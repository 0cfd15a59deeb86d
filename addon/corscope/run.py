"""Starts mitmproxy with the addon, and on request a browser beside it: what `scripts/run` runs in its environment.

mitmproxy runs in this process, with one small addon more, `Companion`, so that ports, hosts and folders are taken from
mitmproxy's own options however they were set. The help is `scripts/run -h`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.master import Master
from mitmproxy.options import CONF_BASENAME, Options
from mitmproxy.proxy import mode_specs
from mitmproxy.tools import cmdline, main

from corscope.browsers import BROWSER_NAMES, Browser, BrowserFailure, find_browser, find_browsers, kind_of, launch
from corscope.settings import no_option

ADDON = Path(__file__).resolve().parent.parent / "cors_addon.py"
EARLY_END_SECONDS = 5.0
"""A browser that ends with an error this soon was not closed by its user."""

logger = logging.getLogger(__name__)


class StartFailure(Exception):
    """What was asked for can't be started; the message is one line that says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line asks of us; the rest of it is mitmproxy's."""

    tool: str
    """`mitmweb`, `mitmproxy` or `mitmdump`."""
    browser: str | None
    """A browser's name or path, the empty string for whichever there is, None for none."""
    url: str
    """The page that the browser opens."""
    headless: bool
    arguments: tuple[str, ...]
    """mitmproxy's arguments."""


def parse(arguments: Sequence[str]) -> Wish:
    """Tells our own arguments from mitmproxy's.

    Raises StartFailure if ours contradict each other.
    """
    tools = []
    browser = None
    url = "about:blank"
    headless = False
    passed = []
    for argument, following in pairwise((*arguments, "")):
        name, has_value, value = argument.partition("=")
        if not has_value and (name == "--url" or (name == "--browser" and following.lower() in BROWSER_NAMES)):
            raise StartFailure(
                f"{name} has what belongs to it behind an =: {name}={following or 'http://localhost:3000'}"
            )
        if argument == "--tui":
            tools.append("mitmproxy")
        elif argument == "--dump":
            tools.append("mitmdump")
        elif argument == "--headless":
            headless = True
        elif name == "--browser":
            browser = value
        elif name == "--url" and has_value:
            url = value
        else:
            passed.append(argument)
    if len(set(tools)) > 1:
        raise StartFailure("--tui and --dump exclude each other: leave one of them out")
    if browser is None and (headless or url != "about:blank"):
        raise StartFailure("--headless and --url say how --browser is to start: add --browser")
    tool = tools[0] if tools else "mitmweb"
    return Wish(tool=tool, browser=browser, url=url, headless=headless, arguments=tuple(passed))


def choose_browser(name: str, headless: bool) -> Path:
    """Returns the executable of the browser that is wanted; of any that is installed if the name is empty.

    Raises StartFailure if there is none, or no display to show it on.
    """
    if (
        sys.platform == "linux"
        and not headless
        and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    ):
        raise StartFailure(
            "--browser needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set: run this in a desktop session,"
            " or leave out --browser and point a browser elsewhere at the proxy"
        )
    if not name:
        if found := find_browsers():
            return next(iter(found.values()))
        raise StartFailure("no browser was found: install Chrome, Chromium, Edge or Firefox, or give --browser=PATH")
    try:
        path = find_browser(name.lower())
    except ValueError:
        path = Path(name).expanduser()
        if path.suffix == ".app":
            path = next(iter(sorted((path / "Contents" / "MacOS").glob("*"))), path)
        if path.is_file() and os.access(path, os.X_OK):
            return path.absolute()
        raise StartFailure(
            f"--browser={name}: that is no program; give chrome, chromium, edge, firefox, or the path of one"
        ) from None
    if path:
        return path
    others = ", ".join(f"--browser={path}" for path in find_browsers().values())
    raise StartFailure(
        f"{name} was not found: install it, or give --browser=PATH" + (f" (there is {others})" if others else "")
    )


# -- options -----------------------------------------------------------------------------------------------------------


def check_options(options: Options) -> None:
    """Warns of options that nothing knows, which mitmproxy keeps in case a script brings them.

    Raises StartFailure where one is meant to be ours: who mistypes it would wait for what never comes.
    """
    for name in options.deferred:
        said = no_option(name, options.keys())
        if name.startswith("cors_"):
            raise StartFailure(f"{said}; --options lists them")
        logger.warning(f"{said[0].upper()}{said[1:]}: it is ignored.")


# -- ports -------------------------------------------------------------------------------------------------------------


def check_ports(options: Options) -> None:
    """Raises StartFailure, which names the option to change, if a port that mitmproxy will listen on is taken."""
    if options.server:
        for spec in options.mode:
            mode = mode_specs.ProxyMode.parse(spec)
            port = mode.listen_port(options.listen_port)
            if port and mode.transport_protocol != "udp":
                check_port(mode.listen_host(options.listen_host), port, "the proxy", "--listen-port")
    if "web_port" in options:
        check_port(options.web_host, options.web_port, "mitmweb's page", "--web-port")


def check_port(host: str, port: int, whose: str, option: str) -> None:
    """Raises StartFailure if nobody can listen there at present. An empty host is every address; port 0 is any."""
    if not port:
        return
    try:
        places = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as fault:
        raise StartFailure(f"{whose} can't listen on {host}: {fault.strerror}") from fault
    for family, kind, protocol, _, address in places:
        try:
            probe = socket.socket(family, kind, protocol)
        except OSError:
            continue  # a machine without IPv6, which mitmproxy passes over as well
        with probe:
            if os.name == "posix":
                # As asyncio does: connections that are just closing do not count as use.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind(address)
            except OSError as fault:
                if fault.errno == errno.EADDRINUSE:
                    raise StartFailure(
                        f"port {port}, for {whose}, is in use: stop the program that uses it, or choose another with"
                        f" {option} {_free_port(port)}"
                    ) from fault
                if fault.errno == errno.EACCES:
                    raise StartFailure(
                        f"port {port}, for {whose}, is not for you to use: choose one above 1023 with {option}"
                    ) from fault
                if family == socket.AF_INET6 and not host:
                    continue
                raise StartFailure(f"{whose} can't listen on {host}, port {port}: {fault.strerror}") from fault


def _free_port(taken: int) -> int:
    """Returns a port above one that is taken; 8081 is left to mitmweb's page."""
    for port in range(taken + 2, min(taken + 100, 65536)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    return 0


# -- the browser beside the proxy --------------------------------------------------------------------------------------


class Companion:
    """A mitmproxy addon that opens a browser once the proxy listens, and closes it when the proxy ends."""

    def __init__(self, executable: Path, url: str, headless: bool) -> None:
        self._executable = executable
        self._url = url
        self._headless = headless
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, proxy: Proxyserver, options: Options) -> None:
        """Opens the browser, in a thread of its own: Firefox takes some seconds, during which the proxy must work.

        Raises StartFailure if there is no proxy for it to use.
        """
        addresses = [
            address
            for server in proxy.servers
            if isinstance(server.mode, mode_specs.RegularMode | mode_specs.UpstreamMode)
            for address in server.listen_addrs
        ]
        if not addresses:
            raise StartFailure("--browser needs a proxy to use: leave out -n and --mode, or use --mode regular")
        host, port = min((address[:2] for address in addresses), key=lambda one: ":" in one[0])
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        ca_file = Path(options.confdir).expanduser() / f"{CONF_BASENAME}-ca-cert.pem"
        self._thread = threading.Thread(target=self._accompany, args=(host, port, ca_file), name="browser")
        self._thread.start()

    def close(self) -> None:
        """Closes the browser and removes its profile."""
        self._ending.set()
        if self._thread:
            self._thread.join()

    def _accompany(self, host: str, port: int, ca_file: Path) -> None:
        name = self._executable.name
        logger.info(f"Opening {name} on a throw-away profile that uses the proxy and trusts {ca_file} ...")
        try:
            browser = launch(
                kind_of(self._executable),
                self._executable,
                self._url,
                proxy_host=host,
                proxy_port=port,
                ca_file=ca_file,
                headless=self._headless,
            )
        except BrowserFailure as failure:
            logger.error(f"{name} was not opened: {failure}")
            return
        with browser:
            self._watch(browser, name)

    def _watch(self, browser: Browser, name: str) -> None:
        waited = 0.0
        while not self._ending.wait(0.25):
            waited += 0.25
            code = browser.process.poll()
            if code is None:
                continue
            if code and waited < EARLY_END_SECONDS:
                logger.error(f"{name} ended at once with exit code {code}: {browser.last_words()}")
            else:
                logger.info(f"{name} was closed; the proxy goes on. Ctrl-C ends it.")
            return


# -- mitmproxy ---------------------------------------------------------------------------------------------------------


def master_class_of(tool: str) -> type[Master]:
    """Returns what mitmproxy calls the master of one of its three tools; each is slow to import."""
    if tool == "mitmproxy":
        from mitmproxy.tools.console.master import ConsoleMaster

        return ConsoleMaster
    if tool == "mitmdump":
        from mitmproxy.tools.dump import DumpMaster

        return DumpMaster
    from mitmproxy.tools.web.master import WebMaster

    return WebMaster


def supervised(master_class: type[Master], companion: Companion | None) -> type[Master]:
    """Returns mitmproxy's master with our checks before its start and the browser at its end."""

    class Supervised(master_class):  # type: ignore[valid-type, misc]
        async def run(self) -> None:
            check_ports(self.options)
            # A closed terminal is to end us in an orderly way: otherwise the browser would stay. Not under nohup.
            if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
                terminal = [number for number in (1, 2) if os.isatty(number)]

                def shutdown() -> None:
                    self.shutdown()
                    let_go_of(terminal)

                def leave(*_: object) -> None:
                    let_go_of(terminal)
                    sys.exit(128 + signal.SIGHUP)

                if master_class.__name__ == "ConsoleMaster":
                    # urwid (display/_posix_raw_display.py) reads a terminal that is gone for ever and ever, so that the
                    # event loop never comes to a handler of its own.
                    signal.signal(signal.SIGHUP, leave)
                else:
                    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, shutdown)
            await super().run()

        async def running(self) -> None:
            # Scripts have been loaded by now, and with them their options.
            check_options(self.options)
            await super().running()
            if companion:
                companion.start(self.addons.get("proxyserver"), self.options)

    return Supervised


def let_go_of(terminal: Iterable[int]) -> None:
    """Sends nowhere what is still to be written to a terminal that is gone: failing, it would decide our exit code.

    `terminal` are the file descriptors that led there. One that is still there, for somebody else sent the signal, gets
    all of it, and with that its own state back.
    """
    gone = [number for number in terminal if not os.isatty(number)]
    if gone:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in gone:
            os.dup2(nowhere, number)
        os.close(nowhere)


def filter_options(parsed: Any) -> dict[str, str]:  # noqa: ANN401 - mitmproxy passes an argparse namespace
    """Returns the options that mitmdump's filter argument stands for, as mitmdump itself does."""
    expression = " ".join(parsed.filter_args)
    options = ("save_stream_filter", "readfile_filter", "dumper_filter")
    return dict.fromkeys(options, expression) if expression else {}


_LISTS = frozenset(("--commands", "--options", "--version"))
"""What makes mitmproxy print something and end."""


def start(wish: Wish) -> None:
    """Runs mitmproxy until it ends. Raises StartFailure, or SystemExit with mitmproxy's own code."""
    in_a_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if wish.tool == "mitmproxy" and not in_a_terminal and _LISTS.isdisjoint(wish.arguments):
        raise StartFailure("--tui needs a terminal: run it in one, or take mitmweb, or mitmdump with --dump")
    arguments = ["-s", str(ADDON), *wish.arguments]
    companion = None
    if wish.browser is not None:
        companion = Companion(choose_browser(wish.browser, wish.headless), wish.url, wish.headless)
        if wish.tool == "mitmweb":
            arguments.insert(0, "--no-web-open-browser")

    if wish.tool != "mitmproxy" and isinstance(sys.stdout, io.TextIOWrapper):
        # What is said goes into a pipe or a file at once, too: where the page is, and what was blocked.
        sys.stdout.reconfigure(line_buffering=True)
    extra: Callable[[Any], dict[str, str]] | None = filter_options if wish.tool == "mitmdump" else None
    sys.argv[0] = wish.tool  # the name in mitmproxy's own messages
    try:
        main.run(supervised(master_class_of(wish.tool), companion), getattr(cmdline, wish.tool), arguments, extra)
    finally:
        if companion:
            companion.close()


def run(arguments: Sequence[str]) -> int:
    """Does what the command line asks and returns the exit code: 2 for one that makes no sense."""
    wish = None
    try:
        wish = parse(arguments)
        start(wish)
    except StartFailure as failure:
        print(f"run: {failure}", file=sys.stderr)
        return 1 if wish is not None else 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
