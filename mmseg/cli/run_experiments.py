"""Run one config, a numbered experiment of the papers, or a suite of configs, under unique names.

udaseg experiments --config configs/daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py
udaseg experiments --exp 6
udaseg experiments --exp 200 --methods source_only fda daformer --seeds 0 1 2 --jobs 2 --resume
udaseg experiments --exp configs/mine --methods source_only daformer --seeds 0
udaseg experiments --config work_dirs/OLD_RUN/config.json --method ebda
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmseg.config.in_code import IN_CODE
from mmseg.experiments.numbered import EXPERIMENTS, SUITES, find_suite, generate_experiment_cfgs
from mmseg.experiments.suites import SEEDS, Suite, folder_name

OF_SUITES = ('methods', 'seeds', 'jobs', 'target_statistics', 'tabulate')
SHOWN_IMAGES = 4  # in the picture of predictions


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Train one config, a numbered experiment of the papers, or a suite')
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--exp', type=lambda text: int(text) if text.isdigit() else text, metavar='ID|FOLDER',
                      help='number of an experiment or suite in experiments.py, or a folder of configs as a suite of '
                      'your own, e.g. configs/mine')
    what.add_argument('--config', metavar='PATH', help='a config file')
    parser.add_argument('--list', action='store_true',
                        help='say which experiments there are; with --exp, which runs it has')
    parser.add_argument('--method', choices=sorted(IN_CODE),
                        help="with --config: add the section of a method to a config of the published program, which "
                        'does not mention it')
    parser.add_argument('--methods', nargs='+', metavar='METHOD',
                        help="of a suite: configs of its folder, e.g. 'fda mic'; default: see --list")
    parser.add_argument('--seeds', nargs='+', type=int, metavar='SEED',
                        help=f'of a suite; default: {" ".join(map(str, SEEDS))}')
    parser.add_argument('--jobs', type=int, metavar='N',
                        help='of a suite: so many trainings at a time, which share the cores; default: 1')
    parser.add_argument('--target-statistics', metavar='FOLDER',
                        help='of a suite: score students with the statistics of these images in their batch norms, too '
                        '(AdaBN); 200 and 201 do so with those of their target')
    parser.add_argument('--tabulate', nargs='?', const='', metavar='FOLDER',
                        help='of a suite: train nothing, make the tables of the records in a folder, e.g. '
                        "docs/logs/streets; default: those of the suite's own runs")
    parser.add_argument('--machine', choices=['local'], default='local', help='where to train')
    parser.add_argument('--resume', action='store_true',
                        help='leave out finished runs and continue those that were stopped')
    parser.add_argument('--dry-run', action='store_true', help='write the configs and name the runs, train nothing')
    parser.add_argument('--debug', action='store_true',
                        help='log and draw every 10 iterations, evaluate every 200')
    parser.add_argument('--startup-test', action='store_true',
                        help='train for two iterations without checkpoint, to see whether everything starts')
    parser.add_argument('--memory', choices=['low'], help='as of udaseg train, for all runs')
    parsed = parser.parse_args(args)
    if parsed.exp is None and parsed.config is None and not parsed.list:
        parser.error('one of the arguments --exp --config --list is required')
    if parsed.method and parsed.config is None:
        parser.error('--method: goes with --config; numbered experiments have their methods')
    if parsed.startup_test and parsed.resume:
        parser.error('--resume: a start-up test saves nothing to continue from')
    given = [name for name in OF_SUITES if getattr(parsed, name) is not None]
    if given and find_suite(parsed.exp) is None:
        parser.error(f'--{given[0].replace("_", "-")}: goes with --exp and the number of a suite: '
                     f'{", ".join(str(suite.number) for suite in SUITES)}')
    if parsed.target_statistics is not None and not Path(parsed.target_statistics).is_dir():
        parser.error(f'--target-statistics {parsed.target_statistics}: there is no such folder')
    if parsed.jobs is not None and parsed.jobs < 1:
        parser.error('--jobs must be at least 1')
    if any(seed < 0 for seed in parsed.seeds or ()):
        parser.error('--seeds must be at least 0')
    return parsed


def list_experiments() -> None:
    """Print one line per experiment and suite."""
    for experiment in EXPERIMENTS:
        print(f'{experiment.number:3d}  {experiment.repository:8s}  {len(experiment.runs):2d} runs  {experiment.about}')
    for suite in SUITES:
        print(f'{suite.number:3d}  {"suite":8s}  {len(suite.methods()) * len(SEEDS):2d} runs  {suite.about}: '
              f'{", ".join(suite.methods())}')


def list_runs(args: argparse.Namespace) -> None:
    """Print the name of each run, and of a suite the methods that run only if they are asked for."""
    for cfg in run_configs(args):
        print(cfg['name'])
    suite = find_suite(args.exp)
    further = [method for method in suite.known if method not in suite.methods()] if suite and not args.methods else []
    if further:
        print(f'with --methods also: {", ".join(further)}')


def run_configs(args: argparse.Namespace) -> list[dict]:
    """The configs of the chosen experiment, one dict per run."""
    suite = find_suite(args.exp)
    return suite.runs(args.methods, args.seeds or SEEDS) if suite else generate_experiment_cfgs(args.exp)


def main(args: Sequence[str] | None = None) -> int | None:
    """Write the generated configs and train them; returns the exit status of a suite."""
    args = parse_args(args)
    if args.list:
        return list_experiments() if args.exp is None else list_runs(args)
    suite = find_suite(args.exp)
    if args.target_statistics is not None:
        suite = replace(suite, target_images=args.target_statistics)
    if suite is not None and args.tabulate is not None:
        return tabulate(suite, Path(args.tabulate) if args.tabulate else results_folder(suite, args))
    from mmseg.experiments.named import generate_from_config, generate_from_experiment, run_all
    switches = dict(debug=args.debug, startup_test=args.startup_test, resume=args.resume)
    if args.config is not None:
        configs = [generate_from_config(args.config, args.machine, method=args.method, **switches)]
    else:
        number = suite.number if suite else args.exp
        configs = generate_from_experiment(run_configs(args), number, args.machine, **switches)
    flags = ['--memory', args.memory] if args.memory else []
    if suite is not None and not args.dry_run:
        return run_suite(suite, configs, flags, args)
    from mmseg.cli.train import main as train
    run_all(configs, lambda call: train([*call, *flags]), resume=args.resume, dry_run=args.dry_run)
    return None


def run_suite(suite: Suite, configs: list[Path], flags: list[str], args: argparse.Namespace) -> int:
    """Train the runs of a suite in processes of their own, then compare all that are finished.

    Returns:
        The exit status.
    """
    from mmseg.experiments.records import RECORDS
    from mmseg.experiments.suite_runs import train_suite
    if suite.drawn:
        from mmseg.cli.make_toy_data import main as draw_scenes
        draw_scenes([])
    folder = results_folder(suite, args)
    status = train_suite(suite, configs, folder, flags, args.jobs or 1, resume=args.resume)
    if status in (0, 1) and not args.startup_test and (folder / RECORDS).is_dir():
        tabulate(suite, folder)
    return status


def results_folder(suite: Suite, args: argparse.Namespace) -> Path:
    """Where tables and records of a suite lie."""
    return Path('work_dirs', folder_name(args.machine, suite.number))


def tabulate(suite: Suite, folder: Path) -> None:
    """Make tables and pictures of the records in a folder."""
    from mmseg.apis.compare import compare_predictions
    from mmseg.experiments.pictures import draw_predictions
    from mmseg.experiments.records import read_records
    from mmseg.experiments.suite_runs import last_checkpoints, write_results
    records = read_records(suite, folder)
    print(write_results(suite, records, folder))
    networks = last_checkpoints(records)
    if networks:
        shown = compare_predictions(networks, SHOWN_IMAGES)
        draw_predictions(dict(image=shown.images, truth=shown.labels, **shown.predictions), shown.classes,
                         shown.palette, folder / 'predictions.png')
    pictures = 'curves.png' + ', predictions.png' * bool(networks)
    print(f'{folder}: results.md, results.json, {pictures}')
