"""Results to show: logs of trainings, and pages of one file with scores, curves and images; the numbers beside them."""
