"""What caused a fault, as far as the exchange itself tells: an entry of the catalogue that names it more closely.

The browser's reason stays that of the fault. Nothing is remembered here.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from corscope.engine import Fault
from corscope.headers import Fields, extract_tokens, get, get_all, text
from corscope.origins import DEFAULT_PORTS, LOOPBACK_HOSTS, parse_location
from corscope.privacy import shown_url

type Cause = tuple[str, Mapping[str, str]]
"""An entry's id, and what its sentences name."""


class Answer(NamedTuple):
    """The answer in which a fault was found."""

    url: str
    """The request's."""
    response: Fields
    include: bool
    """Whether the fault is that of a request with credentials."""


def cause_of(fault: Fault, answer: Answer) -> Cause:
    """Return what caused a fault: the fault itself, where nothing more is known."""
    rule = _RULES.get(fault.id)
    return rule(fault, answer) if rule is not None else (fault.id, fault.values)


_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[^\]]*\]|[^:/?#]*)(?::(\d*))?", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"[${}%]|<[\w .-]+>|\[object|^(?:undefined|none|nil|false|true|self|all|any|origin|\(null\))$", re.IGNORECASE
)
_PATTERN = re.compile(r"[*\\^]|\?://|\([^(|?]*[|?][^)]*\)|^/.+/[a-z]*$")
"""What regular expressions and wildcards have, and neither origins nor variables."""
_HOST = re.compile(r"[a-z0-9._-]+(?::\d+)?", re.IGNORECASE)


def _is_list(value: str) -> bool:
    """Tell several origins in one value, however they are separated but for commas and spaces."""
    return value.count("://") > 1 and (";" in value or "|" in value)


def _is_pattern(value: str) -> bool:
    """Tell what was meant as a pattern; somebody who sends more than any origin has is not to cost time."""
    return _PATTERN.search(value[:LOOKED_THROUGH]) is not None


LOOKED_THROUGH = 2_000
"""Characters of a value."""


def _missing(fault: Fault, _: Answer) -> Cause:
    return ("origin-null-not-allowed" if fault.values["origin"] == "null" else fault.id), fault.values


def _mismatch(fault: Fault, _: Answer) -> Cause:
    value, origin = fault.values["value"], fault.values["origin"]
    if _is_list(value):
        return "allow-origin-list", fault.values
    return _kind_of_mismatch(value, origin) or fault.id, fault.values


def _kind_of_mismatch(value: str, origin: str) -> str | None:
    """Tell how a value that parses as a URL, or is `null`, misses an origin; None where it is simply another one."""
    if value == "null":
        return "allow-origin-null-sent"
    if _is_pattern(value):
        return "allow-origin-pattern"
    if origin == "null":
        return "origin-is-null"
    if value == f"{origin}/":
        return "allow-origin-trailing-slash"
    if value.startswith(f"{origin}/"):
        return "allow-origin-path"
    if value.lower().rstrip("/") == origin:
        return "allow-origin-case"
    allowed, asked = _ORIGIN.fullmatch(value.rstrip("/")), _ORIGIN.fullmatch(origin)
    if allowed is None or asked is None:
        return "allow-origin-without-scheme" if _HOST.fullmatch(value.rstrip("/")) else None
    scheme, host, port = allowed[1].lower(), allowed[2].lower(), allowed[3]
    own_scheme, own_host, own_port = asked[1], asked[2], asked[3]
    if host == own_host:
        if scheme != own_scheme:
            return "allow-origin-scheme"
        default = own_port is None and port == str(DEFAULT_PORTS.get(scheme, ""))
        return "allow-origin-default-port" if default else "allow-origin-port"
    if {host, own_host} <= LOOPBACK_HOSTS:
        return "allow-origin-loopback-name"
    if host.removeprefix("www.") == own_host.removeprefix("www."):
        return "allow-origin-www"
    return "allow-origin-subdomain" if host.endswith(f".{own_host}") or own_host.endswith(f".{host}") else None


def _invalid(fault: Fault, _: Answer) -> Cause:
    value = fault.values["value"]
    if not value:
        found = "allow-origin-empty"
    elif value[0] in "\"'" or value[-1] in "\"'":
        found = "allow-origin-quoted"
    elif _is_pattern(value):
        found = "allow-origin-pattern"
    elif _is_list(value):
        found = "allow-origin-list"
    elif _PLACEHOLDER.search(value):
        found = "allow-origin-placeholder"
    elif _HOST.fullmatch(value.rstrip("/")):
        found = "allow-origin-without-scheme"
    else:
        found = fault.id
    return found, fault.values


def _multiple(fault: Fault, answer: Answer) -> Cause:
    if fault.values["value"].startswith("[object"):
        return "allow-origin-placeholder", fault.values
    members = [member for member in re.split(r"[,\s]+", fault.values["value"]) if member]
    # A proxy that speaks HTTP/2 may have joined the lines, so that equal values tell as much.
    twice = len(get_all(answer.response, b"access-control-allow-origin")) > 1 or len(set(members)) < len(members)
    if twice:
        return "allow-origin-twice", fault.values
    # A template's own spaces part no list, nor do those of a sentence.
    placeholder = _PLACEHOLDER.search(fault.values["value"])
    named = sum(map(_names_origin, members))
    if named > 1 or (named and len(members) > 1 and not placeholder):
        return "allow-origin-list", fault.values
    return ("allow-origin-placeholder" if placeholder else fault.id), fault.values


def _names_origin(member: str) -> bool:
    return member in ("*", "null") or "://" in member or ("." in member and _HOST.fullmatch(member) is not None)


def _credentials(fault: Fault, _: Answer) -> Cause:
    value = fault.values["value"]
    if fault.values["said"] == "missing":
        found = "allow-credentials-missing"
    elif "," in value:
        found = "allow-credentials-twice"
    elif value.lower() == "false":
        found = "allow-credentials-false"
    elif value.lower() == "true":
        found = "allow-credentials-case"
    else:
        found = fault.id
    return found, fault.values


def _method(fault: Fault, answer: Answer) -> Cause:
    method = fault.values["method"]
    listed = [text(one) for one in extract_tokens(get(answer.response, b"access-control-allow-methods")) or ()]
    if method.upper() in [one.upper() for one in listed] and method != method.upper():
        return "method-case", fault.values
    return ("allow-methods-wildcard-with-credentials" if answer.include and "*" in listed else fault.id), fault.values


def _header(fault: Fault, answer: Answer) -> Cause:
    listed = extract_tokens(get(answer.response, b"access-control-allow-headers")) or ()
    if answer.include and b"*" in listed:
        return "allow-headers-wildcard-with-credentials", fault.values
    return ("authorization-not-allowed" if fault.values["header"] == "authorization" else fault.id), fault.values


_STATUSES = {
    "401": "preflight-needs-authentication",
    "407": "preflight-needs-authentication",
    "403": "preflight-forbidden",
    "404": "options-not-routed",
    "405": "options-not-routed",
    "501": "options-not-routed",
    "500": "preflight-server-failed",
    "502": "preflight-server-failed",
    "503": "preflight-server-failed",
    "504": "preflight-server-failed",
}


def _status(fault: Fault, _: Answer) -> Cause:
    return _STATUSES.get(fault.values["status"], fault.id), fault.values


_LOGIN = re.compile(
    r"(?:^|.*[._-])(?:log[-_]?in|log[-_]?on|sign[-_]?in|sign[-_]?on|sso|saml2?|oauth2?|oidc|openid|authorize|"
    r"authenticate|adfs)(?:$|[.:;].*|-oidc)",
    re.IGNORECASE,
)
_LOGIN_QUERY = re.compile(
    r"(?:^|&)(?:samlrequest=|response_type=|(?:page|route|action|do|view|r|q)=(?:[^&]*(?:/|%2f))?"
    r"(?:log[-_]?in|log[-_]?on|sign[-_]?in)(?:$|&))",
    re.IGNORECASE,
)


_MAYBE_LOGIN = ("adfs", "auth", "log", "oidc", "openid", "response_type", "saml", "sign", "sso")
"""What any of these holds: most locations are told by that alone."""

_FILE = re.compile(
    r"\.(?:avif|css|csv|docx?|gif|gz|ico|jpe?g|js|json|md|mp[34]|pdf|png|svg|tar|txt|web[mp]|xlsx?|xml|ya?ml|zip)$",
    re.IGNORECASE,
)
_ABOUT = frozenset(("docs", "doc", "documentation", "blog", "help", "guides", "wiki", "support"))


def looks_like_login(location: str) -> bool:
    """Tell a Location that leads to a login, by the names in its host and path, and by what logins have in a query.

    That a query merely mentions one (`/home?from=login`) says that the user comes from there.
    """
    if not any(map(location.lower().__contains__, _MAYBE_LOGIN)):
        return False
    where, _, query = location[:LOOKED_THROUGH].partition("#")[0].partition("?")
    host, _, path = (where.partition("://")[2] or where).partition("/")
    segments = [segment for segment in path.split("/") if segment]
    # Documentation about logins, and files that are named after one, are no logins.
    about = bool(segments) and (_FILE.search(segments[-1]) is not None or not _ABOUT.isdisjoint(segments))
    if not about and any(_LOGIN.search(part) for part in (host, *segments)):
        return True
    return _LOGIN_QUERY.search(query) is not None


def _redirected(fault: Fault, answer: Answer) -> Cause:
    location = text(get(answer.response, b"location") or b"")
    url = answer.url
    to = parse_location(url, location)
    found = fault.id
    if looks_like_login(location):
        found = "preflight-redirected-to-login"
    elif to is not None and url.startswith("http://") and to.url == f"https{url[4:]}":
        found = "preflight-redirected-to-https"
    elif to is not None:
        here, there = (one.partition("?")[0] for one in (url, to.url))
        if here != there and here.rstrip("/") == there.rstrip("/"):
            found = "preflight-redirected-to-slash"
    return found, {**fault.values, "location": shown_url(location)}


_RULES: dict[str, Callable[[Fault, Answer], Cause]] = {
    "allow-origin-missing": _missing,
    "allow-origin-mismatch": _mismatch,
    "allow-origin-invalid": _invalid,
    "allow-origin-multiple": _multiple,
    "allow-credentials-not-true": _credentials,
    "method-not-allowed": _method,
    "header-not-allowed": _header,
    "preflight-status": _status,
    "preflight-redirected": _redirected,
}
