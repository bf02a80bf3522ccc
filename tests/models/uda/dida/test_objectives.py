"""The instance bank as an objective among others: filled while training, projected, and the published program's."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mmseg.models.uda.dida.memory_bank import balanced_labels, write_bank
from tests.models.uda.base_objective import CLASSES, ObjectiveTests


class TestFillingBank(ObjectiveTests):
    """It warms up for one iteration, fills itself in the next one, and renews its rows in the fourth."""
    options = dict(size=CLASSES, warmup=1, interval=3)
    uda = dict(instance_bank=options)
    off = dict(instance_bank=dict(options, weight=0))
    trained, logged = {'instance.loss_in'}, {'instance.bank_filled'}
    before = 2


class TestProjectedBank(ObjectiveTests):
    options = dict(size=CLASSES, warmup=0, projection=6)
    uda = dict(instance_bank=options)
    off = dict(instance_bank=dict(options, weight=0))
    trained, logged = {'instance.loss_in'}, {'instance.bank_filled'}
    still = ('instance_bank.ema_projection.', )
    before = 1


class TestPublishedBank(ObjectiveTests):
    trained = {'instance.loss_in'}
    before = 1

    @pytest.fixture(autouse=True)
    def existing(self, tmp_path: Path) -> None:
        """The bank that it starts from. Not calibrated: it takes logarithms of scores, which may be negative here."""
        rows = torch.rand(2 * CLASSES, 16, generator=torch.Generator().manual_seed(0)) + 0.1
        write_bank(tmp_path, rows, balanced_labels(len(rows), range(CLASSES)))
        options = dict(preset='dida_code', bank=str(tmp_path), calibrate=False, interval=2)
        self.uda, self.off = dict(instance_bank=options), dict(instance_bank=dict(options, weight=0))
