"""Amounts as Kubernetes writes them: canonical ones and those that people write."""

from __future__ import annotations

import pytest

from fixtures.core.quantities import amount


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8.0),
        ("8300m", 8.3),
        ("0", 0.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("2k", 2000.0),
        ("128Gi", 128.0 * 2**30),
        ("0.5Ti", 2.0**39),
        ("1e3", 1000.0),
        ("12E2", 1200.0),
        ("1E", 1e18),
        ("100u", 1e-4),
        ("+4", 4.0),
    ],
)
def test_a_quantity_is_a_number(text: str, value: float) -> None:
    assert float(amount(text)) == value


@pytest.mark.parametrize("text", ["", "8 Gi", "Gi", "8gi", "1e", "0x8", "٣", "8Gi\n", "1" * 50, "1e9999", "nan"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantity such as"):
        amount(text)
