"""The stacks by their permanent ids, and the rendering of their templates; not which of them a server runs."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from corscope.policy import Policy, sound

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A server, framework or service that can be told a CORS policy."""

    id: str
    """Permanent: options, reports and links name it."""
    title: str
    file: str
    """Where the text goes, as users know that place."""
    language: str
    """What a fenced code block in Markdown calls the text's language."""
    template: str
    """The template's file name."""
    null: bool = True
    """Whether the origin `null` can be listed."""


def _stack(id_: str, title: str, file: str, language: str, *, null: bool = True) -> Stack:
    return Stack(id=id_, title=title, file=file, language=language, template=f"{id_}.j2", null=null)


STACKS: Final[Mapping[str, Stack]] = {
    stack.id: stack
    for stack in (
        _stack("nginx", "nginx", "nginx.conf", "nginx"),
        _stack("apache", "Apache httpd", "the <VirtualHost> in httpd.conf or sites-available", "apache"),
        _stack("caddy", "Caddy", "Caddyfile", "caddyfile"),
        _stack("haproxy", "HAProxy", "haproxy.cfg", "haproxy"),
        _stack("envoy", "Envoy", "envoy.yaml", "yaml"),
        _stack("express", "Express", "app.js", "javascript"),
        _stack("fastify", "Fastify", "server.js", "javascript"),
        _stack("koa", "Koa", "app.js", "javascript"),
        _stack("django", "Django", "settings.py", "python"),
        _stack("flask", "Flask", "app.py", "python"),
        _stack("fastapi", "FastAPI/Starlette", "main.py", "python"),
        _stack("spring", "Spring Boot", "CorsConfig.java", "java"),
        _stack("aspnet", "ASP.NET Core", "Program.cs", "csharp"),
        _stack("rails", "Rails", "config/initializers/cors.rb", "ruby"),
        _stack("laravel", "Laravel", "config/cors.php", "php"),
        _stack("go-jub0bs", "Go, jub0bs/cors", "main.go", "go", null=False),
        _stack("go-rs", "Go, rs/cors", "main.go", "go"),
        _stack("aws-api-gateway", "AWS API Gateway (HTTP API)", "template.yaml", "yaml", null=False),
        _stack("aws-s3", "AWS S3", "template.yaml", "yaml"),
        _stack("aws-cloudfront", "AWS CloudFront", "template.yaml", "yaml", null=False),
        _stack("cloudflare-workers", "Cloudflare Workers", "src/index.js", "javascript"),
    )
}
"""Every stack by its id, in the order in which a menu would show them."""

CORS_HEADERS: Final = (
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Credentials",
    "Access-Control-Expose-Headers",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
    "Access-Control-Max-Age",
)
"""What a proxy has to take away of what the application says, for else it would be said twice."""

_TEMPLATES: Final = Path(__file__).parent / "templates"
_NULL = "`null` is every sandboxed frame and every local file, and any site can make a sandboxed frame."


def configuration(stack_id: str, policy: Policy) -> str:
    """Return the text that makes a stack follow a policy: an exact list of origins, whatever the policy holds.

    Raises KeyError for an unknown stack, and ValueError for a policy in which no origin is left to allow.
    """
    if stack_id not in STACKS:
        raise KeyError(f"{stack_id!r} is not one of the stacks {', '.join(STACKS)}")
    stack = STACKS[stack_id]
    policy = sound(policy)
    left_out = () if stack.null else tuple(origin for origin in policy.origins if origin == "null")
    origins = tuple(dict.fromkeys(origin for origin in policy.origins if origin not in left_out))
    if not origins:
        reason = f"{stack.title} cannot allow null" if left_out else "the policy has no origin that can be listed"
        raise ValueError(f"no configuration for {stack.title}: {reason}")
    text = _environment().get_template(stack.template).render(
        origins=origins,
        null_left_out=bool(left_out),
        null_warning=_NULL if "null" in origins else "",
        credentials=policy.credentials,
        # Several libraries take an empty list for their default, or refuse every preflight.
        methods=tuple(dict.fromkeys(policy.methods)) or ("GET",),
        request_headers=tuple(dict.fromkeys(policy.request_headers)),
        exposed_headers=tuple(dict.fromkeys(policy.exposed_headers)),
        max_age=max(0, policy.max_age),
        cors_headers=CORS_HEADERS,
    )  # fmt: skip
    return text.strip("\n") + "\n"


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Nothing here is HTML: each template quotes for the language it is in.
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., object]] = {
        "double": _double,
        "single": _single,
        "doubles": lambda values: ", ".join(map(_double, values)),
        "singles": lambda values: ", ".join(map(_single, values)),
        "regex": _regex,
        "insecure": _insecure,
    }
    environment.filters.update(filters)
    return environment


def _double(value: str) -> str:
    """Quote as JSON does, which JavaScript, Python, Go, Java, C#, YAML, and the servers read alike."""
    return json.dumps(value)


def _single(value: str) -> str:
    """Quote as PHP and shells without expansion do."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _regex(value: str) -> str:
    """Escape for a Perl-compatible regular expression."""
    return re.sub(r"([^A-Za-z0-9:/_-])", r"\\\1", value)


_SECURE = re.compile(r"https://.*|[a-z][a-z0-9+.-]*://(localhost|127(\.[0-9]+){3}|\[::1\])(:[0-9]+)?")


def _insecure(origins: tuple[str, ...]) -> tuple[str, ...]:
    """Return the origins that neither TLS nor being on the same machine protects."""
    return tuple(origin for origin in origins if not _SECURE.fullmatch(origin))
