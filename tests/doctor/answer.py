"""What the doctor says about a config."""
from __future__ import annotations

import re
from typing import Any

import pytest

from tools import doctor


class Answer:
    """What the doctor prints about a config, with its exit status."""

    def __init__(self, config: Any, capsys: pytest.CaptureFixture, *options: str) -> None:
        flags = ['--options', *options] if options else []
        self.status = doctor.main([str(getattr(config, 'filename', config)), '--device', 'cpu', *flags])
        self.text = capsys.readouterr().out
        self.problems = re.findall(r'^  problem   (.+(?:\n {12}(?!fix:).*)*)', self.text, re.MULTILINE)
        self.warnings = re.findall(r'^  warning   (.+)', self.text, re.MULTILINE)

    def blocks(self, state: str) -> list[str]:
        """All findings of a state, each with how it is mended."""
        return [block for block in re.split(r'\n(?=  \w|\n)', self.text) if block.strip().startswith(state)]

    def problem(self, pattern: str) -> str:
        """The only problem that matches, and how it is mended."""
        [found] = [block for block in self.blocks('problem') if re.search(pattern, block)]
        return found
