#!/bin/sh
# Test on several GPUs, one process each:
#
#     sh tools/dist_test.sh CONFIG CHECKPOINT N [flags of tools/test.py]
#
# N is the number of GPUs of this machine. On the CPU (--device cpu) it is the number of processes. For several machines
# and for the port see tools/torchrun.sh.

[ $# -ge 3 ] || { echo 'usage: sh tools/dist_test.sh CONFIG CHECKPOINT N [flags of tools/test.py]' >&2; exit 2; }
config=$1 checkpoint=$2 number=$3
shift 3
exec sh "$(dirname "$0")/torchrun.sh" "$number" tools.test "$config" "$checkpoint" "$@"
