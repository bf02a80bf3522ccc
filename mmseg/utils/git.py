"""Which version of the sources is at work."""
from __future__ import annotations

import subprocess


def git_revision() -> str:
    """Hash of the commit in the current folder, or '' where git or the repository is absent."""
    try:
        answer = subprocess.run(['git', 'rev-parse', 'HEAD'], capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ''
    return answer.stdout.strip()
