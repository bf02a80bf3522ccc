"""Which network fits into the memory."""
from __future__ import annotations

from pathlib import Path

import torch

from mmseg.config.memory import total_memory
from mmseg.config.reading import load_config
from mmseg.doctor.memory import estimated_bytes
from mmseg.init.networks import Choice, first_that_fits
from mmseg.init.plan import Plan
from mmseg.init.writing import write_config


def choose(path: Path, plan: Plan, device: torch.device, named: str | None) -> tuple[Choice, str]:
    """The network that fits into the memory; the config is written for it."""
    def needed(choice: Choice) -> int:
        write_config(path, plan, choice, named)
        return estimated_bytes(load_config(path), (plan.scales.crop, plan.scales.crop))

    return first_that_fits(plan.training.choices, needed, total_memory(device))
