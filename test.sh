#!/bin/sh
# Evaluate the last checkpoint of a training run on the validation set of its config:
#
#     sh test.sh work_dirs/<machine>-<exp>/<run>/ [more arguments of tools/test.py]
#
# Prints the IoU table, writes the predictions as palette PNGs of train ids to <run>/preds, and the console output also
# to <run>/preds/pre_log.out. Works with every POSIX shell.
#
# HRDA can show what its parts predict. With a config and a checkpoint of HRDA:
#
# low-resolution context prediction:
#     python -m tools.test CONFIG CHECKPOINT --show-dir <run>/preds_LR --opacity 1 --hrda-out LR
# high-resolution detail prediction:
#     python -m tools.test CONFIG CHECKPOINT --show-dir <run>/preds_HR --opacity 1 --hrda-out HR
# scale attention (bright: the detail prediction is used):
#     python -m tools.test CONFIG CHECKPOINT --show-dir <run>/preds_ATT --opacity 1 --hrda-out ATT

fail() {
    echo "test.sh: $1" >&2
    exit 2
}

[ $# -ge 1 ] || fail 'usage: sh test.sh RUN_FOLDER [more arguments of tools/test.py]'
[ -d "$1" ] || fail "there is no folder $1"
root=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")" || exit 2

checkpoint=$root/latest.pth
[ -f "$checkpoint" ] || fail "there is no checkpoint $checkpoint: has the run saved one yet?"

# The config is the one in the folder; of several, the one that ends in the folder's last character.
last=${root#"${root%?}"}
found='' matching='' count=0
for file in "$root"/*.py "$root"/*.json; do
    case $file in *.log.json) continue ;; esac
    [ -f "$file" ] || continue
    found=${found:-$file}
    count=$((count + 1))
    stem=${file%.*}
    case $stem in *"$last") matching=${matching:-$file} ;; esac
done
[ $count -gt 0 ] || fail "there is no config (.py or .json) in $root"
[ $count -eq 1 ] && config=$found || config=$matching
[ -n "$config" ] || fail "$root holds $count configs and none ends in '$last': keep one of them"

if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    [ -x .venv/bin/python ] && PYTHON=.venv/bin/python
fi
mkdir -p "$root/preds" || exit 2
echo "config: $config"
echo "checkpoint: $checkpoint"
# A pipe's exit status is that of tee; that of python comes through descriptor 3.
exec 4>&1
status=$({
    {
        "$PYTHON" -m tools.test "$config" "$checkpoint" --eval mIoU --show-dir "$root/preds" --opacity 1 "$@" \
            2>&1 3>&- 4>&-
        echo $? >&3
    } | tee "$root/preds/pre_log.out" >&4
} 3>&1)
exit "$status"
