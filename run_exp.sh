#!/bin/sh
# Run a numbered experiment on one GPU, with the console output in run_exp_<id>.out:
#
#     sh run_exp.sh ID [GPU] [more arguments of run_experiments.py]
#
# Here 7 and 8 are those of DIDA, as its users know them: 7 is DIDA on GTA -> Cityscapes (70 in experiments.py), 8 is DIDA
# on Synthia -> Cityscapes (71). Every other number is that of experiments.py, whose own 7 and 8 belong to DAFormer.

usage() {
    echo 'usage: sh run_exp.sh ID [GPU] [more arguments of run_experiments.py]'
    echo '  7: DIDA, GTA -> Cityscapes (number 70)'
    echo '  8: DIDA, Synthia -> Cityscapes (number 71)'
    echo '  every other ID as python run_experiments.py --list names it; its 7 and 8 run with --exp 7 and --exp 8'
}

[ $# -ge 1 ] || { usage >&2; exit 2; }
id=$1
shift
case $id in
    7) number=70 what='DIDA, GTA -> Cityscapes' ;;
    8) number=71 what='DIDA, Synthia -> Cityscapes' ;;
    '' | *[!0-9]*) echo "run_exp.sh: '$id' is not the number of an experiment" >&2; usage >&2; exit 2 ;;
    *) number=$id what="number $id of experiments.py" ;;
esac
case ${1:--} in
    -*) ;;
    *) CUDA_VISIBLE_DEVICES=$1; export CUDA_VISIBLE_DEVICES; shift ;;
esac
cd "$(dirname "$0")" || exit 2

if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    [ -x .venv/bin/python ] && PYTHON=.venv/bin/python
fi
echo 'Here 7 is DIDA on GTA -> Cityscapes and 8 is DIDA on Synthia -> Cityscapes (70 and 71 in experiments.py).'
echo "Experiment $id: $what; console output goes to run_exp_$id.out (tail -f run_exp_$id.out)"
"$PYTHON" run_experiments.py --exp "$number" "$@" >"run_exp_$id.out" 2>&1
status=$?
[ $status -eq 0 ] || tail -n 3 "run_exp_$id.out" >&2
exit $status
