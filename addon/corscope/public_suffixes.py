"""The Public Suffix List: names under which anybody can register, so that no pattern may let in all that is below one.

mitmproxy's standalone binary has no library for it, so the list's rules lie beside this file.
"""

from functools import cache, lru_cache
from pathlib import Path

RESERVED = frozenset(("localhost", "test", "example", "invalid", "local", "internal", "lan", "home.arpa"))
"""Special-use names (RFC 6761, 6762, 8375) that nobody can register: a pattern may cover them."""


@cache
def rules() -> frozenset[str]:
    """Return the list's rules as they stand in it, in Unicode."""
    text = (Path(__file__).parent / "public_suffix_list.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("//"))


_OF_COMPANIES = frozenset(("ai", "cc", "co", "gg", "io", "ly", "me", "sh", "to", "tv"))
"""Countries' domains of which the world makes use."""


@lru_cache(maxsize=1024)
def is_platform(domain: str) -> bool:
    """Tell whether a company gives names below a domain to anybody, as github.io and vercel.app do.

    The list as it is here does not say which suffixes are companies': those of registries lie below the domains of
    countries (co.uk, tokyo.jp), or have short names (com.io).
    """
    first, _, rest = domain.partition(".")
    country = rest.rpartition(".")[2]
    if not rest or not is_public_suffix(domain):
        return False
    return len(country) > 2 or (country in _OF_COMPANIES and len(first) > 3)


@lru_cache(maxsize=1024)
def is_public_suffix(domain: str) -> bool:
    """Tell whether a host name (lower case, in punycode) is a public suffix, https://publicsuffix.org/list/.

    A name of one label that no rule knows is one too, by the list's own default rule `*`.
    """
    domain = domain.removesuffix(".")
    if domain in RESERVED:
        return False
    name, known = _in_unicode(domain), rules()
    if f"!{name}" in known:
        return False
    return name in known or f"*.{name.partition('.')[2]}" in known or "." not in name


@lru_cache(maxsize=64)
def spans_public_suffix(domain: str) -> bool:
    """Tell whether a host name is a public suffix, or has one below it."""
    if is_public_suffix(domain):
        return True
    domain = domain.removesuffix(".")
    below = f".{_in_unicode(domain)}"
    return domain not in RESERVED and any(rule.endswith(below) and not rule.startswith("!") for rule in rules())


def _in_unicode(domain: str) -> str:
    try:
        return domain.encode("ascii").decode("idna")
    except UnicodeError:
        return domain
