# Ablation of dacs_mrm.py: the share of hidden cells.
_base_ = ['dacs_mrm.py']
uda = dict(mrm=dict(mask_ratio=0.2))
