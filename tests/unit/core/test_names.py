"""What has an id is told apart by it where names are alike; texts become lines."""

from __future__ import annotations

from fixtures.core.log_lines import in_one_line
from fixtures.core.names import told_apart


def test_names_that_are_alike_get_the_beginning_of_their_id() -> None:
    ids = ("1a2b3c4d5e6f", "1a2b3c4d7a8b", "c" * 12)
    assert list(told_apart(dict(zip(ids, ("w", "v", "u"), strict=True))).values()) == ["w", "v", "u"]
    assert told_apart(dict(zip(("1a2b3c4d5e", "5e6f7a8b9c"), ("w", "w"), strict=True))) == {
        "1a2b3c4d5e": "w (1a2b3c4d)",
        "5e6f7a8b9c": "w (5e6f7a8b)",
    }


def test_a_long_text_keeps_its_beginning_and_its_end_in_one_line() -> None:
    assert in_one_line(" a\n\tb  c\n") == "a b c"
    line = in_one_line("ValueError: no\n" + "x " * 1000 + "\nthe cause")
    assert line.startswith("ValueError: no x") and line.endswith("the cause") and len(line) <= 600
