#!/bin/sh
# Train one config on one GPU:
#
#     sh run_config.sh [GPU] [more arguments of run_experiments.py]
#
# CONFIG in the environment names the config; without it DIDA on GTA -> Cityscapes is trained.

config=${CONFIG:-configs/dida/gta2cs_dida_daformer_mitb5.py}
case ${1:--} in
    -*) ;;
    *) CUDA_VISIBLE_DEVICES=$1; export CUDA_VISIBLE_DEVICES; shift ;;
esac
cd "$(dirname "$0")" || exit 2
if [ ! -f "$config" ]; then
    echo "run_config.sh: there is no config $config; name one: CONFIG=configs/... sh run_config.sh [GPU]" >&2
    exit 2
fi
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    [ -x .venv/bin/python ] && PYTHON=.venv/bin/python
fi
exec "$PYTHON" run_experiments.py --config "$config" "$@"
