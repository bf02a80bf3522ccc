# A memory bank after DIDA, in our way (preset 'cosine', the default; docs/methods.md), on top of DAFormer. Ten rows for
# each class are full after some fifty iterations, the rarest class is in one batch of five. The network starts from
# random weights and its features change fast: rows are replaced, oldest first, every fifth iteration, which renews even
# those of the rarest class some ten times.
_base_ = ['daformer.py']
uda = dict(instance_bank=dict(size=190, update='fifo', interval=5, warmup=300))
