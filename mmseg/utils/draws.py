"""Random draws as a function of (run seed, rank, iteration, name) instead of a state that has to be saved.

A draw depends neither on which objectives are switched on nor on what ran before it, so a resumed run and a run
with one more objective see the same numbers.
"""
from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Draws:
    """Seeded generators for one iteration of one process.

    Args:
        seed: seed of the run, >= 0.
        rank: rank of the process, >= 0.
        iteration: 0-based training iteration.
        part: 0-based part of it, where gradients are accumulated.
    """
    seed: int
    rank: int = 0
    iteration: int = 0
    part: int = 0

    def _sequence(self, name: str) -> np.random.SeedSequence:
        part = [self.part] if self.part else []  # the first part draws as a whole iteration does
        return np.random.SeedSequence([self.seed, self.rank, self.iteration, zlib.crc32(name.encode()), *part])

    def numpy(self, name: str) -> np.random.RandomState:
        """Legacy numpy generator for the draw called ``name`` (the originals' stream: randint, choice, uniform)."""
        return np.random.RandomState(self._sequence(name).generate_state(4))

    def integer(self, name: str) -> int:
        """One integer in [0, 2**63) for the draw called ``name``, for ``torch.manual_seed``."""
        return int(self._sequence(name).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def torch(self, name: str, device: torch.device | str = 'cpu') -> torch.Generator:
        """Torch generator on ``device`` for the draw called ``name``."""
        return torch.Generator(device).manual_seed(self.integer(name))
