"""The host names that corscope answers for. None of them is ever looked up or connected to."""

import functools
import ipaddress
from enum import Enum, auto

SITE = "corscope.test"
"""The host of corscope's own pages; the hosts below it, and the other domains, are the lab's web."""

DOMAINS = (SITE, "corscope-other.test", "corscope-third.test")
"""RFC 6761, section 6.2: no name under `.test` is in the public DNS."""

_SUFFIXES = tuple(f".{domain}" for domain in DOMAINS)


class Place(Enum):
    """What a host belongs to."""

    SITE = auto()
    LAB = auto()


@functools.lru_cache(maxsize=256)
def place_of_host(host: str) -> Place | None:
    """Tell what a host name, without port, belongs to; None for all the world's others."""
    name = host.lower().removesuffix(".")
    if name == SITE:
        return Place.SITE
    return Place.LAB if name in DOMAINS or name.endswith(_SUFFIXES) else None


def is_loopback(address: str) -> bool:
    """Tell whether an IP address is this machine's own, also where an IPv6 socket writes it for IPv4."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
