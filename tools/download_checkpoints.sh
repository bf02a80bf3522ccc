#!/bin/sh
# Fetches published weights to where the configs and test.sh look for them.
#
#     sh tools/download_checkpoints.sh             everything
#     sh tools/download_checkpoints.sh mit dida    only entries whose name begins with mit or dida
#     sh tools/download_checkpoints.sh mit_b0      another encoder, mit_b0 to mit_b4
#
# What is there already is kept. ImageNet weights (mit) come from the Hugging Face Hub, the rest from Google Drive. gdown is used if installed (pip install gdown), else curl. A download that fails is
# explained: which page has the file, and where it must lie. The files belong to third parties: see LICENSES.md.
# Exit status: 0 if everything asked for is there, 1 if something has to be fetched by hand.
set -u
cd "$(dirname "$0")/.." || exit 1

PYTHON=.venv/bin/python
[ -x "$PYTHON" ] || PYTHON=python3
PARTIAL=work_dirs/.partial.$$
trap 'rm -rf "$PARTIAL"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$PARTIAL" pretrained work_dirs || exit 1

missing=''
failures=0

say() { printf '%s\n' "$*"; }

gdown_program() {
    for program in .venv/bin/gdown gdown; do
        command -v "$program" && return
    done
}

# The kind of a downloaded file by its first bytes: zip, gzip, tar, pickle, or nothing for anything else (web pages).
kind_of() {
    case "$(od -An -tx1 -N4 "$1" 2>/dev/null | tr -d ' \n')" in
        504b0304) say zip ;;
        1f8b*) say gzip ;;
        8002*|8003*|8004*) say pickle ;;
        *) [ "$(dd if="$1" bs=1 skip=257 count=5 2>/dev/null)" = ustar ] && say tar ;;
    esac
}

# fetch DRIVE_ID FILE: true if FILE now holds something that is no web page.
fetch() {
    tool=$(gdown_program)
    if [ -n "$tool" ]; then
        "$tool" "https://drive.google.com/uc?id=$1" -O "$2"
        [ -n "$(kind_of "$2")" ] && return 0
    fi
    curl --fail --location --connect-timeout 20 --retry 1 --progress-bar -o "$2" \
        "https://drive.usercontent.google.com/download?id=$1&export=download&confirm=t"
    [ -n "$(kind_of "$2")" ]
}

unpack() {
    case "$(kind_of "$1")" in
        zip) "$PYTHON" -m zipfile -e "$1" "$2" ;;
        gzip|tar) tar -xf "$1" -C "$2" ;;
        *) return 1 ;;
    esac
}

by_hand() {
    failures=$((failures + 1))
    missing="$missing
  $1
    from  $2
    to    $3"
}

# wanted NAME PREFIX...: true if no prefix is given or NAME begins with one of them.
wanted() {
    name=$1; shift
    [ $# -eq 0 ] && return 0
    for prefix in "$@"; do
        case $name in "$prefix"*) return 0 ;; esac
    done
    return 1
}

has_checkpoint() { [ -n "$(find "$1" -name '*.pth' 2>/dev/null | head -n 1)" ]; }

# run_folder NAME DRIVE_ID DESTINATION: an archive that holds one run's folder (config, log, latest.pth).
run_folder() {
    if has_checkpoint "$3"; then say "$1: have $3"; return; fi
    say "$1: fetching"
    rm -rf "$PARTIAL/archive" "$PARTIAL/unpacked"
    mkdir "$PARTIAL/unpacked"
    if fetch "$2" "$PARTIAL/archive" && unpack "$PARTIAL/archive" "$PARTIAL/unpacked"; then
        checkpoint=$(find "$PARTIAL/unpacked" -name '*.pth' | head -n 1)
        if [ -n "$checkpoint" ]; then
            mkdir -p "$(dirname "$3")"
            [ -d "$3" ] && rmdir "$3"  # an empty folder only: what somebody keeps there stays
            [ ! -e "$3" ] && mv "$(dirname "$checkpoint")" "$3" && { say "$1: wrote $3"; return; }
        fi
    fi
    say "$1: failed"
    by_hand "$1" "https://drive.google.com/file/d/$2/view" "$3/ (unpack it there: config, log and latest.pth side by side)"
}

# mit_weights NAME: what model.pretrained=NAME would fetch when a training starts.
mit_weights() {
    if "$PYTHON" - "$1" <<'PROGRAM'
import logging, sys
from mmseg.errors import command
from mmseg.models import build_backbone
logging.basicConfig(level=logging.INFO, format='%(message)s')
command(lambda: build_backbone(dict(type=sys.argv[1], pretrained=sys.argv[1])).init_weights())
PROGRAM
    then say "$1: have it in pretrained/"; return; fi
    say "$1: failed"
    by_hand "$1" "https://huggingface.co/smp-hub/$1.imagenet (model.safetensors)" "pretrained/$1.safetensors"
}

DAFORMER=211108_1622_gta2cs_daformer_s0_7f24c
DIDA=221213_1011_gta2cs_dacs_a999_fdthings_rcs001_cpl_daformer_sepaspp_mitb5_poly10warm_s0_6e7fa

wanted mit_b5 "$@" && mit_weights mit_b5
for name in "$@"; do
    case $name in mit_b[0-4]) mit_weights "$name" ;; esac
done
while read -r name id destination; do
    wanted "$name" "$@" && run_folder "$name" "$id" "work_dirs/$destination"
done <<LIST
daformer_gta2cs 1pG3kDClZDGwp1vSTEXmTchkGHmnLQNdP $DAFORMER
daformer_syn2cs 1V9EpoTePjGq33B8MfombxEEcq9a2rBEt daformer_syn2cs
daformer_cs2acdc 16RSBkzJbGprWr04LjyNleqRzRZgCaEBn daformer_cs2acdc
daformer_cs2dzur 1_VXKDhnp4x4sslBj5B8tqqBJXeOuI9hS daformer_cs2dzur
mic_gta2cs 1p_Ytxmj8EckYsq6SdZNZJNC3sgxVRn2d mic_gta2cs
mic_syn2cs 1-Ed0Z2APrhIdsuQTOWXNlZwJJ9Yr2-Vu mic_syn2cs
mic_cs2acdc 10RNOAyUY5nYKzIIbNTie458r9etzfvtc mic_cs2acdc
mic_cs2dzur 1HXIwLULUsspBG4U1UAd7OQnDq1G33aTA mic_cs2dzur
hrda_gta2cs 1O6n1HearrXHZTHxNRWp8HCMyqbulKcSW gtaHR2csHR_hrda_246ef
dida_gta2cs 1mw8mTui-I-mvs2vo0UN_xs_fQh7AMpHm DIDA_gta2cs/$DIDA
dida_syn2cs 1fpAsxbhlIxzPhiIfm0r8rAoTjK4PZb_V DIDA_syn2cs
LIST
if wanted hrda_others "$@"; then
    say 'hrda_others: HRDA on other data sets is linked under "Checkpoints" of https://github.com/lhoyer/HRDA;' \
        'unpack each into a folder of its own, e.g. work_dirs/hrda_syn2cs (config, log and latest.pth side by side)'
fi

if [ "$failures" -gt 0 ]; then
    printf '\n%s entries must be fetched by hand:%s\n\nThen: sh test.sh work_dirs/<folder>\n' "$failures" "$missing"
    exit 1
fi
say 'everything is there'
