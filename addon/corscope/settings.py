"""What users may set, as options of the addon and on the command line alike, and a session that is set up so.

Each error is a SettingError that names the option and what was perhaps meant.
"""

import difflib
from collections.abc import Collection, Iterable

from corscope.catalogue import CATALOGUE
from corscope.public_suffixes import is_platform, is_public_suffix
from corscope.session import Session
from corscope.stacks import STACKS

BROWSERS = ("auto", "chromium", "firefox", "spec")
"""Whose rules apply: those of the browser that sent a request, one browser's, or the Fetch standard's to the letter."""


class SettingError(ValueError):
    """A value that an option does not take; the message is one line."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that was perhaps meant, as the end of a sentence."""
    found = difflib.get_close_matches(word, known, 1)
    return f" (did you mean {found[0]}?)" if found else ""


def no_option(name: str, known: Iterable[str]) -> str:
    """Return what is to be said of an option that nothing knows."""
    return f"there is no option {name}{nearest(name, known)}"


def check_stack(what: str, stack: str) -> None:
    """Raise SettingError for the id of a stack that is not known."""
    if stack not in STACKS:
        raise SettingError(f"{what} takes {', '.join(STACKS)}, not {stack!r}{nearest(stack, STACKS)}.")


def check_browser(what: str, browser: str) -> None:
    """Raise SettingError for rules that are not known."""
    if browser not in BROWSERS:
        raise SettingError(f"{what} takes {', '.join(BROWSERS)}, not {browser!r}{nearest(browser, BROWSERS)}.")


def parse_silence(what: str, values: Iterable[str]) -> frozenset[str]:
    """Parse ids of findings, apart or with commas between. Raises SettingError."""
    ids = frozenset(id_ for value in values for id_ in value.replace(",", " ").split())
    for id_ in sorted(ids):
        if id_ not in CATALOGUE:
            raise SettingError(
                f"{what}: there is no finding {id_!r}{nearest(id_, CATALOGUE)}; docs/findings.md lists them."
            )
    return ids


def new_session(browser: str = "auto", *, silence: Collection[str] = frozenset()) -> Session:
    """Return a session that knows the Public Suffix List."""
    session = Session(browser=browser, is_public_suffix=is_public_suffix, is_platform=is_platform)
    session.silence = frozenset(silence)
    return session
