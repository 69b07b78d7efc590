"""What of docs/ is made from code is current, and what is not is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.checks import catalogue_document
from fixtures.checks.applicability import applicability
from fixtures.checks.catalogue import load_catalogue
from fixtures.core.errors import DamagedInstallation
from fixtures.core.paths import ROOT
from fixtures.profile.model import load
from tests import gen_docs
from tests.gen_docs import __main__ as generator
from tests.gen_docs import check_pages


def test_every_file_is_current() -> None:
    assert [str(file.relative_to(ROOT)) for file in generator.stale(generator.wanted())] == [], "run ./ci/gen-docs"


def test_what_is_not_current_is_named_written_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {tmp_path / "checks" / "A-01.md": "one", tmp_path / "b.json": "two"}
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "A-02.md").write_text("of a check that is gone")
    (tmp_path / "b.json").write_text("another")
    monkeypatch.setattr(check_pages, "FOLDER", tmp_path / "checks")
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    monkeypatch.setattr(generator, "wanted", lambda: made)
    assert generator.main(["--check"]) == 1
    complaints = capsys.readouterr().err.splitlines()
    assert complaints == [
        f"{name} is not what the code says: run ./ci/gen-docs"
        for name in ("checks/A-01.md", "b.json", "checks/A-02.md")
    ]
    assert generator.main([]) == 0 and generator.main(["--check"]) == 0
    assert {file: file.read_text() for file in tmp_path.rglob("*.*")} == made
    assert gen_docs.__doc__


def test_the_catalogue_is_read_as_it_is_declared() -> None:
    assert catalogue_document.read() == load_catalogue()


def test_the_document_says_what_does_not_apply() -> None:
    catalogue = load_catalogue()
    text = catalogue_document.catalogue_text(catalogue, applicability(load("embedded"), "embedded"))
    assert '"does_not_apply": "' in text and '"does_not_apply"' not in catalogue_document.catalogue_text(catalogue)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schema": "fleet-catalogue/v2", "checks": []}', '{"checks": [{"id": 1}]}']
)
def test_a_damaged_file_is_the_installations_fault(tmp_path: Path, text: str) -> None:
    file = tmp_path / "catalogue.json"
    if text:
        file.write_text(text)
    with pytest.raises(DamagedInstallation, match=r"catalogue\.json: "):
        catalogue_document.read(file)


def test_every_page_has_the_anchors_that_reports_link_to() -> None:
    for file, text in check_pages.pages(load_catalogue()).items():
        if file.name != "README.md":
            for heading in ("## Fails when", "## Stays green when", "## Remedy"):
                assert f"\n{heading}\n" in text, file.name
