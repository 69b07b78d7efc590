"""Agents that differ."""

from __future__ import annotations

from tests.variants.model import Variant

VARIANTS: tuple[Variant, ...] = ()
