"""Ray's answers, and its objects in Kubernetes."""

from __future__ import annotations

from tests.variants.model import Document

DOCUMENTS: tuple[Document, ...] = ()
