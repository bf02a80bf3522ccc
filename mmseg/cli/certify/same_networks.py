"""A hook for the trainings that are certified, named in their config."""
from __future__ import annotations

import hashlib
from typing import Any

from mmengine.hooks import Hook

from mmseg.distributed import processes
from mmseg.registry import HOOKS


@HOOKS.register_module()
class SameNetworks(Hook):
    """Ends a training of several processes with an error if their networks are not the same to the bit."""

    def after_train(self, runner: Any) -> None:
        """Compare them by a hash.

        Running statistics are each process's own between checkpoints, so parameters alone are compared.

        Raises:
            RuntimeError: if they differ.
        """
        digest = hashlib.sha256()
        for parameter in runner.model.parameters():
            digest.update(parameter.detach().cpu().numpy().tobytes())
        if len(set(processes.gather(digest.hexdigest()))) > 1:
            raise RuntimeError('the processes have ended with different networks')
