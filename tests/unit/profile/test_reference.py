"""The page and the schema of the profile are what the models say."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from fixtures.profile import reference
from fixtures.profile.model import PROFILES


def test_every_key_has_a_meaning() -> None:
    rows = [line.split(" | ") for line in reference.page().splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    sections = {
        "kubernetes",
        "vllm",
        "ray",
        "nats",
        "orchestrator",
        "executor",
        "deliberations",
        "agent",
        "features",
        "limits",
    }
    without = [row[0] for row in rows if not row[2].strip() and row[0].strip("| `") not in sections]
    assert not without, f"say in a comment at the field what it is: {', '.join(without)}"


@pytest.mark.parametrize("file", sorted(PROFILES.glob("*.toml")), ids=lambda file: file.stem)
def test_the_shipped_profiles_fit_the_schema(file: Path) -> None:
    schema = json.loads(reference.schema())
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "kubernetes": {"namespce": "x"}}, schema)
