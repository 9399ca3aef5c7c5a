"""How far long work is, where nobody watches: a line now and then on standard error, and none for short work."""

import pytest

from data import progress


def test_long_work_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "SECONDS_A_LINE", 0.0)
    assert list(progress.tracked(range(2), "features: items", 1200)) == [0, 1]
    assert capsys.readouterr() == ("", "features: items: 1 of 1,200\nfeatures: items: 2 of 1,200\n")


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.tracked(iter("abc"), "letters", 3)) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")
