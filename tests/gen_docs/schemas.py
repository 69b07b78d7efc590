"""docs/schemas/: a JSON Schema for each document that other programs read, made of the types that describe it.

Within a version keys are only added, and so are values of a status or verdict: readers let pass what they do not know.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from fixtures.checks.catalogue_document import Document as Catalogue
from fixtures.command.documents import Bundle, Preflight
from fixtures.core.paths import ROOT
from fixtures.own_checks.executables import File as OwnChecks
from fixtures.own_checks.executables import Question
from fixtures.report.export.webhook_document import Message
from fixtures.report.known_failures import File as KnownFailures
from fixtures.report.results.document import Document as Conformance
from fixtures.watch.document import Document as Watch
from tests.bench.figures import BenchDocument

FOLDER = ROOT / "docs" / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: name of the file, without its end → the type
DOCUMENTS: dict[str, Any] = {
    "conformance-v2": Conformance,
    "webhook-v1": Message,
    "catalogue-v1": Catalogue,
    "preflight-v1": Preflight,
    "bundle-v1": Bundle,
    "bench-v1": BenchDocument,
    "ask-v1": Question,
    "watch-v1": Watch,
}
#: Likewise of files that a user writes.
FILES: dict[str, Any] = {"known-v1": KnownFailures, "checks-v1": OwnChecks}


def schema_of(name: str) -> dict[str, Any]:
    """The schema of a document as it is written, or of a file as it is read."""
    if name in FILES:
        made = TypeAdapter(FILES[name]).json_schema(by_alias=True, mode="validation")
    else:
        made = TypeAdapter(DOCUMENTS[name]).json_schema(by_alias=True, mode="serialization")
    return {"$schema": DIALECT, **made}


def files() -> dict[Path, str]:
    """Every schema by its path."""
    return {
        FOLDER / f"{name}.json": json.dumps(schema_of(name), indent=1, ensure_ascii=False) + "\n"
        for name in (*DOCUMENTS, *FILES)
    }
