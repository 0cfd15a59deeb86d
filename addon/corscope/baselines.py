"""Baselines: what is known to be wrong, so that a run fails only on what is new.

Of what is wrong a baseline keeps where it is, in a form that is the same in every run of the same tests, and nothing
else: no query, no value of a header.
"""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

from corscope.files import replacing
from corscope.origins import LOOPBACK_HOSTS, is_loopback

VERSION = 1
_FORMAT = "corscope baseline"
_EXPECTED = "expected what corscope check --write-baseline writes"


class Fingerprint(NamedTuple):
    """A finding and where it was made: equal in every run of the same tests."""

    finding: str
    """The finding's id."""
    kind: str
    """What part the exchange plays: `preflight`, `actual` or `redirect`."""
    method: str
    origin: str
    """The page's, empty where the request names none."""
    url: str
    """Origin and path, with `*` for what looks like an id, and for the ports of this machine."""


class UnusableBaseline(Exception):
    """A baseline can't be read or written; the message is one line that names the file and what was expected."""


def fingerprint(entry: dict[str, Any], finding: dict[str, Any]) -> Fingerprint:
    """Return a finding's fingerprint; both as `corscope.report.as_json` gives them."""
    return Fingerprint(
        finding["id"], entry["kind"], entry["method"], _without_ids(entry["origin"] or ""), _without_ids(entry["url"])
    )


def wrong(entry: dict[str, Any]) -> list[Fingerprint]:
    """Return what is wrong with an exchange: its errors and warnings; what is silenced is not among them."""
    return [fingerprint(entry, one) for one in entry["findings"] if one["severity"] in ("error", "warning")]


class Baseline:
    """What is known to be wrong."""

    def __init__(self, known: frozenset[Fingerprint] = frozenset()) -> None:
        self._known = known

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a baseline; raises `UnusableBaseline`."""
        try:
            data = json.loads(Path(path).read_bytes())
        except OSError as error:
            raise UnusableBaseline(f"{path}: can't be read ({_reason(error)}); {_EXPECTED}") from error
        except (ValueError, RecursionError) as error:
            raise UnusableBaseline(f"{path}: is no JSON; {_EXPECTED}") from error
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise UnusableBaseline(f"{path}: is no baseline; {_EXPECTED}")
        if data.get("version") != VERSION:
            said = data.get("version")
            raise UnusableBaseline(f"{path}: is a baseline of version {said!r}; expected version {VERSION}")
        known = data.get("known")
        if not isinstance(known, list):
            raise UnusableBaseline(f"{path}: has no list “known”; {_EXPECTED}")
        return cls(frozenset(_read(path, number, one) for number, one in enumerate(known, start=1)))

    def knows(self, entry: dict[str, Any]) -> bool:
        """Tell whether something is wrong with an exchange and all of it is known."""
        found = wrong(entry)
        return bool(found) and self._known.issuperset(found)


def _read(path: str | Path, number: int, one: object) -> Fingerprint:
    if (
        not isinstance(one, dict)
        or one.keys() != set(Fingerprint._fields)
        or not all(isinstance(value, str) for value in one.values())
    ):
        names = ", ".join(Fingerprint._fields)
        raise UnusableBaseline(f"{path}: number {number} of “known” is no finding; expected the texts {names}")
    return Fingerprint(**one)


class BaselineWriter:
    """Collects what is wrong and writes it as a baseline: sorted, a line each, so that its changes read well."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._found: set[Fingerprint] = set()

    def add(self, entry: dict[str, Any]) -> None:
        """Take what is wrong with an exchange."""
        self._found.update(wrong(entry))

    def write(self) -> int:
        """Write the file, whole or not at all, and return how many findings it holds; raises `UnusableBaseline`."""
        try:
            with replacing(self._path) as file:
                file.write(self._text())
        except OSError as error:
            raise UnusableBaseline(f"{self._path}: can't be written ({_reason(error)})") from error
        return len(self._found)

    def _text(self) -> str:
        lines = ",\n".join(f"    {json.dumps(one._asdict())}" for one in sorted(self._found))
        known = f"[\n{lines}\n  ]" if lines else "[]"
        return f'{{\n  "format": "{_FORMAT}",\n  "version": {VERSION},\n  "known": {known}\n}}\n'


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


@lru_cache(maxsize=4096)
def _without_ids(url: str) -> str:
    """Return a URL's origin and path without what differs from run to run."""
    address = re.split(r"[?#]", url, maxsplit=1)[0]
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    host, slash, path = rest.partition("/")
    if (named := _PORT.fullmatch(host)) and (is_loopback(named[1]) or named[1] in LOOPBACK_HOSTS):
        host = f"{named[1]}:*"
    return f"{scheme}://{host}{slash}{'/'.join(map(_segment_without_ids, path.split('/')))}"


_PORT = re.compile(r"(.*):[0-9]+")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_PART = re.compile(r"[^.]+")
_TOKEN = re.compile(r"(?<=%)[0-9A-Fa-f]{2}|[A-Za-z0-9]+")
_HEX = re.compile(r"(?=.*[0-9])[0-9a-f]{8,}", re.IGNORECASE)
_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z])[\w-]{20,}", re.ASCII)
_LONG = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z]).{16,}")
_SWITCH = re.compile(r"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")


def _segment_without_ids(segment: str) -> str:
    """Return a path's segment with `*` for every part that looks like an id; `v2`, `index.html` and words stay."""
    return _PART.sub(_part_without_ids, _UUID.sub("*", segment))


def _part_without_ids(part: re.Match[str]) -> str:
    return "*" if _RANDOM.fullmatch(part[0]) else _TOKEN.sub(_token_without_ids, part[0])


def _token_without_ids(token: re.Match[str]) -> str:
    text = token[0]
    if token.start() and token.string[token.start() - 1] == "%" and len(text) == 2:
        return text
    looks_random = (
        text.isdigit()
        or _HEX.fullmatch(text)
        or _LONG.fullmatch(text)
        or (len(text) >= 8 and len(_SWITCH.findall(text)) >= 3)
    )
    return "*" if looks_random else text
