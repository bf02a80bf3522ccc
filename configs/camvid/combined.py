# MIC, MRM, entropy balancing and DIDA on top of DAFormer; the Rebuilder is that of ../toy/dacs_mrm.py.
_base_ = ['mic.py']
uda = dict(
    mrm=dict(weight=1.0, mask_ratio=0.4, dim=256, heads=8, lr=2e-3),
    entropy_balance=dict(weight=0.1, target_normalised=0.136),
    instance_bank=dict(size=110, update='fifo', interval=5, warmup=100))
