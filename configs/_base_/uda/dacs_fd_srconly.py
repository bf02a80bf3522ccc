# dacs_fd.py without teacher and mixing: only what trains on labelled source images.
_base_ = 'dacs_fd.py'
uda = dict(source_only=True)
