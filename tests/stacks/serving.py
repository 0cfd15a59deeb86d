"""Starts real servers on loopback ports with the configurations that were generated for them."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from _environment import take
from corscope.policy import Policy
from corscope.stacks import configuration
from servers import Asked, RawServer, respond

APPS = Path(__file__).parent / "apps"
START_SECONDS = 30


class Missing(Exception):
    """A server is not installed; the message says which and why."""


def do_without(why: str) -> NoReturn:
    """Skips the test that needs a server or, where servers are required, fails it."""
    if os.environ.get("CORSCOPE_REQUIRE_SERVERS") == "1":
        pytest.fail(f"{why}, and CORSCOPE_REQUIRE_SERVERS=1 requires it", pytrace=False)
    pytest.skip(f"{why}: this test is skipped (CORSCOPE_REQUIRE_SERVERS=1 makes that a failure)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a server is to be started."""

    command: Sequence[str]
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server is to be started."""

    folder: Path
    port: int
    backend: int
    """The port of the application that proxies stand before."""
    text: str
    """The generated configuration."""


# -- the application behind proxies ------------------------------------------------------------------------------------


def application(asked: Asked, connection: socket.socket) -> None:
    """Wants a cookie, knows no OPTIONS, and has wrong CORS headers of its own."""
    own = ["Access-Control-Allow-Origin: *", "Access-Control-Allow-Credentials: no", "Vary: Accept-Encoding"]
    path = asked.path.partition("?")[0]
    if asked.method == "OPTIONS":
        respond(connection, *own, status="405 Method Not Allowed")
    elif path == "/old":
        respond(connection, *own, "Location: /item", status="302 Found")
    elif path == "/private" or "sid=1" not in (asked.header("cookie") or ""):
        respond(connection, *own, status="401 Unauthorized", body=b"who?")
    elif path == "/item":
        respond(connection, *own, "X-Total-Count: 7", body=b"item")
    elif path == "/broken":
        respond(connection, *own, status="500 Internal Server Error", body=b"broken")
    else:
        respond(connection, *own, status="404 Not Found", body=b"missing")


# -- proxies -----------------------------------------------------------------------------------------------------------


def program(title: str, *names: str) -> str:
    """The path of an installed program. Raises Missing."""
    # Debian keeps servers where only root's PATH leads.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    raise Missing(f"{title} is not installed (looked for {' and '.join(names)})")


def put(text: str, pattern: str, replacement: str) -> str:
    """Puts what a site has of its own at the place that a configuration names for it."""
    changed, times = re.subn(pattern, lambda _: replacement, text, flags=re.MULTILINE)
    assert times == 1, f"{pattern!r} is {times} times in {text}"
    return changed


def nginx(place: Place) -> Plan:
    executable = program("nginx", "nginx")
    own = f"""
    listen 127.0.0.1:{place.port};
    location / {{ proxy_pass http://127.0.0.1:{place.backend}; }}
    location /private {{ deny all; }}
    location /down {{ proxy_pass http://127.0.0.1:1; }}
    location /old {{ return 302 /item; }}
"""
    temporary = "\n".join(
        f"{name}_temp_path {place.folder / name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = place.folder / "nginx.conf"
    file.write_text(
        f"daemon off; master_process off; pid {place.folder / 'pid'}; error_log stderr;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}\n"
        + put(place.text, r"^    # The server's own lines go on here.*$", own)
        + "}\n"
    )
    return Plan(command=[executable, "-p", str(place.folder), "-e", "stderr", "-c", str(file)], variables={})


def apache(place: Place) -> Plan:
    executable = program("Apache httpd", "apache2", "httpd")
    folders = [Path(one) for one in ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules")]
    modules = next((one for one in folders if (one / "mod_headers.so").exists()), None)
    if modules is None:
        raise Missing("Apache httpd's modules are not where they are looked for")
    names = (
        "mpm_event",
        "authz_core",
        "unixd",
        "setenvif",
        "headers",
        "rewrite",
        "alias",
        "status",
        "proxy",
        "proxy_http",
    )
    loads = [f"LoadModule {name}_module {modules / f'mod_{name}.so'}" for name in names]
    # As root it wants another user to serve as.
    user = ["User nobody", "Group nogroup"] if os.geteuid() == 0 else []
    file = place.folder / "httpd.conf"
    lines = [
        f"ServerRoot {place.folder}",
        f"DefaultRuntimeDir {place.folder}",
        f"PidFile {place.folder / 'pid'}",
        *(line for line, path in zip(loads, names, strict=True) if (modules / f"mod_{path}.so").exists()),
        *user,
        "ErrorLog /dev/stderr",
        "ServerName 127.0.0.1",
        "StartServers 1",
        f"Listen 127.0.0.1:{place.port}",
        f"<VirtualHost 127.0.0.1:{place.port}>",
        place.text,
        "<Location /private>",
        "Require all denied",
        "</Location>",
        # An internal redirect, on which Apache starts anew.
        "ErrorDocument 403 /denied",
        "<Location /denied>",
        "SetHandler server-status",
        "</Location>",
        "Redirect 302 /old /item",
        "ProxyPass /private !",
        "ProxyPass /denied !",
        "ProxyPass /down http://127.0.0.1:1/",
        "ProxyPass /old !",
        f"ProxyPass / http://127.0.0.1:{place.backend}/",
        "</VirtualHost>",
    ]
    file.write_text("\n".join(lines) + "\n")
    return Plan(command=[executable, "-d", str(place.folder), "-f", str(file), "-DFOREGROUND"], variables={})


def caddy(place: Place) -> Plan:
    executable = program("Caddy", "caddy")
    text = put(place.text, r"^api\.example \{$", f"http://127.0.0.1:{place.port} {{")
    own = "redir /old /item\nerror /private 401\nreverse_proxy /down 127.0.0.1:1\n"
    own += f"reverse_proxy 127.0.0.1:{place.backend} {{\nimport cors_upstream\n}}\n"
    text = put(text, r"^\t\t\t# What the site has so far goes here.*$", own)
    file = place.folder / "Caddyfile"
    file.write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text)
    homes = {"HOME": str(place.folder), "XDG_DATA_HOME": str(place.folder), "XDG_CONFIG_HOME": str(place.folder)}
    return Plan(command=[executable, "run", "--config", str(file), "--adapter", "caddyfile"], variables=homes)


def haproxy(place: Place) -> Plan:
    executable = program("HAProxy", "haproxy")
    head = f"frontend web\n    mode http\n    bind 127.0.0.1:{place.port}\n    default_backend application"
    file = place.folder / "haproxy.cfg"
    file.write_text(
        "defaults\n    mode http\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n"
        "    retries 0\n"
        + put(place.text, "^frontend web$", head)
        + "    http-request deny if { path /private }\n    http-request redirect location /item if { path /old }\n"
        + "    use_backend down if { path /down }\nbackend down\n    server none 127.0.0.1:1\n"
        + f"backend application\n    server one 127.0.0.1:{place.backend}\n"
    )
    return Plan(command=[executable, "-db", "-f", str(file)], variables={})


# -- frameworks --------------------------------------------------------------------------------------------------------

PACKAGES = ("express", "cors", "fastify", "@fastify/cors", "koa", "@koa/cors")


def node_modules() -> Path:
    """The packages from npm, which are installed into this environment once. Raises Missing."""
    folder = Path(sys.prefix) / "corscope-node"
    modules = folder / "node_modules"
    if complete(modules):
        return modules
    try:
        folder.mkdir(exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as fault:
        raise Missing(f"{folder} can't be written to ({fault.strerror})") from None
    try:
        while not take(descriptor):
            time.sleep(0.1)
        if not complete(modules):
            npm_install(folder)
    finally:
        os.close(descriptor)
    return modules


def complete(modules: Path) -> bool:
    return all((modules / name / "package.json").exists() for name in PACKAGES)


def npm_install(folder: Path) -> None:
    """Installs the packages, in the versions of the day. Raises Missing."""
    command = [program("npm", "npm"), "install", "--no-package-lock", "--no-audit", "--no-fund", *PACKAGES]
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"npm could not install {', '.join(PACKAGES)} within a minute") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Missing(f"npm could not install {', '.join(PACKAGES)}: {last}")


def node() -> str:
    """Node's executable. Raises Missing."""
    executable = program("Node.js", "node", "nodejs")
    version = subprocess.run([executable, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0] or 0) < 20:
        raise Missing(f"Node.js {version} is older than 20, which the frameworks need")
    return executable


def framework_of_node(name: str) -> Callable[[Place], Plan]:
    """Express, Fastify or Koa."""

    def plan(place: Place) -> Plan:
        executable, modules = node(), node_modules()
        file = place.folder / "app.js"
        file.write_text(put((APPS / f"{name}.js").read_text(), r"^ *CONFIGURATION$", place.text))
        return Plan(command=[executable, str(file)], variables={"NODE_PATH": str(modules), "NODE_ENV": "production"})

    return plan


def worker(place: Place) -> Plan:
    executable = node()
    (place.folder / "worker.mjs").write_text(place.text)
    file = place.folder / "app.mjs"
    file.write_text((APPS / "cloudflare-workers.mjs").read_text())
    return Plan(command=[executable, str(file)], variables={"BACKEND": str(place.backend)})


def framework_of_python(name: str, *modules: str) -> Callable[[Place], Plan]:
    """Django, Flask or FastAPI, in this environment."""

    def plan(place: Place) -> Plan:
        if missing := [module for module in modules if importlib.util.find_spec(module) is None]:
            raise Missing(f"{', '.join(missing)} not installed (the extra `stacks` brings it)")
        file = place.folder / "app.py"
        file.write_text(put((APPS / f"{name}.py").read_text(), "^# CONFIGURATION$", place.text))
        return Plan(command=[sys.executable, str(file)], variables={})

    return plan


SERVERS: Mapping[str, Callable[[Place], Plan]] = {
    "nginx": nginx,
    "apache": apache,
    "caddy": caddy,
    "haproxy": haproxy,
    "express": framework_of_node("express"),
    "fastify": framework_of_node("fastify"),
    "koa": framework_of_node("koa"),
    "django": framework_of_python("django", "django", "corsheaders"),
    "flask": framework_of_python("flask", "flask", "flask_cors"),
    "fastapi": framework_of_python("fastapi", "fastapi", "uvicorn"),
    "cloudflare-workers": worker,
}
"""Stacks that can be had here, and how each is started."""
PROXIES = ("nginx", "apache", "caddy", "haproxy", "cloudflare-workers")


def put_together(id_: str, policy: Policy, folder: Path) -> Plan:
    """What would be started for a policy, with its files written. Raises Missing."""
    return SERVERS[id_](Place(folder=folder, port=free_port(), backend=1, text=configuration(id_, policy)))


# -- starting ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What runs, by stack: ports; and why the others do not."""

    ports: Mapping[str, int]
    missing: Mapping[str, str]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


@contextmanager
def serve(policy: Policy, folder: Path) -> Iterator[Served]:
    """Runs every server that is installed, each with what was generated for it."""
    ports: dict[str, int] = {}
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        backend = stack.enter_context(RawServer(application))
        started: dict[str, subprocess.Popen[bytes]] = {}
        for id_, plan_of in SERVERS.items():
            place = Place(folder=folder / id_, port=free_port(), backend=backend.port, text=configuration(id_, policy))
            place.folder.mkdir()
            try:
                plan = plan_of(place)
            except Missing as why:
                missing[id_] = str(why)
                continue
            variables = {**os.environ, "PORT": str(place.port), **plan.variables}
            log = stack.enter_context((place.folder / "log").open("wb"))
            process = subprocess.Popen(
                plan.command, cwd=place.folder, env=variables, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
            stack.callback(end, process)
            started[id_], ports[id_] = process, place.port
        for id_, process in started.items():
            wait_for(id_, process, ports[id_], folder / id_ / "log")
        yield Served(ports=ports, missing=missing)


def wait_for(id_: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Waits until a server takes connections."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        said = log.read_text(errors="replace")
        assert process.poll() is None, f"{id_} ended with {process.returncode}: {said}"
        assert time.monotonic() < deadline, f"{id_} takes no connections after {START_SECONDS} s: {said}"
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a server with all its processes."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
            break
    # Its children are of the same group.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
