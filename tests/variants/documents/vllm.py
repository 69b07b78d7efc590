"""vLLM's answers."""

from __future__ import annotations

from tests.variants.model import Document

DOCUMENTS: tuple[Document, ...] = ()
