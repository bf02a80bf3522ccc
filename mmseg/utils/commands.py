"""How the commands of this program are called from where somebody is."""
from __future__ import annotations

from pathlib import Path

PROGRAM = 'udaseg'


def called(command: str, tool: str = '') -> str:
    """The beginning of a command line: with the tool, in the root of a clone; elsewhere that of the installed program.

    Args:
        command: of the program, e.g. 'convert gta'.
        tool: its module below ``tools``; by default it has the name of the command.
    """
    tool = tool or command
    in_clone = Path('tools', *tool.split('.')).with_suffix('.py').is_file()
    return f'python -m tools.{tool}' if in_clone else f'{PROGRAM} {command}'


def called_with_processes(config: str | Path, count: int) -> str:
    """The beginning of a command line that trains in several processes."""
    if Path('tools', 'dist_train.sh').is_file():
        return f'sh tools/dist_train.sh {config} {count}'
    return f'torchrun --nproc_per_node={count} -m mmseg train {config} --launcher pytorch'
