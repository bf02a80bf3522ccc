"""Walking through what a file holds, however it is nested."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MAX_DEPTH, MAX_ENTRIES = 64, 3 * 10**5  # more is no config or checkpoint, but a way to keep the reader busy


def leaves(content: Any) -> Iterator[tuple[str, Any]]:
    """All that is no container, by dotted name.

    Raises:
        ValueError: if containers are nested without end, or hold (by repetition) more than any real file.
    """
    stack, count = [('', 0, content)], 0
    while stack:
        name, depth, value = stack.pop()
        if not isinstance(value, (Mapping, list, tuple)):
            yield name, value
            continue
        count += len(value)
        if depth > MAX_DEPTH or count > MAX_ENTRIES:
            raise ValueError(f'{name.partition(".")[0] or "content"} has more than {MAX_DEPTH} containers inside of '
                             f'each other, or more than {MAX_ENTRIES} entries')
        entries = value.items() if isinstance(value, Mapping) else enumerate(value)
        stack.extend((f'{name}.{key}' if name else str(key), depth + 1, entry) for key, entry in entries)
