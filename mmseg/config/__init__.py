"""What a config says: reading it, translating older spellings, checking every key and value before anything is built.

``reading`` is the way in. ``sections`` and ``schema`` check each entry against what the registered classes declare;
``agreement``, ``ignored``, ``limits`` and ``memory`` check entries against each other and against the machine;
``legacy`` translates; ``advice`` warns; ``low_memory`` is a policy that changes a config.
"""
from mmseg.config.reading import dump_config, load_config, validate_config
from mmseg.errors import ConfigError
from mmseg.utils.config_text import format_config

__all__ = ['ConfigError', 'dump_config', 'format_config', 'load_config', 'validate_config']
