"""What may stand in a config: the known sections, and in them what the classes that they name take.

At top level only what is near to a known name is refused, because older config files leave their variables there.
"""
from __future__ import annotations

import difflib
from collections.abc import Collection
from os.path import commonprefix
from typing import Any

from mmseg.config.advice import warn_of_settings_for_other_targets
from mmseg.config.agreement import check_agreement
from mmseg.config.fields import check_fields
from mmseg.config.ignored import check_ignored
from mmseg.config.limits import check_limits
from mmseg.config.memory import check_pictures
from mmseg.config.sections import KINDS, SECTIONS, VALUES
from mmseg.errors import ConfigError, ConfigKeyMissing
from mmseg.utils import kinds
from mmseg.utils.kinds import ANY, Missing, Problem, Section

__all__ = ['SECTIONS', 'TOP_LEVEL', 'check_content', 'unknown']

NEAR = 0.8  # likeness (difflib) from which a top-level name counts as a slip of the keyboard
# Variables that known config files leave at top level (and every name that ends in _pipeline).
LEAKED = frozenset({'dataset_type', 'data_root', 'img_norm_cfg', 'crop_size', 'img_scale', 'norm_cfg',
                    'backbone_norm_cfg', 'train_cfg', 'test_cfg'})
TOP_LEVEL = frozenset({
    *SECTIONS, *VALUES, 'model', 'uda', 'optimizer', 'momentum_config', 'dist_params', 'workflow',
    'find_unused_parameters', 'use_ddp_wrapper', 'gpu_ids', 'n_gpus', 'gpu_model',
    'git_rev', 'name', 'exp', 'name_dataset', 'name_architecture', 'name_encoder', 'name_decoder', 'name_uda',
    'name_opt', 'custom_imports', 'custom_hooks'
})


def check_content(content: dict[str, Any], excused: Collection[str] = ()) -> None:
    """Check the whole content of a config after the legacy fixes.

    Args:
        content: the sections.
        excused: dotted keys that may be missing although they are needed.

    Raises:
        ConfigError: for the first thing that is wrong, naming its dotted key.
    """
    _check_top_level(content)
    check_limits(content)
    runs = bool(content.get('model') and content.get('data'))  # not a part that others inherit from
    problems = Section(KINDS | dict.fromkeys(content.keys() - KINDS.keys(), ANY)).problems(content, '')
    for problem in sorted(problems, key=lambda problem: isinstance(problem, Missing)):
        if not isinstance(problem, Missing) or runs and problem.key not in excused:
            raise _error(problem)
    check_agreement(content)
    check_fields(content)
    check_pictures(content)
    check_ignored(content)
    warn_of_settings_for_other_targets(content)


def unknown(word: Any, known: Collection[str], key: str) -> ConfigError:
    """The error about a key or type ``word`` at the dotted key ``key``."""
    return _error(kinds.unknown(word, known, key))


def _error(problem: Problem) -> ConfigError:
    error = ConfigKeyMissing if isinstance(problem, Missing) else ConfigError
    return error(f'{problem.key}: {problem.text}', problem.word, problem.key)


def is_variable(name: str) -> bool:
    """Whether known config files have a variable of this name, which their sections are made with."""
    return name in LEAKED or name.endswith('_pipeline')


def _check_top_level(content: dict[str, Any]) -> None:
    for name in content:
        if name in TOP_LEVEL or is_variable(name):
            continue
        near = difflib.get_close_matches(name.lower(), TOP_LEVEL, 1, NEAR) or [
            known for known in sorted(TOP_LEVEL) if _is_one_slip(name.lower(), known)]
        if near:
            raise ConfigError(f'{name}: no section of this name exists, did you mean {near[0]!r}? '
                              'A variable of your own needs a name that is less like it', name, name)


def _is_one_slip(word: str, known: str) -> bool:
    """Whether one letter was left out, added or changed, or two were swapped."""
    start = len(commonprefix([word, known]))
    word, known = word[start:][::-1], known[start:][::-1]
    end = len(commonprefix([word, known]))
    word, known = word[end:], known[end:]
    return len(word) < 2 and len(known) < 2 or len(word) == 2 and word == known[::-1]
