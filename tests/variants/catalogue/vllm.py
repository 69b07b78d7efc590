"""Model servers that differ, and what stands before them."""

from __future__ import annotations

from tests.variants.model import Variant

VARIANTS: tuple[Variant, ...] = ()
