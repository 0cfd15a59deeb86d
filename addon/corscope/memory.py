"""Dictionaries that hold no more than they may: what was asked for longest ago goes first."""

from collections import OrderedDict
from collections.abc import Callable


def bound[K, V](cache: OrderedDict[K, V], capacity: int) -> None:
    """Drop entries from the front until no more than `capacity` are left."""
    while len(cache) > capacity:
        cache.popitem(last=False)


def entry[K, V](cache: OrderedDict[K, V], key: K, capacity: int, make: Callable[[], V]) -> V:
    """Return what is kept under a key, made where there is nothing yet."""
    found = cache.get(key)
    if found is None:
        found = cache[key] = make()
        bound(cache, capacity)
    else:
        cache.move_to_end(key)
    return found
