"""`ci/report --cncf` on the report of a whole run on Kubernetes, which FLEET_TEST_REPORTS names:
every claim has its evidence.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from fixtures.core.paths import ROOT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    reports = os.environ.get("FLEET_TEST_REPORTS")
    if not reports:
        pytest.skip("FLEET_TEST_REPORTS does not name the report folder of a run on Kubernetes")
    made = tmp_path_factory.mktemp("cncf") / "evidence"
    subprocess.run([str(ROOT / "ci" / "report"), "--reports", reports, "--cncf", str(made)], check=True, timeout=60)
    return made


def test_every_claim_is_shown_by_what_the_run_recorded(folder: Path) -> None:
    document = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    claims = {claim["id"]: claim["status"] for claim in document["claims"]}
    assert claims.pop("webhooks") == "not applicable", "the suite's manifests install KubeRay without them"
    assert set(claims.values()) == {"shown"}, document["claims"]
    assert (document["status"], document["product_status"]) == ("shown", "Implemented")
    assert all(document["versions"].values())
    assert all((folder / path).is_file() for claim in document["claims"] for path in claim["evidence"])


def test_the_schema_turned_a_wrong_ray_cluster_away(folder: Path) -> None:
    told = json.loads((folder / "evidence" / "INF-05" / "operator.json").read_text(encoding="utf-8"))
    said = {trial["name"]: trial.get("said", "") for trial in told["admission"]}
    assert "replicas" in said["breaks-the-schema"]


def test_the_files_are_there(folder: Path) -> None:
    names = {file.name for file in folder.iterdir()}
    assert {"junit.xml", "e2e.log", "results.json", "robust-controller.md", "PRODUCT-robust_controller.yaml"} <= names
