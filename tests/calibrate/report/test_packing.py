"""Packed numbers come back exactly; shares are read to the same tenth of a percent."""

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.report.packing import MILLION, Packer, in_millionths
from calibrate.report.shown import percent
from calibrate.report.text import all_shown, shown_text


def unpacked(packer: Packer) -> dict[str, np.ndarray]:
    """What templates/js/unpack.js does."""
    content = zlib.decompress(base64.b64decode(packer.text()))
    found, start = {}, 0
    for name, code, shape, is_differences in packer.columns:
        size = np.dtype(code).itemsize
        n = int(np.prod(shape))
        planes = np.frombuffer(content[start : start + n * size], np.uint8).reshape(size, n)
        values = np.ascontiguousarray(planes.T).view(code).reshape(shape)
        found[name] = np.cumsum(values, axis=-1, dtype=values.dtype) if is_differences else values
        start += n * size
    assert start == len(content)
    return found


def test_every_kind_of_number_comes_back() -> None:
    random = np.random.default_rng(0)
    given = {
        "counts": np.cumsum(random.integers(0, 99, 500)),
        "table": np.cumsum(random.integers(0, 9, (7, 300)), axis=1),
        "many": np.cumsum(random.integers(0, 2**50, 4)),
        "none": np.zeros((0, 300), np.int64),
        "shares": random.random(99),
        "thresholds": random.normal(size=99).astype(np.float32),
        "statuses": random.integers(0, 4, (3, 50)).astype(np.uint8),
    }
    packer = Packer()
    for name, values in given.items():
        packer.add(name, values)
    for name, values in unpacked(packer).items():
        np.testing.assert_array_equal(values, given[name])


@given(st.floats(0, 1))
def test_millionths_read_like_the_share(share: float) -> None:
    coded = int(in_millionths(share))
    assert abs(coded / MILLION - share) <= 1.5 / MILLION
    assert percent(coded / MILLION) == percent(share)


@pytest.mark.parametrize("k", range(0, 1001, 7))
def test_millionths_where_rounding_turns(k: int) -> None:
    for share in (k / 1000 + 0.0005, k / 1000 + 0.0005 + 1e-13, k / 1000 + 0.0005 - 1e-13):
        if 0 <= share <= 1:
            assert percent(int(in_millionths(share)) / MILLION) == percent(share)


@given(st.text())
def test_text_is_on_one_line_and_turns_nothing_around(text: str) -> None:
    shown = shown_text(text, 50)
    assert len(shown) <= 50
    assert not set(shown) & set("\n\r\t\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\x00")
    shown.encode("utf-8")
    assert shown_text(shown, 50) == shown


def test_text_deep_inside_is_made_fit() -> None:
    assert all_shown({"a\n": ["b\n", {"c": "d\x00"}, 1, None, 2.5]}) == {
        "a\n": ["b ", {"c": "d\ufffd"}, 1, None, 2.5]
    }
    assert shown_text("e" + "\u0301" * 40) == "e" + "\u0301" * 4
