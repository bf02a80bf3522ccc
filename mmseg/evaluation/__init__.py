"""Evaluation: streaming confusion matrix, mIoU tables, writers of predictions."""
from mmseg.evaluation.evaluator import EvaluatedImage, OnImage, check_classes, evaluate_network, predictions
from mmseg.evaluation.images import ImageResults, ImageScore, Picture
from mmseg.evaluation.metrics import ConfusionMatrix, check_metrics
from mmseg.evaluation.norm_statistics import renew_norm_statistics
from mmseg.evaluation.official import official_scores, official_truths
from mmseg.evaluation.subsets import class_subsets
from mmseg.evaluation.tables import class_table, format_table, iou_lines, summary_table
from mmseg.evaluation.writers import Background, PredictionPictures, ProbabilityFiles, TestServerExport

__all__ = [
    'Background', 'ConfusionMatrix', 'EvaluatedImage', 'ImageResults', 'ImageScore', 'OnImage', 'Picture',
    'PredictionPictures', 'ProbabilityFiles', 'TestServerExport', 'check_classes', 'check_metrics', 'class_subsets',
    'class_table', 'evaluate_network', 'format_table', 'iou_lines', 'official_scores', 'official_truths', 'predictions',
    'renew_norm_statistics', 'summary_table'
]
