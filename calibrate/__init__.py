"""Thresholds that hold: numpy, scipy and polars, no torch."""

from calibrate.corrections import Corrections
from calibrate.operating_point import OperatingPoint
from calibrate.recall import choose_recall_threshold
from calibrate.threshold import choose_threshold

__all__ = ["Corrections", "OperatingPoint", "choose_recall_threshold", "choose_threshold"]
