"""One page for one or several runs: python -m tools.report RUN [RUN ...] --out FILE"""
from mmseg.errors import command
from mmseg.report.command import main, parse_args

__all__ = ['main', 'parse_args']

if __name__ == '__main__':
    command(main)
