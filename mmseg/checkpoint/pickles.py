"""What a pickle asks for, found without running it: to tell a file with code in it from a damaged one."""
from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

MAX_BYTES = 2**26  # of a pickle that is looked at: the tensors of a checkpoint lie beside it
_HARMLESS = re.compile(r'torch\..*|collections\.OrderedDict|_codecs\.encode|numpy\..*|mmengine\.logging\..*')
_PUTS, _GETS = ('BINPUT', 'LONG_BINPUT', 'PUT'), ('BINGET', 'LONG_BINGET', 'GET')


def foreign_objects(path: Path) -> list[str]:
    """Classes and functions that a checkpoint file asks for and that no checkpoint needs, as ``module.name``."""
    found: list[str] = []
    with suppress(Exception):  # of damaged files whatever stands before the damage counts
        found.extend(name for name in _globals(_pickle_of(path)) if not _HARMLESS.fullmatch(name))
    return found


def _pickle_of(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        with path.open('rb') as file:
            return file.read(MAX_BYTES)
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith('data.pkl'))
        with archive.open(name) as member:
            return member.read(MAX_BYTES)


def _globals(content: bytes) -> Iterator[str]:
    """What the pickles in ``content``, one behind the other, ask for."""
    stream = io.BytesIO(content)
    while stream.tell() < len(content):
        recent: list[Any] = [None, None]  # what was put onto the stack: STACK_GLOBAL takes two texts from there
        memo: dict[Any, Any] = {}
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name in ('GLOBAL', 'INST'):
                yield '.'.join(str(argument).split(' ', 1))
            elif opcode.name == 'STACK_GLOBAL':
                yield f'{recent[-2]}.{recent[-1]}'
            elif opcode.name in _PUTS or opcode.name == 'MEMOIZE':
                memo[len(memo) if argument is None else argument] = recent[-1]
            else:
                recent = [recent[-1], memo.get(argument) if opcode.name in _GETS else argument]
