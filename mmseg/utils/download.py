"""Fetching a file from the network, all of it or nothing."""
from __future__ import annotations

import logging
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mmseg.utils.atomic import write_atomically

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

    def fetch(part: str) -> None:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, open(part, 'wb') as file:
            size = int(answer.headers.get('Content-Length') or 0) or None
            with tqdm.wrapattr(answer, 'read', total=size, desc=path.name) as source:
                shutil.copyfileobj(source, file)
        check(Path(part))

    write_atomically(path, fetch)
