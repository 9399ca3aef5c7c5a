"""Thresholds that hold: numpy, scipy and polars, no torch."""

from calibrate.operating_point import OperatingPoint
from calibrate.recall import choose_recall_threshold
from calibrate.threshold import choose_threshold

__all__ = ["OperatingPoint", "choose_recall_threshold", "choose_threshold"]
