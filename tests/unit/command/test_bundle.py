"""One archive of a run's reports: complete, bounded, without secrets."""

from __future__ import annotations

import hashlib
import json
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fixtures.command.main import main
from tests.support import published
from tests.support.profiles import profile_text

SECRET = "hunter2-of-the-fleet"


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    (folder / "evidence" / "INF-05").mkdir(parents=True)
    document = {
        "schema": "fleet-conformance/v2",
        "run_id": "fc-1a2b3c",
        "verdict": "partial",
        "suite": {"version": "1"},
    }
    (folder / "conformance.json").write_text(json.dumps(document))
    (folder / "status.md").write_text("# partial")
    (folder / "trends.png").write_bytes(b"\x89PNG\x00password=" + SECRET.encode())
    (folder / "evidence" / "INF-05" / "events.json").write_text("x" * 5000)
    (folder / "evidence" / "INF-05" / "env.txt").write_text(
        f"NATS_TOKEN={SECRET}\nNATS_URL=nats://u:{SECRET}@nats:4222\n"
    )
    return folder


def bundled(reports: Path, *options: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(its manifest, the other files by name)."""
    out = reports.parent / "out.tar.gz"
    out.unlink(missing_ok=True)
    assert main(["bundle", "--reports", str(reports), "--out", str(out), *options]) == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with tarfile.open(out) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    manifest = json.loads(files.pop("MANIFEST.json"))
    published.validate(manifest)
    return manifest, files


def test_everything_is_in_it_and_the_manifest_says_so(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, files = bundled(reports)
    assert manifest["schema"] == "fleet-bundle/v1" and manifest["run"]["verdict"] == "partial"
    names = {f"reports/{file.relative_to(reports)}" for file in reports.rglob("*") if file.is_file()}
    assert set(files) == names == {entry["path"] for entry in manifest["files"]}
    for entry in manifest["files"]:
        assert hashlib.sha256(files[entry["path"]]).hexdigest() == entry["sha256"]
        assert len(files[entry["path"]]) == entry["size"]
    assert "pytest" in manifest["packages"]
    said = capsys.readouterr()
    assert said.out.strip() == str(reports.parent / "out.tar.gz")
    assert said.err.startswith("5 files, ") and "2 values masked" in said.err


def test_secrets_are_masked_again(reports: Path) -> None:
    _, files = bundled(reports)
    assert SECRET.encode() not in files["reports/evidence/INF-05/env.txt"]


def test_the_profiles_credentials_are_masked_wherever_they_are(
    reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (reports / "status.md").write_text(f"it answered {SECRET} to us")
    profile = tmp_path / "fleet.toml"
    profile.write_text(profile_text("swe-ai-fleet", nats={"auth": {"token": {"env": "FLEET_TEST_TOKEN"}}}))
    monkeypatch.setenv("FLEET_TEST_TOKEN", SECRET)
    _, files = bundled(reports, "--profile", str(profile))
    assert files["reports/status.md"] == b"it answered [redacted] to us"
    assert files["profile.toml"] == profile.read_bytes()


def test_the_largest_evidence_goes_first(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, files = bundled(reports, "--max", "2KB")
    assert "reports/evidence/INF-05/events.json" not in files and "reports/evidence/INF-05/env.txt" in files
    (left_out,) = manifest["left_out"]
    assert (left_out["path"], left_out["size"]) == ("reports/evidence/INF-05/events.json", 5000)
    assert "left out: reports/evidence/INF-05/events.json (5.0 KB)" in capsys.readouterr().err


def test_a_link_is_not_followed(reports: Path) -> None:
    (reports / "passwd").symlink_to("/etc/passwd")
    manifest, files = bundled(reports)
    assert "reports/passwd" not in files and manifest["left_out"][0]["why"] == "is no plain file"


def test_it_is_the_same_whenever_it_is_made(reports: Path) -> None:
    bundled(reports)
    first = (reports.parent / "out.tar.gz").read_bytes()
    bundled(reports)
    assert (reports.parent / "out.tar.gz").read_bytes() == first


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--reports", "none"], "holds no report of a finished run"),
        (["--max", "many"], "a number with KB, MB or GB"),
        (["--max", "0MB"], "a number with KB, MB or GB"),
        (["--out", "no/such/folder/x.tar.gz"], "cannot be written"),
        (["--profile", "none.toml"], "none.toml"),
    ],
)
def test_a_mistake_is_one_line(
    reports: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reports.parent)
    assert main(["bundle", *options]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_an_archive_that_is_there_stays(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(reports.parent)
    assert main(["bundle"]) == 0
    made = (reports.parent / "fleet-conformance-fc-1a2b3c.tar.gz").read_bytes()
    assert main(["bundle"]) == 4
    assert (reports.parent / "fleet-conformance-fc-1a2b3c.tar.gz").read_bytes() == made
