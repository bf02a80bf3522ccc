"""What a config says: reading it, translating older spellings, checking every key and value before anything is built.

``reading`` is the way in. ``sections`` and ``schema`` check each entry against what the registered classes declare;
``agreement``, ``ignored``, ``limits`` and ``memory`` check entries against each other and against the machine;
``legacy`` translates; ``advice`` warns; ``low_memory`` is a policy that changes a config.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmseg.config.reading import dump_config, load_config, validate_config
    from mmseg.errors import ConfigError
    from mmseg.utils.config_text import format_config

__all__ = ['ConfigError', 'dump_config', 'format_config', 'load_config', 'validate_config']


def __getattr__(name: str) -> Any:
    """What ``reading`` has, which loads torch: not before somebody asks for it."""
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from mmseg.config import reading
    return getattr(reading, name)
