#!/bin/sh
# Build the sdist and of it the wheel, install that into an environment of its own, and use it from an empty folder:
#
#     sh dev/try_wheel.sh [PYTHON]
#
# PYTHON (default: that of .venv), which has `build` and can fetch `hatchling`, lends the new environment its libraries,
# torch above all; this package comes from the wheel. Takes about a minute.
set -eu
cd "$(dirname "$0")/.."
python=$(cd "$(dirname "${1:-.venv/bin/python}")" && pwd)/$(basename "${1:-python}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say() { echo "== $*"; }

say build
"$python" -m build --outdir "$scratch" . > "$scratch/build.txt" 2>&1 || { cat "$scratch/build.txt"; exit 1; }
say install
"$python" -m venv "$scratch/env"
lent=$("$python" -c 'import torch, pathlib; print(pathlib.Path(torch.__file__).parents[1])')
own=$("$scratch/env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$lent" > "$own/lent.pth"
"$scratch/env/bin/python" -m pip install --quiet --no-deps --ignore-installed --no-index "$scratch"/udaseg-*.whl

mkdir "$scratch/empty"
cd "$scratch/empty"
unset PYTHONPATH
PATH="$scratch/env/bin:$PATH"
say 'udaseg --help'
udaseg --help > help.txt
grep -q doctor help.txt
say load_config
python - "$scratch/env" <<'PYTHON'
import sys
from pathlib import Path

import mmseg
from mmseg.apis import load_config

assert Path(mmseg.__file__).resolve().is_relative_to(Path(sys.argv[1]).resolve()), mmseg.__file__
assert (Path(mmseg.__file__).parent / 'py.typed').is_file()
assert load_config('daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py').uda.type == 'DACS'
PYTHON
say 'udaseg toy-data, doctor, train'
udaseg toy-data --num 4 4 2 --size 96 48
udaseg doctor toy/daformer.py --device cpu --options data.workers_per_gpu=0 > doctor.txt || { cat doctor.txt; exit 1; }
udaseg train toy/daformer.py --work-dir run --device cpu --seed 0 --options runner.max_iters=3 \
    data.workers_per_gpu=0 evaluation.interval=3 checkpoint_config.interval=3 > train.txt 2>&1 || { cat train.txt; exit 1; }
[ -f run/latest.pth ]
say test
udaseg test run/daformer.py run/latest.pth --eval mIoU --device cpu > test.txt 2>&1 || { cat test.txt; exit 1; }
grep -q mIoU test.txt
say 'the wheel works'
