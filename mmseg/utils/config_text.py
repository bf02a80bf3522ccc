"""The content of a config: as text, and by dotted keys."""
from __future__ import annotations

import keyword
import math
from typing import Any


def format_config(content: dict[str, Any]) -> str:
    """A config as Python source that reads back to equal values, infinity included."""
    return ''.join(f'{name} = {_source(value)}\n' for name, value in content.items())


def _source(value: Any, indent: int = 0) -> str:
    """Python source of plain values; what does not fit into one line gets one line for each entry."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if isinstance(value, dict):
        plain = all(isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key) for key in value)
        left, right = ('dict(', ')') if plain else ('{', '}')
        entries = [(f'{key}=' if plain else f'{key!r}: ') + _source(entry, indent + 4) for key, entry in value.items()]
    elif isinstance(value, (list, tuple)):
        left, right = '[]' if isinstance(value, list) else ('(', ',)' if len(value) == 1 else ')')
        entries = [_source(entry, indent + 4) for entry in value]
    else:
        return repr(value)
    line = left + ', '.join(entries) + right
    if '\n' not in line and indent + len(line) <= 100:
        return line
    pad = '\n' + ' ' * (indent + 4)
    return left + pad + f',{pad}'.join(entries) + right


def value_at(content: Any, key: str) -> Any:
    """The value of a dotted key; None if there is none."""
    for part in key.split('.'):
        content = content.get(part) if isinstance(content, dict) else None
    return content
