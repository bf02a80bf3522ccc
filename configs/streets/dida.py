# DIDA on top of DAFormer: a bank of ten rows for each class, see ../toy/dida.py.
_base_ = ['daformer.py']
uda = dict(instance_bank=dict(size=70, update='fifo', interval=5, warmup=100))
