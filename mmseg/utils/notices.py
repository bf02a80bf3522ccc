"""Warnings that are not repeated, however often their reason is met."""
from __future__ import annotations

import warnings

_given: set[str] = set()


def warn_once(text: str, topic: str = '') -> None:
    """Warn once per process; ``topic`` (else the text itself) says what counts as a repetition."""
    if (topic or text) not in _given:
        _given.add(topic or text)
        warnings.warn(text, UserWarning, stacklevel=3)
