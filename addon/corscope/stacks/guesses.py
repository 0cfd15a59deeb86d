"""Which stack answered, by what its responses say of themselves; a guess, with its evidence."""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from corscope.headers import Fields, Names, lines_of, normalize, text


class Guess(NamedTuple):
    """The stack that a response seems to come from."""

    stack: str
    """An id in `STACKS`."""
    evidence: str
    """The header that says so, such as `Server: nginx/1.22.1`; of a cookie only its name."""


_CLUES: Final[tuple[tuple[str, str, str], ...]] = (
    # The application knows what it wants to allow; what stands before it is named only where that stays silent.
    ("express", "x-powered-by", r"Express\b"),
    ("aspnet", "x-powered-by", r"ASP\.NET"),
    ("aspnet", "x-aspnet-version", r"."),
    ("aspnet", "x-aspnetmvc-version", r"."),
    ("laravel", "x-powered-by", r"Laravel"),
    ("rails", "x-powered-by", r"Phusion Passenger"),
    ("express", "set-cookie", r"connect\.sid="),
    ("koa", "set-cookie", r"koa[.:]sess="),
    ("aspnet", "set-cookie", r"(\.AspNetCore\.|\.AspNet\.|ASP\.NET_SessionId=)"),
    ("laravel", "set-cookie", r"laravel[_-]session="),
    ("django", "set-cookie", r"csrftoken="),
    ("spring", "x-application-context", r"."),
    ("flask", "server", r"Werkzeug/"),
    ("django", "server", r"WSGIServer/"),
    ("fastapi", "server", r"uvicorn\b"),
    ("aspnet", "server", r"(Kestrel|Microsoft-IIS)\b"),
    ("rails", "server", r"(Puma|WEBrick|Phusion Passenger)\b"),
    ("rails", "x-runtime", r"[0-9]+\.[0-9]+$"),
    # Services that answer by themselves, even where a CDN passes their answer on.
    ("aws-api-gateway", "apigw-requestid", r"."),
    ("aws-api-gateway", "x-amz-apigw-id", r"."),
    ("aws-s3", "server", r"AmazonS3\b"),
    ("aws-s3", "x-amz-id-2", r"."),
    ("aws-s3", "x-amz-bucket-region", r"."),
    # Servers and proxies.
    ("nginx", "server", r"(nginx|openresty|Tengine)\b"),
    ("apache", "server", r"Apache(?!-Coyote)\b"),
    ("caddy", "server", r"Caddy\b"),
    ("caddy", "via", r".*\bCaddy\b"),
    ("haproxy", "server", r"HAProxy\b"),
    ("haproxy", "via", r".*\bhaproxy\b"),
    ("envoy", "server", r"(istio-)?envoy\b"),
    ("envoy", "x-envoy-upstream-service-time", r"."),
    ("aws-cloudfront", "x-amz-cf-id", r"."),
    ("aws-cloudfront", "via", r".*\bCloudFront\b"),
    ("aws-cloudfront", "server", r"CloudFront\b"),
    ("cloudflare-workers", "cf-worker", r"."),
)
"""Stack, header, and what its value begins with; the first row that fits is taken."""

_COMPILED: Final = tuple((stack, name.encode(), re.compile(begins, re.IGNORECASE)) for stack, name, begins in _CLUES)
_NAMES: Final = Names(name for _, name, _ in _COMPILED)
_LONGEST: Final = 80


def guess(headers: Fields) -> Guess | None:
    """Guess the stack behind a response from its headers; None where nothing tells."""
    telling = lines_of(headers, _NAMES)
    return _guess(telling) if telling else None


@lru_cache(maxsize=128)
def _guess(telling: Fields) -> Guess | None:
    lines = [(name.lower(), text(name), text(normalize(value))) for name, value in telling]
    for stack, wanted, begins in _COMPILED:
        for lower, name, value in lines:
            if lower == wanted and begins.match(value):
                return Guess(stack, _evidence(name, value))
    return None


def _evidence(name: str, value: str) -> str:
    if name.lower() == "set-cookie":
        # What a cookie holds stays in the flow.
        value = value.partition("=")[0]
    shown = f"{name}: {value}"
    shown = "".join(one if " " <= one <= "~" else "?" for one in shown)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
