"""Writes the files that are made from code, or says which of them are not current."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fixtures.checks import catalogue_document
from fixtures.checks.catalogue import load_catalogue
from fixtures.clusters.kubernetes.rights import RIGHTS, role_files
from fixtures.clusters.kubernetes.role_manifests import manifest
from fixtures.core.paths import ROOT
from fixtures.profile import reference
from fixtures.profile.model import load
from tests.gen_docs import check_pages, metrics_page, schemas
from tests.unit.profile import eras

REFERENCE = "swe-ai-fleet"
MADE = "Made by ci/gen-docs of rights.toml, with the names of the reference profile; `init --manifests` takes yours."


def wanted() -> dict[Path, str]:
    """Every file that is made, and what is in it."""
    catalogue = load_catalogue()
    return {
        reference.PAGE: reference.page(),
        reference.SCHEMA: reference.schema(),
        eras.PAGE: eras.page(),
        catalogue_document.DOCUMENT: catalogue_document.catalogue_text(catalogue),
        metrics_page.PAGE: metrics_page.page(),
        **check_pages.pages(catalogue),
        **schemas.files(),
        **{RIGHTS.with_name(file.name): manifest(file, load(REFERENCE), MADE) for file in role_files()},
    }


def stale(files: Mapping[Path, str]) -> list[Path]:
    """Those that are not there, or say something else, and pages of checks that there are no longer."""
    changed = [file for file, text in files.items() if not file.is_file() or file.read_text(encoding="utf-8") != text]
    return [*changed, *(set(check_pages.FOLDER.glob("*.md")) - files.keys())]


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: with --check, 1 where a file is not current."""
    files = wanted()
    outdated = stale(files)
    for file in outdated:
        name = file.relative_to(ROOT)
        if "--check" in arguments:
            print(f"{name} is not what the code says: run ./ci/gen-docs", file=sys.stderr)
        elif file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(files[file], encoding="utf-8")
            print(f"wrote {name}")
        else:
            file.unlink()
            print(f"removed {name}")
    print(f"docs: {len(files) - len(outdated)} of {len(files)} files were current")
    return 1 if outdated and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
