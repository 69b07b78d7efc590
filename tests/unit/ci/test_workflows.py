"""What keeps changes good runs the commands of ./ci/test, on every supported Python,
with pinned actions and few rights.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.core.paths import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
STAGES = set(re.findall(r"^stage_([\w-]+)\(\)", (ROOT / "ci" / "test").read_text(), re.MULTILINE))


def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


def stages_of(path: Path) -> set[str]:
    """The stages of ./ci/test that a workflow runs."""
    lines = [line for step in steps(path) for line in step.get("run", "").splitlines()]
    return {stage for line in lines if line.startswith("./ci/test ") for stage in line.split()[1:]}


def supported_pythons() -> list[str]:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    found = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", stated)
    assert found, stated
    return [f"3.{minor}" for minor in range(int(found[1]), int(found[2]))]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_with_their_version(path: Path) -> None:
    used = [line for line in path.read_text().splitlines() if re.search(r"\buses:", line)]
    assert used
    wrong = [line.strip() for line in used if not re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)]
    assert not wrong, f"pin each by the commit of its release, and name the release: {wrong}"


def test_one_action_has_one_version() -> None:
    """`actions/cache/save` and `actions/cache/restore` are parts of one action."""
    versions: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for step in steps(path):
            if "uses" in step:
                name, _, commit = step["uses"].partition("@")
                versions.setdefault("/".join(name.split("/")[:2]), set()).add(commit)
    assert not {name: commits for name, commits in versions.items() if len(commits) > 1}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_may_only_read(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert not [name for name, job in workflow["jobs"].items() if "permissions" in job]
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts and all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_a_pull_request_gets_no_secret() -> None:
    text = (ROOT / ".github" / "workflows" / "pull-request.yml").read_text()
    assert "secrets." not in text and "pull_request_target" not in text


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_stages_that_exist(path: Path) -> None:
    assert stages_of(path) <= STAGES


def test_a_pull_request_runs_what_a_developer_runs() -> None:
    path = ROOT / ".github" / "workflows" / "pull-request.yml"
    assert stages_of(path) == {"lint", "types", "unit", "integration", "package", "kubernetes"}
    assert any("./ci/e2e " in step.get("run", "") for step in steps(path)), "the checklist itself"


def test_unit_tests_run_on_every_supported_python() -> None:
    jobs = load(ROOT / ".github" / "workflows" / "pull-request.yml")["jobs"]
    assert jobs["unit"]["strategy"]["matrix"]["python"] == supported_pythons()


def test_the_hooks_run_the_stages_of_ci_test_and_download_nothing() -> None:
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    hooks = {hook["id"]: hook for hook in repository["hooks"]}
    assert set(hooks) == {"lint", "types"} <= STAGES
    for name, hook in hooks.items():
        assert hook["entry"] == f"./ci/test {name}"
        assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == ("system", False, True)
    assert hooks["lint"]["stages"] == ["pre-commit"]


def test_every_place_states_the_same_pythons() -> None:
    first, last = supported_pythons()[0], supported_pythons()[-1]
    minors = [int(version.split(".")[1]) for version in (first, last)]
    setup = (ROOT / "ci" / "setup.sh").read_text()
    assert f"needs Python {first} to {last}" in setup
    assert f"(3, {minors[0]}) <= sys.version_info < (3, {minors[1] + 1})" in setup
    assert f"candidates=(python3 {' '.join(f'python{version}' for version in reversed(supported_pythons()))})" in setup
    assert f"Python {first} to {last}" in (ROOT / "images" / "runner" / "Dockerfile").read_text()
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    assert ruff["target-version"] == f"py{first.replace('.', '')}"


def test_what_runs_on_workers_is_held_to_their_python() -> None:
    """ruff reports syntax that is newer than the version named for a path."""
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["per-file-target-version"]
    assert {targets["fixtures/probes/payload/**"], targets["images/ray/**"]} == {"py39"}
    assert all(list(ROOT.glob(pattern)) for pattern in targets), "a path that no longer exists"


def test_locks_name_no_package_index() -> None:
    for lock in [*ROOT.glob("ci/locks/*.lock"), *ROOT.glob("images/**/*.lock")]:
        assert not re.search(r"://|--index|--find-links", lock.read_text()), lock
