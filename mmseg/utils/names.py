"""Help with names that do not exist."""
from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known name, or all of them if none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, 1)
    return f'did you mean {near[0]!r}?' if near else f'known are {", ".join(known)}'
