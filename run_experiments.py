"""Run one config, or the numbered experiments of the papers, under unique names.

python run_experiments.py --config configs/daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py
python run_experiments.py --exp 6
python run_experiments.py --config work_dirs/OLD_RUN/config.json --method ebda
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence

from experiments import EXPERIMENTS, generate_experiment_cfgs
from mmseg.config.in_code import IN_CODE
from mmseg.errors import command
from mmseg.experiments.named import generate_from_config, generate_from_experiment, run_all


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of run_experiments.py."""
    parser = argparse.ArgumentParser(description='Train one config, or a numbered experiment of the papers')
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--exp', type=int, metavar='ID', help='number of an experiment in experiments.py')
    what.add_argument('--config', metavar='PATH', help='a config file')
    what.add_argument('--list', action='store_true', help='say which experiments there are')
    parser.add_argument('--method', choices=sorted(IN_CODE),
                        help="with --config: add the section of a method to a config of the published program, which "
                        'does not mention it')
    parser.add_argument('--machine', choices=['local'], default='local', help='where to train')
    parser.add_argument('--resume', action='store_true',
                        help='leave out finished runs and continue those that were stopped')
    parser.add_argument('--dry-run', action='store_true', help='write the configs and name the runs, train nothing')
    parser.add_argument('--debug', action='store_true',
                        help='log and draw every 10 iterations, evaluate every 200')
    parser.add_argument('--startup-test', action='store_true',
                        help='train for two iterations without checkpoint, to see whether everything starts')
    parser.add_argument('--memory', choices=['low'], help='as of python -m tools.train, for all runs')
    parsed = parser.parse_args(args)
    if parsed.method and parsed.config is None:
        parser.error('--method: goes with --config; numbered experiments have their methods')
    if parsed.startup_test and parsed.resume:
        parser.error('--resume: a start-up test saves nothing to continue from')
    return parsed


def list_experiments() -> None:
    """Print one line per experiment."""
    for experiment in EXPERIMENTS:
        print(f'{experiment.number:3d}  {experiment.repository:8s}  {len(experiment.runs):2d} runs  {experiment.about}')


def main(args: Sequence[str] | None = None) -> None:
    """Write the generated configs and train them one after the other."""
    args = parse_args(args)
    if args.list:
        return list_experiments()
    switches = dict(debug=args.debug, startup_test=args.startup_test, resume=args.resume)
    if args.config is not None:
        configs = [generate_from_config(args.config, args.machine, method=args.method, **switches)]
    else:
        configs = generate_from_experiment(generate_experiment_cfgs(args.exp), args.exp, args.machine, **switches)
    from tools.train import main as train
    flags = ['--memory', args.memory] if args.memory else []
    run_all(configs, lambda call: train([*call, *flags]), resume=args.resume, dry_run=args.dry_run)


if __name__ == '__main__':
    command(main)
