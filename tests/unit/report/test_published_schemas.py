"""What other programs read is what the schemas in docs/schemas say; and a schema changes with its version alone."""

from __future__ import annotations

import json

import jsonschema
import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.catalogue_document import catalogue_text
from tests.gen_docs.schemas import DOCUMENTS, FILES, schema_of
from tests.support import published

#: The keys of each document that a reader may count on, as they were published: none of them goes within a version.
PUBLISHED = {
    "conformance-v2": "aborted baseline boot_s build_s changes checks cluster conformant duration_s exceptions facts "
    "green_before run_id schema scope started suite summary timeline verdict",
    "webhook-v1": "aborted causes changes cluster duration_s red run_id schema scope started summary texts "
    "untold verdict",
    "catalogue-v1": "checks schema",
    "preflight-v1": "answers missing names profile refused rights schema secrets server token_seconds_left user",
    "bundle-v1": "files left_out machine packages run schema suite",
    "bench-v1": "commit details figures machine runs schema started vllm",
    "ask-v1": "check endpoints place profile run_id schema where",
    "watch-v1": "checks claims clean cluster command duration_s events findings gaps instances ledger left links mixed "
    "notes profile reasons replacements rounds run_id schema settings started state suite",
}
#: Likewise of what is in them.
PARTS = {
    ("conformance-v2", "CheckRow"): "absent area cause detail duration_s evidence findings id known level nodeid notes "
    "page remedy remedy_steps source status title",
    ("conformance-v2", "Exceptions"): "file rows",
    ("conformance-v2", "Cluster"): "kind limits notes profile rights timeouts unsupported versions vllm",
    ("conformance-v2", "Scope"): "applies not_applicable not_asked of",
    ("conformance-v2", "Facts"): "components dependencies left links measurements",
    ("webhook-v1", "Cause"): "consequences consequences_text detail first_step id impact level page sign title",
    ("catalogue-v1", "Entry"): "area id impact level meaning needs remedy title",
    ("checks-v1", "ExecutableCheck"): "files follows id impact level meaning pass remedy run timeout title where",
    ("bench-v1", "FigureRow"): "better bound group median met name samples title unit",
    ("bundle-v1", "Entry"): "masked path sha256 size",
    ("known-v1", "Entry"): "cause check explains link owner reason until",
    ("watch-v1", "Claims"): "doubled failed good late lost open refused rounds skipped unreadable unseen vanished",
    ("watch-v1", "Round"): "accepted_s asked due_s end ended_s kind number reason task word",
    ("watch-v1", "Replacement"): "after at_s before component group image_after image_before",
    ("watch-v1", "Finding"): "agent sequence task text word",
    ("watch-v1", "Gap"): "beyond_s from_s link open to_s",
    ("preflight-v1", "Answer"): "asked missing note there",
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_was_published_stays_within_a_version(name: str) -> None:
    assert set(PUBLISHED[name].split()) <= set(schema_of(name)["required"]), "another version, or an optional key"


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_parts_stay_within_a_version(name: str, part: str) -> None:
    assert set(PARTS[name, part].split()) <= set(schema_of(name)["$defs"][part]["properties"])


@pytest.mark.parametrize("name", [*DOCUMENTS, *FILES])
def test_a_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema_of(name))
    if name in FILES:
        return
    constant = schema_of(name)["properties"]["schema"]["const"]
    assert constant == f"fleet-{name.rpartition('-')[0]}/{name.rpartition('-')[2]}"


def test_the_catalogue_is_valid() -> None:
    published.validate(json.loads(catalogue_text(load_catalogue())))


@pytest.mark.parametrize(
    ("key", "value"), [("verdict", "fine"), ("checks", "none"), ("schema", "fleet-conformance/v2")]
)
def test_what_is_not_valid_is_refused(key: str, value: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        published.validate({"schema": "fleet-conformance/v2", key: value})
