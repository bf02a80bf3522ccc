# Source only: supervised training by day, tested at dusk. What adaptation has to beat.
_base_ = ['common.py']
data = dict(train={{_base_.day}})
