"""The command line: udaseg COMMAND ..."""
from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import mmseg
from mmseg.errors import command
from mmseg.utils.names import nearest
from mmseg.utils.streams import tell

# Each command is the ``main`` of a module of this package, which is loaded when it is called.
COMMANDS = {
    'demo': ('demo', 'see an adaptation within minutes, with nothing but this program'),
    'doctor': ('doctor', 'say what is wrong with a config, its data and the machine, before a training'),
    'init': ('init', 'write a config for images of your own'),
    'train': ('train', 'train what a config describes'),
    'test': ('test', 'evaluate a checkpoint, write its predictions'),
    'predict': ('predict', 'segment images, videos, folders'),
    'serve': ('serve', 'try a network on a page for the browser, or compare two'),
    'report': ('report', 'show one or several runs on one page'),
    'experiments': ('run_experiments', 'run the experiments of the papers, and suites of configs'),
    'browse': ('browse_dataset', 'draw what a training is fed'),
    'config': ('print_config', 'print a config with all that it inherits'),
    'convert': ('convert', 'convert a published data set, or a checkpoint'),
    'cache': ('cache_dataset', 'decode and resize training images once'),
    'export': ('export_onnx', 'write a network as ONNX'),
    'publish': ('publish_model', 'make a checkpoint for publication'),
    'logs': ('analyze_logs', 'draw or tabulate the logs of trainings'),
    'params': ('get_param_count', 'count the parameters of a network'),
    'benchmark': ('benchmark', 'measure speed and memory of a config'),
    'certify': ('certify', 'check a GPU: is what it computes right, how fast'),
    'toy-data': ('make_toy_data', 'draw the built-in benchmark'),
    'memory-bank': ('create_buffer', 'write a memory bank of DIDA'),
}


def usage(program: str) -> str:
    """What there is to call."""
    lines = [f'  {name:14}{about}' for name, (_, about) in COMMANDS.items()]
    return '\n'.join([f'usage: {program} COMMAND ...', '', (mmseg.__doc__ or '').partition('\n')[0], '', *lines, '',
                      f'{program} COMMAND --help says more; {program} --version says which one this is.'])


def main(argv: Sequence[str] | None = None) -> None:
    """Run one of the commands; a mistake of the caller ends the process with one line."""
    program = 'python -m mmseg' if Path(sys.argv[0]).name == '__main__.py' else Path(sys.argv[0]).name
    name, *rest = (sys.argv[1:] if argv is None else argv) or ['--help']
    if name in ('-h', '--help'):
        tell(usage(program))
    elif name == '--version':
        print(mmseg.__version__)
    elif name not in COMMANDS:
        sys.exit(f'{program}: there is no command {name!r}, {nearest(name, COMMANDS)}')
    else:
        sys.argv[0] = f'{program} {name}'  # what the help of the command calls it
        module = import_module(f'mmseg.cli.{COMMANDS[name][0]}')
        command(lambda: module.main(rest))
