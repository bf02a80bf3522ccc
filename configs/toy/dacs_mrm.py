# MRM on top of DACS: cells of the target's features are hidden, rebuilt and classified. As published, the Rebuilder is
# as wide as the encoder's last level (256 channels here, 32 per head) and learns 3.3 times as fast as the encoder.
# A cell has 32 pixels, so a crop has 3 x 3 of them.
_base_ = ['dacs.py']
uda = dict(mrm=dict(weight=1.0, mask_ratio=0.4, dim=256, heads=8, lr=2e-3))
