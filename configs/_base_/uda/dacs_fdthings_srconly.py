# dacs_fdthings.py without teacher and mixing: only what trains on labelled source images.
_base_ = 'dacs_fdthings.py'
uda = dict(source_only=True)
