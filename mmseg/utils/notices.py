"""Warnings that are not repeated, however often their reason is met."""
from __future__ import annotations

import warnings

_given: dict[str, str] = {}  # texts by topic
_shown: set[str] = set()


def warn_once(text: str, topic: str = '') -> None:
    """Warn once per process; ``topic`` (else the text itself) says what counts as a repetition."""
    topic = topic or text
    if topic not in _given:
        _given[topic] = text
        warnings.warn(text, UserWarning, stacklevel=3)


def closing_words() -> list[str]:
    """The warnings since the last call: a long log has scrolled them away by the end of a program."""
    texts = [text for topic, text in _given.items() if topic not in _shown]
    _shown.update(_given)
    return texts
