#!/bin/sh
# Train on several GPUs, one process each:
#
#     sh tools/dist_train.sh CONFIG N [flags of tools/train.py]
#
# N is the number of GPUs of this machine. On the CPU (--device cpu) it is the number of processes. For several machines
# and for the port see tools/torchrun.sh.

[ $# -ge 2 ] || { echo 'usage: sh tools/dist_train.sh CONFIG N [flags of tools/train.py]' >&2; exit 2; }
config=$1 number=$2
shift 2
exec sh "$(dirname "$0")/torchrun.sh" "$number" tools.train "$config" "$@"
