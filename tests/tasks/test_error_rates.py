"""Word and character error rates."""

from __future__ import annotations

import pytest

from ktlite.tasks.error_rates import count_errors, error_rates

pytest.importorskip("jiwer")


def test_errors_are_counted_over_all_texts() -> None:
    counted = count_errors(["one two three", "a  b", ""], ["one too", "a b", "oh no"])
    assert counted["words"].tolist() == [[2, 3], [0, 2], [2, 0]]
    # w for o, and six of " three"; five of "oh no", where nothing is said.
    assert counted["characters"].tolist() == [[7, 13], [0, 3], [5, 0]]
    assert error_rates(counted) == {"wer": 4 / 5, "cer": 12 / 16}
    same = count_errors(["Yes."], ["yes"])
    assert error_rates(same) == {"wer": 1.0, "cer": 0.5}  # case and full stops count
