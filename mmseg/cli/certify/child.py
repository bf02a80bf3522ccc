"""What a job does in its process: python -m mmseg.cli.certify.child KIND RESULTS OPTIONS (see jobs.py)."""
from __future__ import annotations

import importlib
import json
import sys
import traceback
from pathlib import Path

import torch

from mmseg.cli.certify.results import reporter

MODULES = dict(environment='checks', parity='checks', waiting='checks', trainings='trainings', speed='speed',
               memory='speed')  # of this package, by kind: its function has the same name


def main() -> None:
    """Do one job; what it cannot do ends in one last line that says why."""
    kind, results, options = sys.argv[1:]
    report = reporter(Path(results))
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        module = importlib.import_module(f'mmseg.cli.certify.{MODULES[kind]}')
        getattr(module, kind)(report, **json.loads(options))
    except Exception as error:  # the page shows the reason, the log the place
        traceback.print_exc()
        sys.stderr.flush()
        words = str(error).strip().splitlines()
        sys.exit(f'{type(error).__name__}: {words[0] if words else ""}')


if __name__ == '__main__':
    main()
