"""Fetching a file from the network, all of it or nothing."""
from __future__ import annotations

import logging
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

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
    part = path.with_name(f'.{uuid4().hex}.{path.name}')
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, part.open('wb') as file:
            size = int(answer.headers.get('Content-Length') or 0) or None
            with tqdm.wrapattr(answer, 'read', total=size, desc=path.name) as source:
                shutil.copyfileobj(source, file)
        check(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
