"""Suites: the configs of a folder as runs with several seeds, to be compared with each other."""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg.errors import ConfigError
from mmseg.utils.names import nearest

SEEDS = (0, 1, 2)
# What a suite runs unless it is told, as far as its folder has it; the most important comes first.
METHODS = ('source_only', 'photometric', 'fda', 'dacs', 'daformer', 'hrda', 'mic', 'mrm', 'eb', 'dida_code', 'dida',
           'mic_hrda', 'mrm_hrda', 'mic_mrm_hrda', 'combined', 'oracle')


def place(method: str) -> tuple[int, str]:
    """Sorts methods: those of METHODS in its order, then the others by name."""
    return (METHODS.index(method) if method in METHODS else len(METHODS)), method


@dataclass(frozen=True)
class Suite:
    """A row of numbered.py, or a folder of one's own: a method per config, whose results are put side by side.

    Args:
        number: its id; of a folder of one's own its name.
        folder: of its configs, below ``configs``. All of them but common.py are methods.
        about: what it is.
        drawn: whether its images are the scenes of the built-in benchmark.
        target_images: folder of the target's training images: students are scored with the statistics of these, too.
    """
    number: int | str
    folder: str
    about: str
    drawn: bool = False
    target_images: str | None = None

    @property
    def name(self) -> str:
        """What it is called, also its folder in docs/logs."""
        return self.folder.replace('/', '_')

    @classmethod
    def of_folder(cls, folder: str) -> Suite:
        """The suite of a folder below ``configs`` of the current one.

        Raises:
            ConfigError: if it is none.
        """
        inside = Path(os.path.relpath(folder, 'configs'))
        if not Path(folder).is_dir() or inside.parts[:1] in ((), ('..', )):
            raise ConfigError(f'--exp {folder}: neither the number of an experiment (see --list) nor a folder below '
                              'configs, such as configs/mine', folder)
        return cls('_'.join(inside.parts), inside.as_posix(), f'the configs of {folder}')

    @property
    def home(self) -> Path:
        """The folder of its configs: below ``configs`` of the current folder, or else of this program."""
        from mmseg.config.places import OWN  # here, since it loads torch
        here = Path('configs', self.folder)
        return here if here.is_dir() else OWN / self.folder

    @property
    def known(self) -> list[str]:
        """All methods, those of :data:`METHODS` first."""
        found = {path.stem for path in self.home.glob('*.py')} - {'common'}
        return sorted(found, key=place)

    def methods(self, chosen: Iterable[str] | None = None) -> list[str]:
        """The chosen methods in the order of :attr:`known`; None: those of :data:`METHODS`.

        Raises:
            ConfigError: for a method without a config.
        """
        known, chosen = self.known, METHODS if chosen is None else list(chosen)
        unknown = [method for method in chosen if method not in known] if chosen is not METHODS else []
        if unknown:
            raise ConfigError(f'--methods: there is no {self.home / unknown[0]}.py, '
                              f'{nearest(unknown[0], known)}', unknown[0])
        return [method for method in known if method in chosen]

    def config(self, method: str) -> Path:
        """The config file of a method."""
        return self.home / f'{method}.py'

    def runs(self, methods: Iterable[str] | None = None, seeds: Sequence[int] = SEEDS) -> list[dict[str, Any]]:
        """The configs of its runs, all methods with the first seed first; ``_base_`` is relative to ``configs``.

        ``base_hash`` is that of the method's config as it stands: one that has changed makes other runs.

        Raises:
            ConfigError: for a method without a config, or a config that cannot be used.
        """
        hashes = {method: config_hash(self.config(method)) for method in self.methods(methods)}
        return [dict(_base_=[f'{self.folder}/{method}.py'], seed=seed, name=f'{method}_s{seed}', exp=self.number,
                     base_hash=base_hash) for seed in seeds for method, base_hash in hashes.items()]


def folder_name(machine: str, number: int | str) -> str:
    """How folders of the runs of an experiment or suite on a machine are called: local-exp200, local-mine."""
    return f'{machine}-exp{number}' if isinstance(number, int) else f'{machine}-{number}'


def config_hash(path: Path) -> str:
    """Twelve hexadecimal digits that stand for the whole content of a config."""
    from mmseg.config.reading import load_config  # here, since it loads torch
    content = json.dumps(load_config(path).to_dict(), sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
