"""`ci/report --cncf`: a claim stands only on what the run recorded, and the files are what a submission takes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.checks.catalogue import load_catalogue
from fixtures.clusters.base import Step
from fixtures.diagnostics.operator_evidence import AFTER, BEFORE, OPERATOR, RAY
from fixtures.report.export import command
from fixtures.report.export.cncf.claims import CLAIMS
from fixtures.report.export.cncf.evidence import assessed
from fixtures.report.export.cncf.transcript import OPERATOR_PODS, table
from fixtures.report.model import ClusterInfo, ComponentFact, Result, Run, Status

RECORDED = Path(__file__).parent / "cncf_data" / "evidence.json"  # by file name, of a run on kind; made smaller
LEFT_BY = {"worker": "IMG-05", "head": "ORC-18"}  # kind of pod → the check that deletes one
PATHS = {
    **{name: f"INF-05/{name}" for name in (OPERATOR, RAY)},
    **{files[kind]: f"{check}/{files[kind]}" for files in (BEFORE, AFTER) for kind, check in LEFT_BY.items()},
}
ASKED = [check for check in load_catalogue().values() if check.supports]


@pytest.fixture
def seen() -> dict[str, Any]:
    return dict(json.loads(RECORDED.read_text("utf-8")))


def made(**ended: Status) -> Run:
    """A run on kind in which every check that supports a claim passed but those given (INF_05=…)."""
    info = ClusterInfo("kind", "kind-offline", "stub", {"kubernetes": "v1.34.12"}, notes=["vLLM is a stub"])
    run = Run("2026-01-01T00:00:00+00:00", "0.1.0", "abc", "fc-1", info, 60.0, timeline=[Step("deploy", 0.0, 20.0)])
    for check in ASKED:
        status = ended.get(check.id.replace("-", "_"), Status.PASSED)
        detail = "" if status is Status.PASSED else "one of two"
        run.results.append(Result(check, status, 1.0, detail))
    run.facts.components["Ray head"] = ComponentFact("Ray head", "2.49.2")
    return run


def standings(run: Run, seen: dict[str, Any]) -> dict[str, str]:
    return {claim["id"]: claim["status"] for claim in assessed(run, seen, PATHS)["claims"]}


def test_a_whole_run_shows_every_claim_and_says_that_there_are_no_webhooks(seen: dict[str, Any]) -> None:
    document = assessed(made(), seen, PATHS)
    claims = {claim["id"]: claim for claim in document["claims"]}
    assert {name: claim["status"] for name, claim in claims.items() if claim["status"] != "shown"} == {
        "webhooks": "not applicable"
    }
    assert "without admission webhooks" in claims["webhooks"]["seen"]
    assert claims["worker_recreated"]["evidence"] == [
        "evidence/IMG-05/ray-before-new-worker.json",
        "evidence/IMG-05/ray-after-new-worker.json",
    ]
    assert claims["reconciled"]["checks"] == [
        {"id": "INF-05", "status": "passed"},
        {"id": "INF-06", "status": "passed"},
    ]
    assert (document["status"], document["product_status"]) == ("shown", "Implemented")
    assert document["versions"]["kubernetes"] == "v1.34.12"
    assert document["versions"]["kuberay"].startswith("v1.")
    assert document["requirement"]["checklist"] == "1.34"


def test_without_evidence_nothing_but_the_checks_own_claim_is_shown() -> None:
    document = assessed(made(), {}, {})
    assert {claim["id"]: claim["status"] for claim in document["claims"]} == {
        **{claim.id: "not shown" for claim in CLAIMS},
        "works": "shown",
    }
    assert (document["status"], document["product_status"]) == ("not shown", "")


@pytest.mark.parametrize("missing", [OPERATOR, RAY, AFTER["head"]])
def test_a_file_that_is_missing_takes_only_its_own_claims(seen: dict[str, Any], missing: str) -> None:
    del seen[missing]
    lost = {claim.id for claim in CLAIMS if missing in claim.evidence}
    assert {name for name, status in standings(made(), seen).items() if status == "not shown"} == lost


def test_a_check_that_did_not_run_shows_nothing(seen: dict[str, Any]) -> None:
    found = standings(made(INF_06=Status.DISABLED, JOB_05=Status.BROKEN), seen)
    assert (found["reconciled"], found["works"]) == ("not shown", "not shown")


def test_a_check_that_is_not_in_the_run_shows_nothing(seen: dict[str, Any]) -> None:
    run = made()
    run.results = [result for result in run.results if result.check.id not in ("INF-06", "JOB-05")]
    claims = {claim["id"]: claim for claim in assessed(run, seen, PATHS)["claims"]}
    assert claims["reconciled"]["status"] == claims["works"]["status"] == "not shown"
    assert "JOB-05 is not in this run" in claims["works"]["seen"]


def test_a_run_that_is_not_conformant_is_no_evidence(seen: dict[str, Any]) -> None:
    document = assessed(made(JOB_05=Status.FAILED), seen, PATHS)
    assert {claim["id"]: claim["status"] for claim in document["claims"]}["works"] == "contradicted"
    assert document["product_status"] == "Not Implemented"
    assert "JOB-05" in document["because"]


def test_a_missing_right_is_named_and_the_served_type_stands_in_for_the_definition(seen: dict[str, Any]) -> None:
    told = seen[OPERATOR]
    for question in ("definition", "deployment", "pods", "webhooks"):
        told[question] = {"command": "kubectl", "unknown": f"user u may not get {question}"}
    claims = {claim["id"]: claim for claim in assessed(made(), seen, PATHS)["claims"]}
    assert claims["installed"]["status"] == "shown"
    assert "may not get definition" in claims["installed"]["seen"]
    assert claims["operator_pods"]["status"] == claims["webhooks"]["status"] == "not shown"
    assert claims["webhooks"]["seen"] == "user u may not get webhooks"


def broken(seen: dict[str, Any], name: str) -> None:
    operator, ray = seen[OPERATOR], seen[RAY]
    if name == "installed":
        operator["definition"]["answer"]["status"]["conditions"] = [{"type": "Established", "status": "False"}]
    if name == "operator_pods":
        operator["deployment"]["answer"]["status"]["availableReplicas"] = 0
    if name == "validation":
        next(one for one in operator["admission"] if one["name"] == "breaks-the-schema")["let_in"] = True
    if name == "reconciled":
        ray["ray_cluster"]["answer"]["status"]["state"] = "suspended"
    if name == "worker_recreated":
        pods = seen[AFTER["worker"]]["pods"]["answer"]
        pods[-1]["metadata"]["ownerReferences"] = []
    if name == "head_recreated":
        seen[AFTER["head"]]["pods"]["answer"].pop()


@pytest.mark.parametrize(
    "name", ["installed", "operator_pods", "validation", "reconciled", "worker_recreated", "head_recreated"]
)
def test_evidence_that_says_otherwise_contradicts(seen: dict[str, Any], name: str) -> None:
    broken(seen, name)
    found = standings(made(), seen)
    assert {claim for claim, status in found.items() if status == "contradicted"} == {name}


def test_a_ray_cluster_that_was_not_touched_shows_no_reconciliation(seen: dict[str, Any]) -> None:
    seen[AFTER["worker"]] = copy.deepcopy(seen[BEFORE["worker"]])
    assert standings(made(), seen)["worker_recreated"] == "not shown"


@pytest.mark.parametrize(
    ("group", "status"),
    [
        ({"replicas": 0, "minReplicas": 2}, "shown"),
        ({"replicas": 9, "maxReplicas": 2}, "shown"),
        ({"minReplicas": 2, "numOfHosts": None}, "shown"),
        ({"replicas": 2, "suspend": True}, "contradicted"),
        ({"replicas": 0}, "contradicted"),
        ({"replicas": 2, "minReplicas": 3}, "contradicted"),
    ],
)
def test_all_its_pods_are_those_that_kuberay_makes(seen: dict[str, Any], group: dict[str, Any], status: str) -> None:
    (recorded,) = seen[RAY]["ray_cluster"]["answer"]["spec"]["workerGroupSpecs"]
    del recorded["replicas"]
    recorded.update(group)
    assert standings(made(), seen)["reconciled"] == status


def asleep(document: dict[str, Any], *states: dict[str, Any] | None, kind: str = "worker") -> None:
    """The first pods of a kind are not ready, with these states of their container; None: none was recorded."""
    pods = [pod for pod in document["pods"]["answer"] if pod["metadata"]["labels"]["ray.io/node-type"] == kind]
    for pod, state in zip(pods, states, strict=False):
        pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        (container,) = pod["status"]["containerStatuses"]
        container |= {"ready": False} | ({} if state is None else {"state": state})


RUNS: dict[str, Any] = {"running": {"startedAt": "2026-11-26T14:09:30Z"}}
NO_STATE: dict[str, Any] = {"conditions": [{"type": "RayClusterProvisioned", "status": "False"}]}
FAILED_POD = {"conditions": [{"type": "ReplicaFailure", "status": "True"}]}


@pytest.mark.parametrize(
    ("states", "cluster", "standing"),
    [
        ([RUNS], None, "shown"),
        ([RUNS, RUNS], None, "shown"),
        ([RUNS], NO_STATE, "shown"),  # KubeRay gives none before all pods were ready once
        ([RUNS], FAILED_POD, "contradicted"),
        ([RUNS], {"state": "failed"}, "contradicted"),
        ([RUNS], {}, "contradicted"),
        ([], NO_STATE, "contradicted"),
        ([{}], None, "contradicted"),  # it waits, or has ended
        ([{}], NO_STATE, "contradicted"),
        ([RUNS, {}], None, "contradicted"),
        ([None], None, "not shown"),
        ([None], NO_STATE, "not shown"),
        ([None, RUNS], None, "not shown"),
        ([None, {}], None, "contradicted"),
    ],
)
def test_a_worker_that_ray_serve_leaves_not_ready_counts_where_it_runs(
    seen: dict[str, Any], states: list[dict[str, Any] | None], cluster: dict[str, Any] | None, standing: str
) -> None:
    asleep(seen[RAY], *states)
    if cluster is not None:
        seen[RAY]["ray_cluster"]["answer"]["status"] = cluster
    assert standings(made(), seen)["reconciled"] == standing


def test_that_a_worker_runs_is_not_enough_where_ray_does_not_count_it(seen: dict[str, Any]) -> None:
    asleep(seen[RAY], RUNS)
    assert standings(made(INF_06=Status.DISABLED), seen)["reconciled"] == "not shown"
    assert assessed(made(INF_06=Status.FAILED), seen, PATHS)["product_status"] == "Not Implemented"


def test_what_was_not_recorded_of_a_worker_is_named(seen: dict[str, Any]) -> None:
    asleep(seen[RAY], None)
    document = assessed(made(), seen, PATHS)
    (said,) = (claim["seen"] for claim in document["claims"] if claim["id"] == "reconciled")
    assert "2 of 3 pods are ready" in said and "did not record" in said and "worker-txltn" in said
    assert document["product_status"] == ""


def test_a_head_that_is_not_ready_contradicts(seen: dict[str, Any]) -> None:
    asleep(seen[RAY], RUNS, kind="head")
    assert standings(made(), seen)["reconciled"] == "contradicted"


def test_a_pod_that_waits_for_a_node_contradicts(seen: dict[str, Any]) -> None:
    asleep(seen[RAY], None)
    pod = seen[RAY]["pods"]["answer"][0]
    pod["status"] = {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]}
    assert standings(made(), seen)["reconciled"] == "contradicted"


@pytest.mark.parametrize(
    ("before", "after", "standing"),
    [
        ([RUNS], [RUNS], "shown"),
        ([RUNS], [], "shown"),
        ([], [RUNS], "contradicted"),
        ([RUNS], [{}], "contradicted"),
        ([None], [None], "not shown"),
    ],
)
@pytest.mark.parametrize("kind", ["worker", "head"])
def test_no_more_workers_may_be_asleep_than_before(
    seen: dict[str, Any], kind: str, before: list[Any], after: list[Any], standing: str
) -> None:
    asleep(seen[BEFORE[kind]], *before)
    asleep(seen[AFTER[kind]], *after)
    assert standings(made(), seen)[f"{kind}_recreated"] == standing


WEBHOOK = {"kind": "validatingwebhookconfigurations", "configuration": "kuberay", "name": "vraycluster.kb.io"}


@pytest.mark.parametrize(
    ("valid", "wrong", "status"),
    [
        ({"let_in": True}, {"let_in": False, "said": 'admission webhook "v" denied the request: unique'}, "shown"),
        ({"let_in": True}, {"let_in": True}, "contradicted"),
        ({"let_in": False, "said": 'failed calling webhook "v"'}, {"let_in": False, "said": "failed"}, "contradicted"),
        ({"unknown": "not asked"}, {"unknown": "not asked"}, "not shown"),
    ],
)
def test_a_webhook_has_to_act(seen: dict[str, Any], valid: dict[str, Any], wrong: dict[str, Any], status: str) -> None:
    told = seen[OPERATOR]
    told["webhooks"]["answer"]["for_ray_clusters"] = [WEBHOOK]
    told["admission"] = [{"name": "valid", **valid}, {"name": "breaks-the-webhooks-rule", **wrong}]
    assert standings(made(), seen)["webhooks"] == status


def test_pods_are_shown_as_kubectl_prints_them(seen: dict[str, Any]) -> None:
    lines = table(seen[OPERATOR]["pods"]["answer"], OPERATOR_PODS).splitlines()
    assert lines[0].split() == ["NAME", "READY", "RESTARTS", "CREATED", "IMAGE"]
    assert lines[1].split()[1:3] == ["True", "0"]
    assert table([{}], OPERATOR_PODS).splitlines()[1].split() == ["<none>"] * 5


@pytest.fixture
def reports(tmp_path: Path, seen: dict[str, Any]) -> Path:
    """A report folder as a run leaves it."""
    folder = tmp_path / "reports"
    for name, document in seen.items():
        file = folder / "evidence" / PATHS[name]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(document), "utf-8")
    (folder / "conformance.json").write_text(json.dumps(made().to_json()), "utf-8")
    (folder / "junit.xml").write_text("<testsuites/>", "utf-8")
    return folder


def test_the_files_of_a_submission(reports: Path, tmp_path: Path) -> None:
    made_here = tmp_path / "out"
    assert command.main(["--reports", str(reports), "--cncf", str(made_here)]) == 0
    text = (made_here / "PRODUCT-robust_controller.yaml").read_text("utf-8")
    product = yaml.safe_load(text)
    (row,) = product["spec"]["operator"]
    assert list(row) == ["id", "level", "status", "evidence", "notes"], "the checklist's text stays the template's"
    assert "Keep the template's `description`" in text
    assert product["metadata"] == {"kubernetesVersion": "v1.34"}
    assert (row["id"], row["level"], row["status"]) == ("robust_controller", "MUST", "Implemented")
    assert "vLLM is a stub" in row["notes"]
    assert all((made_here / path).is_file() for path in row["evidence"])
    results = json.loads((made_here / "results.json").read_text("utf-8"))
    assert all((made_here / path).is_file() for claim in results["claims"] for path in claim["evidence"])
    assert (made_here / "junit.xml").read_bytes() == (reports / "junit.xml").read_bytes()
    log = (made_here / "e2e.log").read_text("utf-8")
    assert "INF-05" in log
    assert "robust_controller: shown" in log


def test_the_transcript_has_commands_outputs_and_what_they_bear_on(reports: Path, tmp_path: Path) -> None:
    command.main(["--reports", str(reports), "--cncf", str(tmp_path / "out")])
    text = (tmp_path / "out" / "robust-controller.md").read_text("utf-8")
    for expected in (
        "kubectl get crd rayclusters.ray.io -o jsonpath='{.status.conditions}'",
        '"type": "Established"',
        "kubectl create --dry-run=server -f breaks-the-schema.yaml",
        "kubectl -n ray delete pod ",
        "OWNER-UID",
        "for: webhooks",
        "evidence/INF-05/ray.json",
    ):
        assert expected in text
    assert "(this run recorded no answer)" not in text


def test_a_run_on_processes_is_refused_in_one_line(
    reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made()
    run.cluster.kind, run.cluster.versions = "embedded", {}
    (reports / "conformance.json").write_text(json.dumps(run.to_json()), "utf-8")
    assert command.main(["--reports", str(reports), "--cncf", str(tmp_path / "out")]) == 4
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "--cluster kind" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fault", ["same folder", "no junit", "damaged evidence", "a file in the way"])
def test_what_cannot_be_written_or_read_is_one_line(
    reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    target = tmp_path / "out"
    if fault == "same folder":
        target = reports
    if fault == "no junit":
        (reports / "junit.xml").unlink()
    if fault == "damaged evidence":
        (reports / "evidence" / "INF-05" / "ray.json").write_text("[", "utf-8")
    if fault == "a file in the way":
        target.write_text("")
    assert command.main(["--reports", str(reports), "--cncf", str(target)]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 1
