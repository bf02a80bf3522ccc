#!/bin/sh
# Start one of our programs in several processes; tools/dist_train.sh and tools/dist_test.sh call it:
#
#     sh tools/torchrun.sh N MODULE [arguments]
#
# From the environment: PORT (default: a free one); on several machines, each of which runs the same command, NNODES,
# NODE_RANK (from 0), MASTER_ADDR (the machine with NODE_RANK 0) and PORT (default 29500). PYTHON chooses the interpreter.

[ $# -ge 2 ] || { echo 'usage: sh tools/torchrun.sh N MODULE [arguments]' >&2; exit 2; }
number=$1 module=$2
shift 2
case $number in
    '' | 0 | *[!0-9]*) echo "torchrun.sh: '$number' is not a number of GPUs" >&2; exit 2 ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    [ -x "$root/.venv/bin/python" ] && PYTHON=$root/.venv/bin/python
fi
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # as torchrun would set it, with a warning
export PYTHONPATH OMP_NUM_THREADS
if [ -z "${NNODES:-}" ] && [ -z "${PORT:-}" ]; then
    where=--standalone
else
    where="--nnodes=${NNODES:-1} --node_rank=${NODE_RANK:-0} --master_addr=${MASTER_ADDR:-127.0.0.1}
           --master_port=${PORT:-29500}"
fi
# shellcheck disable=SC2086 # $where is several words
exec "$PYTHON" -m torch.distributed.run $where --nproc_per_node="$number" -m "$module" "$@" --launcher pytorch
