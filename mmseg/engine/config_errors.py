"""What is wrong with a config, said once: the file, the dotted key, the remedy."""
from __future__ import annotations


class ConfigError(ValueError):
    """A config that cannot be used; the message names the file, the dotted key and the remedy.

    Args:
        message: what is wrong.
        word: the name or value that is wrong as it stands in the file, to find the file among several.
        key: the dotted key it belongs to.
    """

    def __init__(self, message: str, word: str = '', key: str = '') -> None:
        super().__init__(message)
        self.word, self.key = word, key


class ConfigFileNotFound(ConfigError, FileNotFoundError):
    """A config file, or a file that it inherits from, does not exist."""


class ConfigMergeError(ConfigError, TypeError):
    """A dict of a child config meets something that is no dict in its base."""
