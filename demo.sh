#!/bin/sh
# Segment the picture of demo/ with a trained network:
#
#     sh demo.sh CONFIG CHECKPOINT [more arguments of demo/image_demo.py]
#
# Writes demo/demo_pred.png: the prediction, in the colours of Cityscapes, laid over the picture.

[ $# -ge 2 ] || { echo 'usage: sh demo.sh CONFIG CHECKPOINT [more arguments of demo/image_demo.py]' >&2; exit 2; }
for file in "$1" "$2"; do
    [ -f "$file" ] || { echo "demo.sh: there is no file $file" >&2; exit 2; }
done
absolute() {
    case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac
}
config=$(absolute "$1")
checkpoint=$(absolute "$2")
shift 2
cd "$(dirname "$0")" || exit 2

if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    [ -x .venv/bin/python ] && PYTHON=.venv/bin/python
fi
exec "$PYTHON" -m demo.image_demo demo/demo.png "$config" "$checkpoint" --palette cityscapes "$@"
