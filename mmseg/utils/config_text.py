"""The content of a config: as text, and by dotted keys."""
from __future__ import annotations

import ast
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


def read_config_text(text: str) -> dict[str, Any]:
    """The content of a config that was written as Python source, read as data: nothing in it runs.

    Args:
        text: assignments of literals, ``dict(...)`` and ``float('inf')``, as :func:`format_config` and the mmcv of the
            original programs write them.

    Raises:
        ValueError: for anything else, naming the line.
    """
    try:
        content = {}
        for statement in ast.parse(text).body:
            if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
                raise ValueError(f'line {statement.lineno} is no assignment of values')
            content[statement.targets[0].id] = _literal(statement.value)
        return content
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(str(error) or 'it is nested too deeply') from error


def _literal(node: ast.expr) -> Any:
    """The value of an expression that is nothing but values."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and all(word.arg for word in node.keywords):
        if node.func.id == 'dict' and not node.args:
            return {str(word.arg): _literal(word.value) for word in node.keywords}
        if node.func.id == 'float' and len(node.args) == 1 and not node.keywords:
            return float(ast.literal_eval(node.args[0]))
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {ast.literal_eval(key): _literal(value) for key, value in zip(node.keys, node.values) if key}
    if isinstance(node, ast.List):
        return [_literal(entry) for entry in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_literal(entry) for entry in node.elts)
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ValueError(f'line {node.lineno} holds more than values') from error


def value_at(content: Any, key: str) -> Any:
    """The value of a dotted key; None if there is none."""
    for part in key.split('.'):
        content = content.get(part) if isinstance(content, dict) else None
    return content
