# A memory bank after DIDA, in our way (preset 'cosine'), on top of DAFormer: ten rows for each class, see
# ../toy/dida.py. What DIDA's program computes is in dida_code.py.
_base_ = ['daformer.py']
uda = dict(instance_bank=dict(size=70, update='fifo', interval=5, warmup=100))
