# Oracle: supervised training on the labels at dusk, which adaptation does not see.
_base_ = ['common.py', '../_base_/datasets/camvid_dusk.py']
