# MRM on top of MIC, with the Rebuilder of dacs_mrm.py.
_base_ = ['mic.py']
uda = dict(mrm=dict(weight=1.0, mask_ratio=0.4, dim=256, heads=8, lr=2e-3))
