# UPerNet's head, narrowed to 256 channels.
_base_ = 'upernet_mit.py'
model = dict(decode_head=dict(channels=256))
