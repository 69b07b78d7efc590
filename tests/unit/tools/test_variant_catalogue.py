"""The catalogue of variants as data, and those of them that are documents."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from fixtures.checks import families
from fixtures.checks.applicability import applicability
from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import CATALOGUE, MUST
from fixtures.checks.families import family_id, lookup
from fixtures.core.paths import ROOT
from fixtures.profile.model import load
from tests.faults.catalogue import FAULTS
from tests.faults.catalogue.executor import WHERE
from tests.faults.model import Fault
from tests.targets.executor_target import with_executor
from tests.targets.injectors import Edit
from tests.targets.target import with_value
from tests.unit.tools.test_fault_catalogue import edits_in
from tests.variants.catalogue import SUBSET, VARIANTS
from tests.variants.documents import DOCUMENTS
from tests.variants.known_red import KNOWN_RED, UNSTRETCHED
from tests.variants.model import EXEMPT, Document, Variant

#: That they do not apply only the system's answers show.
FOUND_AT_RUN_TIME = {"ORC-08"}


@pytest.fixture(scope="module", autouse=True)
def _checks() -> None:
    load_catalogue()


def test_each_must_check_is_bounded_from_both_sides() -> None:
    """By a fault under which it fails, and by a variant in which it passes; who has none yet is listed, by id."""
    failing = {family_id(check) for fault in FAULTS for check in fault.expected_failures}
    passing = {family_id(check) for variant in VARIANTS for check in variant.stretches}
    passing |= {family_id(check) for document in DOCUMENTS for check in document.stretches}
    must = {check.id for check in CATALOGUE.values() if check.level is MUST}
    assert not must - failing, "add a fault to tests/faults/catalogue/"
    assert not must - passing - UNSTRETCHED, "add a variant to tests/variants/catalogue/, or a document"
    assert not UNSTRETCHED & passing, "take them from UNSTRETCHED in tests/variants/known_red.py"
    assert must >= UNSTRETCHED


def test_each_has_a_name_of_its_own() -> None:
    names = [*(variant.name for variant in VARIANTS), *(fault.name for fault in FAULTS)]
    names += [document.name for document in DOCUMENTS]
    assert not [name for name, count in Counter(names).items() if count > 1]
    assert SUBSET and not SUBSET - set(names)
    assert not KNOWN_RED.keys() - set(names)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_variant_says_what_differs_and_what_must_come_of_it(variant: Variant) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", variant.name)
    assert variant.description and variant.stretches
    assert all(lookup(CATALOGUE, check) for check in (*variant.stretches, *variant.exempt)), "no such check"
    assert not set(variant.stretches) & set(variant.exempt), "a check either must pass or need not"
    assert all(status in EXEMPT and words for status, words in variant.exempt.values())
    profile = load("embedded")
    for key, value in variant.profile.items():
        profile = with_value(profile, key.split("."), value)
    rows = {check for check in variant.stretches if family_id(check) != check}
    assert rows <= families.in_run(CATALOGUE, profile.agent.modules).keys(), "its profile must have these rows"


def test_groups_on_kubernetes_have_the_images_of_the_run() -> None:
    """A tag of the images' content, which no shipped profile names: a change takes the groups of its target's."""
    entries: tuple[Variant | Fault, ...] = (*VARIANTS, *FAULTS)
    on_kubernetes = [entry for entry in entries if entry.where == "kubernetes"]
    assert on_kubernetes and not [entry.name for entry in on_kubernetes if "ray.groups" in entry.profile]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_variant_declares_what_does_not_apply_to_its_fleet(variant: Variant) -> None:
    """By its profile. What the reference lacks on one machine is asked for in no variant."""
    kind = "kind" if variant.where == "kubernetes" else "embedded"
    profile = load(kind)
    if variant.where == WHERE:
        profile = with_executor(profile, "127.0.0.1:50056")
    usual = {check.id for check in CATALOGUE.values() if applicability(profile, kind)(check)}
    for key, value in variant.profile.items():
        profile = with_value(profile, key.split("."), value)
    absent = {check.id for check in CATALOGUE.values() if applicability(profile, kind)(check)} - usual
    assert not absent & {*variant.stretches, *variant.inconclusive}
    assert set(variant.applies_here) == set(variant.stretches) & usual, "what does not apply without it is not left"
    declared = {check for check, (status, _) in variant.exempt.items() if status == "not_applicable"}
    assert declared - absent <= FOUND_AT_RUN_TIME and absent <= declared


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_edits_have_their_place_in_the_code(variant: Variant) -> None:
    """Those of a variant, and then those of each fault inside it: else only a run would show that nothing differs."""
    edits = list(edits_in(variant.apply))
    for inside in [[], *(list(edits_in(fault.inject)) for fault in variant.detects)]:
        texts: dict[str, str] = {}
        for edit in [*edits, *inside]:
            text = texts.get(edit.path) or source_of(edit)
            if not text:
                continue
            assert text.count(edit.old) == 1, edit
            texts[edit.path] = text.replace(edit.old, edit.new)
        for path, text in texts.items():
            compile(text, path, "exec", dont_inherit=True)  # no tree of objects, as ast.parse makes of many files here


def source_of(edit: Edit) -> str:
    """The file in the code of the images that it changes; "" where it changes an installed package."""
    files = [file for image in (ROOT / "images").iterdir() if (file := image / edit.path).is_file()]
    return files[0].read_text("utf-8") if files else ""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_a_document_is_understood(document: Document) -> None:
    assert document.description and not set(document.stretches) - set(CATALOGUE)
    document.holds()


def test_the_program_is_described_where_the_others_are() -> None:
    assert "`./ci/variants`" in (ROOT / "docs" / "explanation" / "testing.md").read_text("utf-8")
