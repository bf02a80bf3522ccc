# What every run shares: logging, and which checkpoint to start from.
log_config = dict(
    interval=50,  # iterations between two log lines
    img_interval=1000,  # iterations between two training panels in <work_dir>/debug
    hooks=[dict(type='TextLoggerHook', by_epoch=False)])
dist_params = dict(backend='nccl')
log_level = 'INFO'
load_from = None
resume_from = None
workflow = [('train', 1)]
cudnn_benchmark = True
