"""HTTP Archives, version 1.2: the exchanges for other tools, and for `corscope check`. Holds no values that are secret.

What a header's value was is told as far as it matters to CORS; of others the archive has the name, and `…` for what it
hides. Bodies are not in it. http://www.softwareishard.com/blog/har-12-spec/
"""

import json
from datetime import UTC, datetime
from typing import Any, TextIO
from urllib.parse import parse_qsl, quote

from corscope import __version__
from corscope.formats.document import Entry, Summary, Takes

CREATOR = "corscope"
"""By which `corscope.captures` knows these archives."""

_PROTOCOLS = {1: "HTTP/1.1", 2: "HTTP/2", 3: "HTTP/3"}


class Har:
    """Writes an archive. `corscope.formats.document.Format`.

    Its entries are best made with `wire_json(…, names=True)`: what that tells besides goes into the archive.
    """

    takes = Takes.EVERYTHING

    def __init__(self, file: TextIO) -> None:
        self._file = file
        creator = {"name": CREATOR, "version": __version__}
        self._begin = f'{{"log": {{"version": "1.2", "creator": {json.dumps(creator)}, "entries": [\n'

    def add(self, entry: Entry) -> None:
        self._file.write(self._begin + json.dumps(har_entry(entry)))
        self._begin = ",\n"

    def finish(self, summary: Summary) -> None:
        begin = "" if self._begin == ",\n" else self._begin
        self._file.write(f"{begin}\n]}}}}\n")


def har_entry(entry: Entry) -> dict[str, Any]:
    """Return an entry of an archive from one of a report."""
    wire = entry["wire"]
    milliseconds = round(wire.get("seconds", 0.0) * 1000, 3)
    protocol = _PROTOCOLS.get(wire.get("http_version", 1), "HTTP/1.1")
    # What is hidden is marked by a character that has no place in a URL.
    url = quote(entry["url"], safe="!#$%&'()*+,/:;=?@[]~")
    made: dict[str, Any] = {
        "startedDateTime": datetime.fromtimestamp(entry["timestamp"], UTC).isoformat(timespec="microseconds"),
        "time": milliseconds,
        "request": {
            "method": entry["method"],
            "url": url,
            "httpVersion": protocol,
            "cookies": _cookies(wire["request"]),
            "headers": _headers(wire["request"]),
            "queryString": [
                {"name": name, "value": value}
                for name, value in parse_qsl(entry["url"].partition("#")[0].partition("?")[2], True)
            ],
            "headersSize": -1,
            "bodySize": -1,
        },
        "response": {
            "status": entry["status"],
            "statusText": "",
            "httpVersion": protocol,
            "cookies": _set_cookies(wire["response"]),
            "headers": _headers(wire["response"]),
            "content": {"size": -1, "mimeType": _value(wire["response"], "content-type")},
            "redirectURL": _value(wire["response"], "location"),
            "headersSize": -1,
            "bodySize": -1,
        },
        "cache": {},
        "timings": {"send": 0, "wait": milliseconds, "receive": 0},
        "comment": f"CORS: {entry['verdict']}",
    }
    if wire.get("connection"):
        made["connection"] = wire["connection"]
    if wire.get("edited"):
        made["_edited"] = True
    if wire.get("proxy_error"):
        made["response"]["_error"] = wire["proxy_error"]
    return made


def _headers(lines: list[list[str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in lines]


def _value(lines: list[list[str]], wanted: str) -> str:
    """Return the value of a header, empty where there is none."""
    return next((value for name, value in lines if name.lower() == wanted), "")


def _cookies(lines: list[list[str]]) -> list[dict[str, str]]:
    pairs = [pair for name, value in lines if name.lower() == "cookie" for pair in value.split("; ")]
    return [{"name": pair.partition("=")[0], "value": pair.partition("=")[2]} for pair in pairs if pair]


def _set_cookies(lines: list[list[str]]) -> list[dict[str, Any]]:
    made = []
    for name, value in lines:
        if name.lower() != "set-cookie":
            continue
        pair, *attributes = [one.strip() for one in value.split(";")]
        cookie: dict[str, Any] = {"name": pair.partition("=")[0], "value": pair.partition("=")[2]}
        for attribute in attributes:
            key, _, said = attribute.partition("=")
            match key.lower():
                case "path" | "domain":
                    cookie[key.lower()] = said
                case "httponly":
                    cookie["httpOnly"] = True
                case "secure":
                    cookie["secure"] = True
                case "samesite":
                    cookie["sameSite"] = said
        made.append(cookie)
    return made
