"""Agents' messages, and jobs' documents."""

from __future__ import annotations

from tests.variants.model import Document

DOCUMENTS: tuple[Document, ...] = ()
