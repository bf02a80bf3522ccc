"""A process of mmseg.cli.certify that ends in one of the ways in which real ones may."""
from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from mmseg.cli.certify.results import reporter

if __name__ == '__main__':
    kind, results, _ = sys.argv[1:]
    report = reporter(Path(results))
    report('first', detail='in time', number=1)
    if kind == 'crash':
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == 'hang':
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    if kind == 'error':
        sys.exit('OutOfMemoryError: CUDA out of memory')
    report('second', 'failed', 'is wrong')
