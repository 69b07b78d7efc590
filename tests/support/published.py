"""Documents are held against the schemas that are published for them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from fixtures.core.paths import ROOT

SCHEMAS = ROOT / "docs" / "schemas"


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8")))


def validate(document: Any) -> None:
    """Raises jsonschema.ValidationError where a document is not what the schema that it names says."""
    family, _, version = str(document["schema"]).partition("/")
    _validator(f"{family.removeprefix('fleet-')}-{version}").validate(document)
