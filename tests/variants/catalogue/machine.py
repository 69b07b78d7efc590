"""This machine, and other users of the fleet."""

from __future__ import annotations

from tests.variants.model import Variant

VARIANTS: tuple[Variant, ...] = ()
