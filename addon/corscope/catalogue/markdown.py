"""A finding's entry as Markdown, for pages and for tools that show what a rule is about."""

import re
from collections.abc import Iterator, Sequence

from corscope.catalogue import FIREFOX_REASONS
from corscope.catalogue.entry import Entry


def section(entry: Entry, *, linked: bool = True) -> Iterator[str]:
    """Yield what there is to say of a finding, paragraph by paragraph, without its heading.

    `linked` tells that other findings are on the same page, and can be linked to.
    """
    kind = entry.severity
    if entry.of:
        kind = f"a cause of [{entry.of}](#{entry.of})" if linked else f"a cause of `{entry.of}`"
    yield f"**{_escaped(entry.title)}** · {kind} · [standard]({entry.section})\n"
    yield f"{_escaped(entry.why)}\n"
    if entry.console is not None:
        names = dict.fromkeys(name for name in (entry.devtools_error, entry.preflight_error) if name is not None)
        yield f"- Chromium: “… has been blocked by CORS policy: {_escaped(entry.console)}” ({_code(names)})"
    if entry.firefox is not None:
        yield f"- Firefox: “(Reason: {_escaped(FIREFOX_REASONS[entry.firefox])}).” (`{entry.firefox}`)"
    if entry.safari is not None:
        yield f"- Safari: “{_escaped(entry.safari)}”"
    yield f"- To see it: {_escaped(entry.see)}"
    yield f"- To fix it: {_escaped(entry.fix)}\n"


def in_general(text: str) -> str:
    """Return a text of the catalogue with ‹names› where the traffic's values belong."""
    return re.sub(r"\{(\w+)\}", r"‹\1›", text)


def _code(names: Sequence[str] | dict[str, None]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _escaped(text: str) -> str:
    return in_general(text).replace("*", r"\*").replace(r"`\*`", "`*`")
