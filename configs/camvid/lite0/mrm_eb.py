# Entropy balancing on top of MRM, with the strength of eb.py.
_base_ = ['mrm.py']
uda = dict(entropy_balance=dict(weight=0.1, target_normalised=0.136))
