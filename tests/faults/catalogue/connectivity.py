"""Faults: connectivity."""

from __future__ import annotations

from tests.faults.model import Fault

FAULTS: tuple[Fault, ...] = ()
