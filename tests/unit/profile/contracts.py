"""Contracts for tests: the reference's, and one that shares nothing with it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from fixtures.profile.contract import Contract, take_contract

FOLDER = Path(__file__).parents[2] / "second_stack"
SECOND: dict[str, Any] = tomllib.loads((FOLDER / "contract.toml").read_text(encoding="utf-8"))


def second() -> Contract:
    return take_contract({"contract": "contract.toml"}, FOLDER, "profile")
