# Ablation of dacs_mrm.py: hidden cells are zero for the decoder, nothing is rebuilt.
_base_ = ['dacs_mrm.py']
uda = dict(mrm=dict(rebuild=False))
