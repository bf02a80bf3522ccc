# MRM on top of MIC and HRDA, with the Rebuilder of mrm.py.
_base_ = ['mic_hrda.py']
uda = dict(mrm=dict(weight=1.0, mask_ratio=0.4, dim=320, heads=10, lr=6.6e-4))
