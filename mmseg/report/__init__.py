"""Results to show: a page of one file with scores, curves and images, and the numbers beside it."""
from mmseg.report.comparison import load_results
from mmseg.report.curves import Curves, curves_of, curves_of_folder
from mmseg.report.files import write_report
from mmseg.report.page import page
from mmseg.report.result import Result, evaluated

__all__ = ['Curves', 'Result', 'curves_of', 'curves_of_folder', 'evaluated', 'load_results', 'page', 'write_report']
