# Source only: supervised training by day, tested at dusk. What adaptation has to beat.
_base_ = ['common.py', '../_base_/datasets/camvid_day.py']
