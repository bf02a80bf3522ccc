"""Writing files so that a reader never sees half of one."""
from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

UNFINISHED = '.unfinished_'  # begins the name of a file that is being written


def write_atomically(path: str | os.PathLike, write: Callable[[str], Any]) -> None:
    """Have ``write(temporary path)`` make a file with the suffix of ``path``, then move it into place."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED, suffix=path.suffix)
    os.close(handle)
    try:
        write(temporary)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write ``content`` as JSON, indented by 2, atomically."""
    write_atomically(path, lambda temporary: Path(temporary).write_text(json.dumps(content, indent=2)))
