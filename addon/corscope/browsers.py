"""Finds installed browsers, and starts them on a throw-away profile that uses a proxy and trusts its certificate.

Nothing outside the profile's folder is touched, least of all the system's trust store. Knows nothing of CORS, and of
mitmproxy only that its certificate authority is a PEM file.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Final, Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization

type Kind = Literal["chromium", "firefox"]
"""The two families, which are started in different ways: Chrome and Edge are of Chromium's."""

START_SECONDS: Final = 60.0
"""How long a browser may take until it answers; a cold start on a busy machine takes ten."""

STOP_SECONDS: Final = 5.0
"""How long a browser may take to end by itself before it is killed."""


class BrowserFailure(Exception):
    """A browser can't be started as asked; the message is one line for the user."""


# -- finding -----------------------------------------------------------------------------------------------------------

_LINUX_COMMANDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "chrome": ("google-chrome", "google-chrome-stable", "chrome"),
        "chromium": ("chromium", "chromium-browser"),
        "edge": ("microsoft-edge", "microsoft-edge-stable"),
        "firefox": ("firefox", "firefox-esr"),
    }
)
_MACOS_APPLICATIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "chrome": ("Google Chrome.app/Contents/MacOS/Google Chrome",),
        "chromium": ("Chromium.app/Contents/MacOS/Chromium",),
        "edge": ("Microsoft Edge.app/Contents/MacOS/Microsoft Edge",),
        "firefox": ("Firefox.app/Contents/MacOS/firefox", "Firefox Developer Edition.app/Contents/MacOS/firefox"),
    }
)
_WINDOWS_PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "chrome": (r"Google\Chrome\Application\chrome.exe",),
        "chromium": (r"Chromium\Application\chrome.exe",),
        "edge": (r"Microsoft\Edge\Application\msedge.exe",),
        "firefox": (r"Mozilla Firefox\firefox.exe", r"Firefox Developer Edition\firefox.exe"),
    }
)
_CHROMIUM_FAMILY: Final = ("chrome", "chromium", "edge")
"""In the order of preference: what most people develop for comes first."""


BROWSER_NAMES: Final = frozenset(_LINUX_COMMANDS)


def find_browser(name: str) -> Path | None:
    """Returns the executable of `chromium`, `chrome`, `edge` or `firefox` if it is installed.

    Raises ValueError for any other name.
    """
    if name not in BROWSER_NAMES:
        raise ValueError(f"{name!r} is not one of {', '.join(sorted(BROWSER_NAMES))}")
    return next((path for path in _places(name) if path.is_file()), None)


def find_browsers() -> dict[str, Path]:
    """Returns the executables of what is installed: of Chromium's family the best under `chromium`, and `firefox`."""
    found = {}
    for name in _CHROMIUM_FAMILY:
        if path := find_browser(name):
            found["chromium"] = path
            break
    if path := find_browser("firefox"):
        found["firefox"] = path
    return found


def kind_of(executable: Path) -> Kind:
    """Returns which family an executable belongs to, by its name."""
    firefoxes = ("firefox", "librewolf", "waterfox", "floorp", "zen")
    return "firefox" if any(name in executable.name.lower() for name in firefoxes) else "chromium"


def _places(name: str) -> Iterator[Path]:
    if sys.platform == "win32":
        for variable in ("ProgramFiles", "ProgramFiles(x86)", "LOCALAPPDATA"):
            if base := os.environ.get(variable):
                yield from (Path(base, program) for program in _WINDOWS_PROGRAMS[name])
    elif sys.platform == "darwin":
        for folder in (Path("/Applications"), Path.home() / "Applications"):
            yield from (folder / application for application in _MACOS_APPLICATIONS[name])
    else:
        for command in _LINUX_COMMANDS[name]:
            if path := shutil.which(command):
                yield Path(path)


# -- a started browser -------------------------------------------------------------------------------------------------


class Browser:
    """A browser that runs on its own throw-away profile. A context manager, which closes it."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, *, debugger_url: str | None = None) -> None:
        self.process = process
        self._folder = folder
        self.debugger_url = debugger_url
        """The browser-level `ws://` address of Chromium's debugger, where it was asked for."""

    def marionette(self) -> Marionette:
        """Connects to a Firefox that was started with `remote_debugging`. Raises BrowserFailure."""
        said = _wait_for_file(self.profile / "MarionetteActivePort", self.process, self._folder, lines=1)
        return Marionette(int(said[0]))

    @property
    def profile(self) -> Path:
        """The profile's folder, gone once the browser is closed."""
        return _profile_in(self._folder)

    def last_words(self) -> str:
        """Returns the last line that the browser printed; empty when there is none."""
        return _last_line(self._folder)

    def close(self) -> None:
        """Ends the browser with all its processes and removes its profile; does nothing the second time."""
        _end(self.process)
        _remove(self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def launch(
    kind: Kind,
    executable: Path,
    url: str,
    *,
    proxy_port: int,
    ca_file: Path,
    headless: bool,
    remote_debugging: bool = False,
    preferences: Mapping[str, object] = MappingProxyType({}),
    proxy_host: str = "127.0.0.1",
) -> Browser:
    """Starts a browser at `url`, with everything, localhost included, going through the proxy.

    `ca_file` is the PEM file of the certificate authority to trust. `preferences` are Firefox's preferences, or dotted
    keys of Chromium's `Default/Preferences`. With `remote_debugging`, Chromium gets a `debugger_url`, and Firefox
    listens to `marionette()`, which pages can tell. Firefox takes some seconds more the first time, because it is
    started twice: see `_firefox_databases`.

    Raises BrowserFailure.
    """
    folder = _temporary_folder(executable)
    process = None
    try:
        profile = _profile_in(folder)
        profile.mkdir()
        if kind == "chromium":
            _write_chromium_preferences(profile, preferences)
            proxy = chromium_proxy_arguments(proxy_host, proxy_port, ca_file)
            arguments = _chromium_arguments(profile, proxy, headless)
            if remote_debugging:
                arguments.append("--remote-debugging-port=0")
        else:
            basic = _firefox_preferences(proxy_host, proxy_port)
            arguments = _firefox_arguments(profile, headless)
            if remote_debugging:
                basic |= _FIREFOX_REMOTE_PREFERENCES
                arguments += _FIREFOX_REMOTE
            _write_firefox_preferences(profile, {**basic, **preferences})
            _firefox_trust(executable, profile, ca_file)
        process = _start(executable, [*arguments, url], folder)
        debugger_url = _chromium_debugger(process, folder) if kind == "chromium" and remote_debugging else None
    except BaseException as fault:
        if process is not None:
            _end(process)
        _remove(folder)
        if isinstance(fault, OSError):
            raise BrowserFailure(f"{executable} can't be started: {fault}") from fault
        raise
    return Browser(process, folder, debugger_url=debugger_url)


# -- Chromium ----------------------------------------------------------------------------------------------------------

_CHROMIUM_QUIET: Final = (
    "--no-first-run",
    "--no-default-browser-check",
    "--no-service-autorun",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-features=NetworkTimeServiceQuerying,Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider",
    "--disable-search-engine-choice-screen",
    "--disable-sync",
    "--metrics-recording-only",
    # The profile is thrown away, and the system's password store would ask the user about it.
    "--password-store=basic",
    "--use-mock-keychain",
)
"""Silences first-run pages and most of what the browser fetches for itself: it still asks Google for the accounts that
are signed in, and for one component. Nothing here changes how a page is treated."""


def chromium_proxy_arguments(host: str, port: int, ca_file: Path) -> list[str]:
    """Returns the arguments with which Chromium sends all through a proxy and trusts a certificate authority.

    They need --user-data-dir beside them, which WebDriver and Playwright give it. Raises BrowserFailure.
    """
    return [
        f"--proxy-server=http://{_bracketed(host)}:{port}",
        # This peculiar entry takes localhost off the list of what goes past a proxy.
        "--proxy-bypass-list=<-loopback>",
        # QUIC would go past it as well.
        "--disable-quic",
        # The key of any certificate in the chain counts, so that the authority's is enough.
        f"--ignore-certificate-errors-spki-list={spki_fingerprint(ca_file)}",
    ]


def _chromium_arguments(profile: Path, proxy: Sequence[str], headless: bool) -> list[str]:
    arguments = [f"--user-data-dir={profile}", *proxy, *_CHROMIUM_QUIET]
    if headless:
        arguments.append("--headless=new")
    # As root, Chromium refuses to start with its sandbox.
    if sys.platform == "linux" and os.geteuid() == 0:
        arguments.append("--no-sandbox")
    return arguments


def spki_fingerprint(ca_file: Path) -> str:
    """Returns the Base64 of the SHA-256 of a certificate's public key, as Chromium's options want it.

    Raises BrowserFailure if the file can't be read or holds no certificate.
    """
    key = _certificate(ca_file).public_key()
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


def _write_chromium_preferences(profile: Path, preferences: Mapping[str, object]) -> None:
    tree: dict[str, object] = {}
    for dotted, value in preferences.items():
        *parents, leaf = dotted.split(".")
        branch = tree
        for parent in parents:
            following = branch.setdefault(parent, {})
            if not isinstance(following, dict):
                raise BrowserFailure(f"the preference {dotted} lies below another one that has a value")
            branch = following
        branch[leaf] = value
    (profile / "Default").mkdir()
    (profile / "Default" / "Preferences").write_text(json.dumps(tree), encoding="utf-8")


def _chromium_debugger(process: subprocess.Popen[bytes], folder: Path) -> str:
    said = _wait_for_file(_profile_in(folder) / "DevToolsActivePort", process, folder, lines=2)
    port, path = said[:2]
    return f"ws://127.0.0.1:{port}{path}"


# -- Firefox -----------------------------------------------------------------------------------------------------------

_FIREFOX_QUIET: Final[Mapping[str, object]] = MappingProxyType(
    {
        # First-run pages, tips and questions
        "browser.aboutwelcome.enabled": False,
        "browser.aboutConfig.showWarning": False,
        "browser.messaging-system.whatsNewPanel.enabled": False,
        "browser.newtabpage.activity-stream.asrouter.userprefs.cfr.addons": False,
        "browser.newtabpage.activity-stream.asrouter.userprefs.cfr.features": False,
        "browser.preonboarding.enabled": False,
        "browser.sessionstore.resume_from_crash": False,
        "browser.shell.checkDefaultBrowser": False,
        "browser.startup.homepage": "about:blank",
        "browser.startup.homepage_override.mstone": "ignore",
        "browser.startup.page": 0,
        "browser.tabs.warnOnClose": False,
        "browser.warnOnQuit": False,
        "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
        "startup.homepage_welcome_url": "",
        "termsofuse.bypassNotification": True,
        # Telemetry, updates, and whatever else is fetched without a page's asking
        "app.normandy.enabled": False,
        "app.update.auto": False,
        "app.update.checkInstallTime": False,
        "app.update.disabledForTesting": True,
        "browser.newtab.preload": False,
        "browser.newtabpage.enabled": False,
        "browser.newtabpage.activity-stream.feeds.system.topstories": False,
        "browser.newtabpage.activity-stream.feeds.topsites": False,
        "browser.newtabpage.activity-stream.newtabWallpapers.enabled": False,
        "browser.newtabpage.activity-stream.showSponsoredTopSites": False,
        "browser.newtabpage.activity-stream.telemetry": False,
        "browser.ping-centre.telemetry": False,
        "browser.region.network.url": "",
        "browser.region.update.enabled": False,
        "browser.safebrowsing.blockedURIs.enabled": False,
        "browser.safebrowsing.downloads.enabled": False,
        "browser.safebrowsing.malware.enabled": False,
        "browser.safebrowsing.phishing.enabled": False,
        "browser.safebrowsing.update.enabled": False,
        "browser.search.update": False,
        "datareporting.healthreport.uploadEnabled": False,
        "datareporting.policy.dataSubmissionEnabled": False,
        "datareporting.usage.uploadEnabled": False,
        "dom.push.connection.enabled": False,
        "extensions.blocklist.enabled": False,
        "extensions.getAddons.cache.enabled": False,
        "extensions.systemAddon.update.enabled": False,
        "extensions.update.enabled": False,
        "media.gmp-manager.updateEnabled": False,
        "media.gmp-manager.url": "",
        "network.captive-portal-service.enabled": False,
        "network.connectivity-service.enabled": False,
        "services.settings.server": "data:,#remote-settings-dummy/v1",
        "toolkit.telemetry.enabled": False,
        "toolkit.telemetry.server": "",
        "toolkit.telemetry.unified": False,
    }
)
"""Silences the browser itself. Nothing here changes how a page is treated."""


_FIREFOX_REMOTE: Final = ("--marionette", "--remote-allow-system-access")
"""Opens Firefox's own automation protocol; from Firefox 138 on, privileged scripts need the second option, which was
ignored before."""
_FIREFOX_REMOTE_PREFERENCES: Final[Mapping[str, object]] = MappingProxyType(
    # Any port; and how pages are treated is not to be changed for automation's sake.
    {"marionette.port": 0, "remote.prefs.recommended": False}
)


def firefox_proxy_preferences(proxy_host: str, proxy_port: int) -> dict[str, int | str | bool]:
    """Returns the preferences with which Firefox sends all through a proxy; they trust no certificate."""
    return {
        "network.proxy.type": 1,
        "network.proxy.http": proxy_host,
        "network.proxy.http_port": proxy_port,
        "network.proxy.ssl": proxy_host,
        "network.proxy.ssl_port": proxy_port,
        "network.proxy.no_proxies_on": "",
        "network.proxy.allow_hijacking_localhost": True,
        # When the proxy is gone, requests are to fail rather than go past it.
        "network.proxy.allow_bypass": False,
        "network.proxy.failover_direct": False,
        "network.http.http3.enable": False,
    }


def _firefox_preferences(proxy_host: str, proxy_port: int) -> dict[str, object]:
    return {**_FIREFOX_QUIET, **firefox_proxy_preferences(proxy_host, proxy_port)}


def _write_firefox_preferences(profile: Path, preferences: Mapping[str, object]) -> None:
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()]
    (profile / "user.js").write_text("".join(lines), encoding="utf-8")


def _firefox_arguments(profile: Path, headless: bool) -> list[str]:
    arguments = ["--new-instance", "--no-remote", "--profile", str(profile)]
    if headless:
        arguments.append("--headless")
    if sys.platform == "win32":
        # Otherwise a launcher ends at once and leaves us without a process to watch.
        arguments.append("--wait-for-browser")
    return arguments


def _firefox_trust(executable: Path, profile: Path, ca_file: Path) -> None:
    """Makes a profile trust a certificate authority, in the certificate database that Firefox keeps there."""
    certificate = _certificate(ca_file).public_bytes(serialization.Encoding.DER)
    try:
        for name, content in _firefox_databases(executable, certificate).items():
            (profile / name).write_bytes(content)
    except (OSError, ValueError) as fault:
        raise BrowserFailure(f"Firefox can't be made to trust {ca_file}: {fault}") from fault


@functools.cache
def _firefox_databases(executable: Path, certificate: bytes) -> Mapping[str, bytes]:
    """Returns the files, by name, with which a profile trusts a certificate authority, whose certificate is in DER.

    Only Firefox itself can be relied upon to write its database: `certutil` is seldom installed, policies hold for all
    profiles, and an override holds for one host. So a first Firefox, headless and on a profile of its own, does that
    through Marionette, once in a process. The one that the user sees is started without Marionette, which a page can
    tell (`navigator.webdriver`) and which changes preferences.

    Raises BrowserFailure, OSError, ValueError.
    """
    folder = _temporary_folder(executable)
    process: subprocess.Popen[bytes] | None = None
    try:
        preparation = _profile_in(folder)
        preparation.mkdir()
        # The proxy is not to see this one, whatever it fetches: a closed port is as good as no network.
        unplugged = {**_firefox_preferences("127.0.0.1", 9), **_FIREFOX_REMOTE_PREFERENCES}
        _write_firefox_preferences(preparation, unplugged)
        arguments = [*_firefox_arguments(preparation, headless=True), *_FIREFOX_REMOTE]
        process = _start(executable, arguments, folder)
        port = int(_wait_for_file(preparation / "MarionetteActivePort", process, folder, lines=1)[0])
        with Marionette(port) as marionette:
            marionette.call("WebDriver:NewSession", {})
            marionette.call("Marionette:SetContext", {"value": "chrome"})
            script = (
                'Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB)'
                '.addCertFromBase64(arguments[0], "CT,,");'
            )
            encoded = base64.b64encode(certificate).decode()
            marionette.call("WebDriver:ExecuteScript", {"script": script, "args": [encoded]})
        _end(process)  # before its database is read, so that all of it is written
        return {name: (preparation / name).read_bytes() for name in ("cert9.db", "key4.db")}
    finally:
        if process is not None:
            _end(process)
        _remove(folder)


class Marionette:
    """A client of Firefox's own automation protocol: JSON arrays over TCP, each after its length and a colon.

    https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS)
        self._stream: IO[bytes] = self._socket.makefile("rb")
        self._count = 0
        self._receive()  # a greeting, which says the protocol's version

    def call(self, command: str, parameters: Mapping[str, object]) -> object:
        """Sends a command and returns its result. Raises BrowserFailure with what Firefox said if it failed."""
        self._count += 1
        message = json.dumps([0, self._count, command, parameters]).encode()
        self._socket.sendall(b"%d:%b" % (len(message), message))
        answer = self._receive()
        if not isinstance(answer, list) or len(answer) != 4:
            raise ValueError(f"{command} was answered by {answer!r}")
        _, _, error, result = answer
        if error:
            raise BrowserFailure(f"Firefox refused {command}: {error.get('message', error)}")
        return result

    def _receive(self) -> object:
        length = b""
        while (byte := self._stream.read(1)) != b":":
            if not byte.isdigit():
                raise ConnectionError("the connection was closed")
            length += byte
        answer: object = json.loads(self._stream.read(int(length)))
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.close()
        self._socket.close()


# -- processes and folders ---------------------------------------------------------------------------------------------


def _certificate(ca_file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(ca_file.read_bytes())
    except OSError as fault:
        raise BrowserFailure(f"the certificate {ca_file} can't be read: {fault.strerror}") from fault
    except ValueError as fault:
        raise BrowserFailure(f"{ca_file} holds no certificate in PEM form") from fault


def _bracketed(host: str) -> str:
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).version == 6:
            return f"[{host}]"
    return host


def _temporary_folder(executable: Path) -> Path:
    # A browser in a snap sees neither /tmp nor the hidden folders of the user's home: only its own folder there.
    snap = _snap_of(executable)
    parent = Path.home() / "snap" / snap / "common" if snap else None
    if parent:
        parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="corscope-browser-", dir=parent))


def _snap_of(executable: Path) -> str | None:
    path = executable.resolve()
    if path.name == "snap" or executable.as_posix().startswith("/snap/"):
        return executable.name
    # Ubuntu's /usr/bin/firefox is a shell script that starts the snap.
    with contextlib.suppress(OSError), path.open("rb") as file:
        start = file.read(4096)
        if start.startswith(b"#!") and b"/snap/bin/" in start:
            return executable.name.removesuffix("-browser")
    return None


def _profile_in(folder: Path) -> Path:
    return folder / "profile"


def _output_in(folder: Path) -> Path:
    return folder / "output.txt"


def _last_line(folder: Path) -> str:
    try:
        lines = _output_in(folder).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _start(executable: Path, arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Starts a browser apart from our terminal, so that Ctrl-C there is ours, and its whole tree can be ended."""
    # Without this variable, a release of Firefox takes no notice of the preference `services.settings.server`.
    environment = {**os.environ, "MOZ_REMOTE_SETTINGS_DEVTOOLS": "1"}
    with _output_in(folder).open("wb") as output:
        return subprocess.Popen(
            [str(executable), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
            creationflags=0x200 if sys.platform == "win32" else 0,  # CREATE_NEW_PROCESS_GROUP
        )


def _wait_for_file(path: Path, process: subprocess.Popen[bytes], folder: Path, *, lines: int) -> list[str]:
    """Waits until the browser has written that many whole lines (the last may lack its end) and returns them."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            said = path.read_text(encoding="utf-8").split("\n")
            if len(said) >= lines and said[lines - 1]:
                return said
        if process.poll() is not None:
            raise BrowserFailure(f"the browser ended at once, code {process.returncode}: {_last_line(folder)}")
        time.sleep(0.05)
    raise BrowserFailure(f"the browser did not answer within {START_SECONDS:.0f} s: {_last_line(folder)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a browser and all that it started; first by asking."""
    if sys.platform == "win32":
        if process.poll() is None:
            command = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    else:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        # Helpers may outlive the browser itself; they are in its group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)


def _remove(folder: Path) -> None:
    # A process that is just ending may still write a file, or on Windows hold one open.
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
