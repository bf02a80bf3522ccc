"""A page to try a network on images and videos: udaseg serve CHECKPOINT [--compare OTHER]"""
from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from mmseg.checkpoint.names import add_network_option
from mmseg.config.command_line import add_config_options


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Show what a network sees, or two, on a page for the browser',
                                     usage='%(prog)s [flags] [CONFIG] CHECKPOINT')
    parser.add_argument('source', nargs='+', metavar='[CONFIG] CHECKPOINT',
                        help="checkpoint file, folder of a run, or hf:owner/name, with the config in front if it holds "
                        'none')
    parser.add_argument('--compare', metavar='CHECKPOINT',
                        help='a second network to show beside it, e.g. one trained on the source only')
    parser.add_argument('--host', default='127.0.0.1',
                        help='address to listen at; the default is seen by this machine only')
    parser.add_argument('--port', type=int, default=7860, help='default: 7860; 0: any that is free')
    parser.add_argument('--max-megabytes', type=_positive, default=100, metavar='N', help='of a file; default: 100')
    parser.add_argument('--max-megapixels', type=_positive, default=16, metavar='N',
                        help='of an image or frame; default: 16')
    parser.add_argument('--max-frames', type=_positive, default=300, metavar='N',
                        help='of a video, of which no more are shown; default: 300')
    add_network_option(parser)
    parser.add_argument('--device', help="e.g. 'cuda:0' or 'cpu'; default: the GPU if there is one")
    add_config_options(parser)
    parsed = parser.parse_args(args)
    if len(parsed.source) > 2:
        parser.error(f'one checkpoint, with its config in front or without, not {len(parsed.source)} names: a second '
                     'network goes to --compare')
    *config, parsed.checkpoint = parsed.source
    parsed.config = config[0] if config else None
    if parsed.config is None and (parsed.options or parsed.trust_config):
        parser.error('--options and --trust-config are about a config: name it in front of the checkpoint')
    return parsed


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'{text!r} is no whole number above 0')
    return int(text)


def main(args: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C (exit status 130) or SIGTERM (143)."""
    parsed = parse_args(args)
    signal.signal(signal.SIGTERM, _end)
    with suppress(KeyboardInterrupt):
        serve(parsed)
    return 130


def serve(parsed: argparse.Namespace) -> None:
    """Serve as :func:`parse_args` has read it, until an exception ends it."""
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')  # the page says what is wrong with a video
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'ERROR')
    from mmseg.apis import load_config
    from mmseg.apis.model import load
    from mmseg.serve.server import PageServer, is_loopback
    from mmseg.serve.viewer import Limits, Viewer
    config = parsed.config and load_config(parsed.config, parsed.options, trust=parsed.trust_config)
    models = {name_of(parsed.checkpoint): load(parsed.checkpoint, parsed.device, parsed.network, config)}
    if parsed.compare:
        other = load(parsed.compare, parsed.device, config=config)
        name = name_of(parsed.compare)
        models[name if name not in models else f'{name} (2)'] = other
    limits = Limits(parsed.max_megabytes, parsed.max_megapixels, parsed.max_frames)
    with PageServer(Viewer(models, limits), parsed.host, parsed.port) as server:
        if not is_loopback(parsed.host):
            print(f'warning: whoever reaches port {server.server_address[1]} of this machine can use the page, without '
                  'a password', file=sys.stderr)
        print(f'{" and ".join(models)} at {server.address} (Ctrl-C ends it)', flush=True)
        server.serve_forever()


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def name_of(source: str) -> str:
    """What the page calls a network: folder and file of a checkpoint, as ``run/latest.pth``."""
    return source if source.startswith('hf:') else '/'.join(Path(source).absolute().parts[-2:])
