# Entropy balancing on top of MIC, with the strength of eb.py.
_base_ = ['mic.py']
uda = dict(entropy_balance=dict(weight=0.1, target_normalised=0.136))
