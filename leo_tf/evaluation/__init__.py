"""Statistics of results for every problem: intervals, paired comparison, spread over seeds, calibration, plots."""

from leo_tf.evaluation.comparison import Comparison, compare, compare_paired
from leo_tf.evaluation.fingerprint import fingerprint
from leo_tf.evaluation.intervals import Interval, confidence_interval
from leo_tf.evaluation.results import Result, require_same_tasks
from leo_tf.evaluation.seeds import SeedSummary, difference_over_seeds, seed_summary

__all__ = [
    "Comparison",
    "Interval",
    "Result",
    "SeedSummary",
    "compare",
    "compare_paired",
    "confidence_interval",
    "difference_over_seeds",
    "fingerprint",
    "require_same_tasks",
    "seed_summary",
]
