"""The page: one Markdown file and one JSON file of the same, written again after each result."""
from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmseg.cli.certify.results import Result
from mmseg.utils.atomic import write_atomically, write_json
from mmseg.utils.markdown import table

ENVIRONMENT = ('device', 'driver', 'torch', 'cuda', 'cudnn', 'python', 'platform', 'cpu', 'cpu threads', 'git')
TITLES = ('training', 'images', 'precision', 'how', 's / iteration', 'images / s', 'TFLOP/s ¹', 'share of products ²',
          'peak memory ³', 'estimated ⁴')
NOTES = """\
¹ Matrix products and convolutions, counted in an eager step. ² Of the rate of large matrix products in
the same precision, measured in the same process. ³ Most that tensors took at a time, by torch's
allocator; on a CPU, the whole process. ⁴ As by `python -m dev.memory_table`; of compiled steps that
of eager ones.
"""


class Page:
    """Collects results and writes them.

    Args:
        folder: gets certificate.md and certificate.json.
        device: what is certified.
        miniature: whether everything was small.
    """

    def __init__(self, folder: Path, device: str, miniature: bool) -> None:
        self.folder, self.device, self.miniature = folder, device, miniature
        self.date = time.strftime('%Y-%m-%d %H:%M')
        self.results: dict[str, Result] = {}

    def add(self, result: Result) -> None:
        """Keep a result in the place of one with the same name, and write both files."""
        self.results[result.name] = result
        write_json(self.folder / 'certificate.json', self.content())
        write_atomically(self.folder / 'certificate.md', lambda path: Path(path).write_text(self.text(), 'utf-8'))

    def content(self) -> dict[str, Any]:
        """The JSON file."""
        results = [dict(name=r.name, status=r.status, detail=r.detail, seconds=r.seconds, **r.values)
                   for r in self.results.values()]
        return dict(date=self.date, device=self.device, miniature=self.miniature, results=results)

    def text(self) -> str:
        """The Markdown file."""
        environment = self.values('environment')
        lines = [f'# {environment.get("device", self.device)}', '',
                 f'{self.date}, `python -m tools.certify`. {self.sum()}']
        if self.miniature:
            lines += ['', '**In miniature** (MiT-B0, crops of 64 and 128 pixels), to try the program: no statement '
                      'about a GPU.']
        shown = [(name, str(environment[name])) for name in ENVIRONMENT if name in environment]
        lines += ['', table(('environment', ''), shown), '', '## Checks', '', self.checks(), '', '## Measurements', '']
        return '\n'.join([*lines, self.measurements(), '', NOTES])

    def sum(self) -> str:
        """How many passed, and what failed."""
        failed = self.failed()
        words = f'{len(self.of("passed"))} passed, {len(failed)} failed, {len(self.of("not run"))} not run.'
        return words + (f' **Failed: {"; ".join(failed)}.**' if failed else '')

    def of(self, status: str) -> list[str]:
        """The names of all results that ended so."""
        return [result.name for result in self.results.values() if result.status == status]

    def failed(self) -> list[str]:
        """The names of what failed."""
        return self.of('failed')

    def values(self, name: str) -> dict[str, Any]:
        """What was found under a name; {} if nothing was."""
        return self.results[name].values if name in self.results else {}

    def checks(self) -> str:
        """The table of everything but training steps and the estimates that stand beside them."""
        rows = [(r.name, f'**{r.status}**' if r.status == 'failed' else r.status, r.detail, f'{r.seconds:.0f}')
                for r in self.results.values() if 'memory, ' not in r.name and not _step(r.name)]
        return table(('check', 'result', '', 's'), rows)

    def measurements(self) -> str:
        """The table of the training steps."""
        return table(TITLES, (self.step(result) for result in self.results.values() if _step(result.name)))

    def step(self, result: Result) -> Iterable[str]:
        """A row of it."""
        method, precision, how = _step(result.name)
        found = result.values
        estimated = self.values(f'memory, {method}, {"bf16" if precision == "bf16" else "fp32"}').get('estimated_mib')
        yield from (method, ' x '.join(map(str, found.get('size', ()))), precision, how)
        if not found:
            yield from (f'{result.status}: {result.detail}', *[''] * 4)
        else:
            seconds = found['median_seconds']
            rate = (self.work(method) or 0) / seconds
            yield f'{seconds:.3f}' + ('' if found['calibration_ok'] else ' (the speed of the machine moved)')
            yield f'{found["images_per_second"]:.1f}'
            yield f'{rate / 1e3:.3g}' if rate else ''
            yield f'{100 * rate / found["products_gflops"]:.0f} %' if rate else ''
            yield _gib(found['peak_memory_mib'])
        yield _gib(estimated) if estimated else ''

    def work(self, method: str) -> float | None:
        """GFLOP of a step, which are the same in all precisions."""
        return next((result.values['gflop_per_call'] for result in self.results.values()
                     if result.name.startswith(f'{method}, ') and 'gflop_per_call' in result.values), None)


def _step(name: str) -> tuple[str, ...]:
    """(method, precision, how) of a measured training step, () of anything else."""
    parts = tuple(name.split(', '))
    return parts if len(parts) == 3 and parts[0] != 'memory' else ()


def _gib(mib: float) -> str:
    return f'{mib / 1024:.2f} GiB'
