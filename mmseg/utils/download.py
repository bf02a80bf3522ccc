"""Fetching a file from the network, all of it or nothing."""
from __future__ import annotations

import logging
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

logger = logging.getLogger('mmseg')
TIMEOUT = 30  # seconds without an answer


def download(url: str, path: Path, check: Callable[[Path], Any]) -> None:
    """Fetch ``url`` to ``path``, which appears only when it is complete; several processes may do so at once.

    Args:
        url: the address.
        path: of the file; its folder is made.
        check: reads the file before it gets its name, and raises if it is damaged.

    Raises:
        OSError: the address cannot be reached, or the disk cannot be written.
    """
    logger.info('downloading %s to %s', url, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, 'wb') as file, urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            size = int(answer.headers.get('Content-Length') or 0) or None
            with tqdm.wrapattr(answer, 'read', total=size, desc=path.name) as source:
                shutil.copyfileobj(source, file)
        check(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
