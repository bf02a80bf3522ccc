# MIC, MRM, entropy balancing and DIDA on top of DAFormer, each as in its own config of this folder.
_base_ = ['mic_mrm.py']
uda = dict(
    entropy_balance=dict(weight=0.1, target_normalised=0.136),
    instance_bank=dict(size=70, update='fifo', interval=5, warmup=100))
