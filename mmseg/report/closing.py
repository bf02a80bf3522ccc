"""The last words of a training: how good the network is, where things are, what to do next."""
from __future__ import annotations

from pathlib import Path
from shlex import quote

from mmengine import Config

from mmseg.errors import LogError
from mmseg.report.files import PAGE
from mmseg.report.logs import Log, read_log
from mmseg.report.training import FOLDER
from mmseg.utils.commands import called


def closing(cfg: Config, config: Path) -> str:
    """What is said about a training that has reached its end.

    Args:
        cfg: its config.
        config: the file of it in the work_dir.
    """
    run = Path(cfg.work_dir)
    latest = Path((cfg.get('checkpoint_config') or {}).get('out_dir') or run) / 'latest.pth'
    page = run / FOLDER / PAGE
    try:
        score = _score(read_log(run))
    except (LogError, OSError):
        score = ''
    lines = [f'finished: {score or "not evaluated"}']
    lines += [f'{what}: {path}' for what, path in (('checkpoint', latest), ('report', page)) if path.exists()]
    if latest.exists():
        lines.append(f'next: {called("test")} {quote(str(config))} {quote(str(latest))} --eval mIoU --show-dir '
                     f'{quote(str(run / "preds"))}')
    return '\n'.join(lines)


def _score(log: Log) -> str:
    """The last mIoU of each network, and the best one of the training if that is another; '' without any."""
    if not log.val:
        return ''
    last = max(log.val)
    found = []
    for key in [key for key in log.val[last] if key == 'mIoU' or key.endswith('.mIoU')]:
        iterations, values = log.series(key)
        best = max(zip(values, iterations))
        earlier = f' (best {100 * best[0]:.2f} % at iteration {best[1]})' if best[0] > values[-1] else ''
        found.append(f'{key} {100 * values[-1]:.2f} %{earlier}')
    return ', '.join(found)
