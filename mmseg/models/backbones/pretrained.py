"""Loading published classification weights into a backbone."""
from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from mmseg.utils.checkpoint_file import load_parameters, read_checkpoint


def load_pretrained(backbone: nn.Module, path: str, help_text: str, ignore: tuple[str, ...] = ()) -> None:
    """Load a published file into ``backbone``, all of it or not at all.

    Args:
        backbone: the module that gets the weights.
        path: the file; its weights lie under ``state_dict``, under ``model``, or on top.
        help_text: added to the message when the file is missing: where it comes from and where it belongs.
        ignore: prefixes of keys that the file may have beyond the backbone's (its classifier).

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if it cannot be read, or lacks parameters of the backbone, or has them in other shapes.
    """
    try:
        content = read_checkpoint(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'no pretrained weights at {path}. {help_text}') from error
    state = next((content[k] for k in ('state_dict', 'model') if isinstance(content.get(k), Mapping)), content)
    state = {k: v for k, v in state.items() if not k.startswith(ignore)}
    load_parameters(backbone, state, f'{path} does not hold the weights of {type(backbone).__name__}')
