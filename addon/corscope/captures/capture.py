"""What every reader of captures yields, and how it says that something in one can't be read."""

from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, Protocol

from corscope.flow_filters import Filter
from corscope.model import Exchange


class Entry(NamedTuple):
    """One exchange of a capture."""

    exchange: Exchange
    wanted: bool = True
    """Whether the user's filter lets it be told; it is judged all the same, for others may depend on it."""
    number: int | None = None
    """Which exchange of the capture it is, from 0, where the reader had to change the order; None where it had not."""


class Damage(NamedTuple):
    """Something in a capture that can't be read."""

    where: str
    """Such as `byte 20480` or `entry 12`."""
    what: str
    """What is wrong there, such as `the file ends in the middle of a flow`."""
    skipped: str
    """How much was passed over, such as `1 entry` or `the last 512 bytes`."""


class UnreadableCapture(Exception):
    """Nothing of a capture could be read; the message is one line that names it and what was expected."""


type OnDamage = Callable[[Damage], None]


class Reader(Protocol):
    """Reads the exchanges of one kind of capture, from the file's present position, in the file's order.

    `wanted` is a flow filter, None for all. Each `Damage` is told through `damaged` as it is met. Nothing is held
    whole that need not be.
    """

    def __call__(self, file: BinaryIO, *, wanted: Filter | None, damaged: OnDamage) -> Iterator[Entry]: ...
