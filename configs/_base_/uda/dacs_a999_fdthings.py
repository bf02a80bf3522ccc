# The UDA settings of DAFormer: feature distance on the countable classes, slower teacher.
_base_ = 'dacs_fdthings.py'
uda = dict(alpha=0.999)
