"""What a user does wrong is one clear line and the right exit status, and nothing is started for it."""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path

import pytest

from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.families import in_run
from fixtures.core.paths import ROOT
from tests.support import suite_process
from tests.support.profiles import profile_text
from tests.support.suite_process import CI_E2E, SuiteRun

USAGE = 4
HANGS = 180  # seconds: it has hung; a run that writes reports took 37 s with five processes for each CPU


def run(*arguments: str, **environment: str) -> SuiteRun:
    """`pytest -m e2e` with these arguments, as a process of its own in the checkout."""
    return suite_process.run(*arguments, environment=environment)


def complaint(ran: SuiteRun) -> str:
    """The one line of an error; the last thing that is said."""
    lines = [line for line in ran.output.splitlines() if line.startswith("ERROR")]
    assert len(lines) == 1, ran.output
    assert "Traceback" not in ran.output
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--profile", "no-such"], ["no-such", "embedded", "swe-ai-fleet"]),
        (["--vllm", "gpu"], ["--vllm gpu", "auto, cpu, stub or a URL"]),
        (["--vllm", "http://host:port"], ["--vllm http://host:port", "URL"]),
        (["--ray-image", "no/such:image"], ["no/such:image", "custom", "stock"]),
        (["--ray-version", "2.48.0"], ["--ray-version 2.48.0", "2.49.2, 2.52.1, 2.55.1, 2.60.0"]),
        (["--cluster", "attach", "--ray-version", "2.60.0"], ["--ray-version is for --cluster embedded and kind"]),
        (["--ray-auth", "token"], ["--ray-auth token", "Ray 2.49.2 has no tokens", "--ray-version"]),
        (["--cluster", "kind", "--ray-auth", "token"], ["--ray-auth token", "Ray 2.49.2 has no tokens"]),
        (["--cluster", "attach", "--ray-auth", "token"], ["--ray-auth is for --cluster embedded and kind, not for"]),
        (["--cluster", "kind", "--kuberay-version", "1.4.0"], ["--kuberay-version 1.4.0", "allowed are 1.6.2, 1.5.1"]),
        (["--kuberay-version", "1.5.1"], ["--kuberay-version is for --cluster kind, not for embedded"]),
        (["--port-base", "80"], ["80", "between 1024"]),
        (["--cluster", "kind", "--cluster-name", "No_Name"], ["--cluster-name No_Name", "small letters"]),
        (["--cluster", "attach", "--vllm", "stub"], ["--vllm is for --cluster embedded and kind, not for attach"]),
        (["--cluster", "attach", "--kubeconfig", "no/such/file"], ["no/such/file"]),
        (
            ["--cluster", "embedded", "--kube-context", "prod"],
            ["--kube-context is for --cluster attach, not for embedded"],
        ),
        (["--soak-minutes", "2"], ["--soak-minutes is for the checks under load: -m load"]),
        (["--baseline", "no/such.json"], ["--baseline no/such.json", "No such file"]),
        (["--baseline", "pyproject.toml"], ["--baseline pyproject.toml", "is not JSON"]),
        (["--baseline", "docs"], ["--baseline docs", "no conformance.json or bench.json"]),
        (["--list-checks", "--profile", "no-such"], ["no-such", "embedded", "swe-ai-fleet"]),
        (["--upgrade-profile", "no-such"], ["no-such", "embedded", "swe-ai-fleet"]),
        (["--explain", "DEP-44"], ["DEP-44", "did you mean DEP-04", "--list-checks"]),
    ],
)
def test_a_wrong_value_is_one_line(arguments: list[str], words: list[str]) -> None:
    ran = run(*arguments)
    said = complaint(ran)
    assert ran.returncode == USAGE
    assert said.startswith("ERROR: ")
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("arguments", "load"),
    [([], 0), (["-m", ""], 0), (["-m", "not disruptive"], 0), (["-m", "load"], 6), (["-m", "e2e or load"], 6)],
)
def test_what_is_run_on_request_is_run_where_it_is_asked_for(arguments: list[str], load: int) -> None:
    ran = run("--collect-only", "-q", *arguments)
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.count("test_load.py::") == load


def test_an_unknown_option_is_refused_by_pytest_itself() -> None:
    ran = run("--clutser", "embedded")
    assert ran.returncode == USAGE
    assert "unrecognized arguments: --clutser" in ran.stderr


def test_a_mistake_in_a_profile_names_file_key_and_what_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    text = (ROOT / "fixtures/profile/shipped/embedded.toml").read_text(encoding="utf-8")
    file.write_text(text.replace("workers = 2", "wrokers = 2"), encoding="utf-8")
    ran = run("--profile", str(file))
    said = complaint(ran)
    assert ran.returncode == USAGE
    assert all(word in said for word in (str(file), "ray.groups.0.w", "mine.toml"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import no_such_module", "line 1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def test_other(): ...", "declares no check; @check(…) above a test makes it one"),
    ],
)
def test_a_mistake_in_own_checks_is_one_line_and_no_report_is_replaced(text: str, words: str, tmp_path: Path) -> None:
    folder, reports = tmp_path / "acme", tmp_path / "reports"
    folder.mkdir()
    (folder / "test_acme.py").write_text(text)
    ran = suite_process.run("--checks", str(folder), "-k", "ACME", reports=reports)
    assert ran.returncode == USAGE and complaint(ran).endswith(words), ran.output
    assert complaint(ran).startswith(f"ERROR: {folder}/test_acme.py") and not reports.exists()


def test_own_checks_that_failed_are_run_again_beside_others(tmp_path: Path) -> None:
    """--lf, wherever their folder is."""
    folder, failed = tmp_path / "acme", tmp_path / "cache" / "v" / "cache" / "lastfailed"
    folder.mkdir()
    head = "from fleet_conformance import MUST, area, check\narea('ACME', 'Rules of Acme')\n"
    checks = (f"@check('ACME-0{n}', MUST, 't', remedy='r')\ndef test_{n}():\n    'm'\n" for n in (1, 2))
    (folder / "test_acme.py").write_text(head + "".join(checks))
    failed.parent.mkdir(parents=True)
    failed.write_text(
        json.dumps({"test_acme.py::test_2": True, "tests/e2e/test_connectivity.py::test_workers_reach_vllm": True})
    )
    command = [word for word in suite_process.PYTEST if word != "no:cacheprovider"]
    command.remove("-p")
    options = ("-o", f"cache_dir={tmp_path / 'cache'}", "--lf", "--collect-only", "-q", "--checks", str(folder))
    ran = suite_process.run(*options, command=command)
    listed = [line for line in ran.stdout.splitlines() if "::" in line]
    assert listed == ["tests/e2e/test_connectivity.py::test_workers_reach_vllm", "test_acme.py::test_2"], ran.output


def test_a_level_of_no_check_is_one_line_and_no_report_is_replaced(tmp_path: Path) -> None:
    profile, reports = tmp_path / "mine.toml", tmp_path / "reports"
    profile.write_text(profile_text("embedded", levels={"NET-99": "MUST"}))
    ran = suite_process.run("--profile", str(profile), "-k", "NET", reports=reports)
    assert ran.returncode == USAGE and "levels.NET-99 of the profile: no check has this id" in complaint(ran)
    assert not reports.exists()


def test_a_mistake_in_known_failures_is_one_line_and_no_report_is_replaced(tmp_path: Path) -> None:
    known, reports = tmp_path / "known.toml", tmp_path / "reports"
    known.write_text(
        '[[known]]\ncheck = "DEP-44"\ncause = ["no such module"]\nreason = "r"\nowner = "o"\nuntil = 2026-01-01\n'
    )
    ran = suite_process.run("--known", str(known), "-k", "DEP", reports=reports)
    assert ran.returncode == 4 and not (reports / "conformance.json").exists(), ran.output
    text = f"ERROR: {known}, line 1: known failure of DEP-44: no check is called DEP-44; did you mean DEP-04?"
    assert ran.output.strip() == text
    alone = suite_process.run("--known-strict", "-k", "DEP", reports=reports)
    assert alone.returncode == 4 and "--known-strict is about the entries of a file: --known FILE" in alone.output


@pytest.mark.parametrize(
    ("named", "words"),
    [(".", "--metrics: . is a folder; name a file in it, e.g. ./fleet.prom"), ("ftp://u:hunter2@x", "ftp:// leads to")],
)
def test_what_cannot_take_metrics_is_one_line_before_anything_is_started(
    tmp_path: Path, named: str, words: str
) -> None:
    ran = suite_process.run("--metrics", named, "-k", "DEP", reports=tmp_path / "reports")
    assert ran.returncode == USAGE and words in complaint(ran) and "hunter2" not in ran.output
    assert not (tmp_path / "reports").exists()


def test_a_fleet_that_is_attached_to_and_wants_a_token_needs_the_suites(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    text = (ROOT / "fixtures/profile/shipped/swe-ai-fleet.toml").read_text(encoding="utf-8")
    file.write_text(f'{text}\n[ray.auth]\nmode = "token"\n', encoding="utf-8")
    ran = run("--cluster", "attach", "--profile", str(file))
    assert ran.returncode == USAGE
    assert "ray.auth.token: is missing" in complaint(ran)


@pytest.fixture
def aiohttp_alone(tmp_path: Path) -> Path:
    """The embedded profile, but for its packages: it names aiohttp and no other."""
    file = tmp_path / "aiohttp-alone.toml"
    lines = (ROOT / "fixtures/profile/shipped/embedded.toml").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith('    "r') and "{ module =" not in line]
    file.write_text("".join(kept), encoding="utf-8")
    return file


def test_a_check_about_a_package_that_the_profile_does_not_name_does_not_apply(
    aiohttp_alone: Path, tmp_path: Path
) -> None:
    """Such a check ends before anything is started for it, and says why it does not apply."""
    asked = {
        "DEP-01": "ray",
        "DEP-02": "requests",
        "DEP-04": "nats",
        "DEP-05": "nats",
        "IMG-06": "nats",
        "IMG-07": "nats",
        "JOB-01": "nats",
        "JOB-13": "nats",
    }
    reports = tmp_path / "reports"
    words = ("-k", " or ".join(asked), "--profile", str(aiohttp_alone), "--vllm", "stub", "--report-dir", str(reports))
    ran = run(*words)
    assert ran.returncode == 1, "a run in which no check could be made is inconclusive"
    assert "boot:" not in ran.stdout
    rows = {row["id"]: row for row in json.loads((reports / "conformance.json").read_text(encoding="utf-8"))["checks"]}
    for id, module in asked.items():
        row = rows[id]
        assert (row["status"], row["detail"]) == (
            "not_applicable",
            f"the profile names no {module} (agent.dependencies)",
        )
    assert rows["NET-07"]["status"] == "not_applicable", "it was not selected, and would not apply if it were"
    assert rows["DEP-03"]["status"] == "disabled", "the profile names aiohttp: its check is only not selected"


@pytest.mark.parametrize("arguments", [("--explain", "DEP-02"), ("--explain", "IMG-06"), ("--list-checks",)])
def test_the_catalogue_is_shown_with_a_profile_that_names_few_packages(
    aiohttp_alone: Path, arguments: tuple[str, ...]
) -> None:
    ran = run(*arguments, "--profile", str(aiohttp_alone))
    assert ran.returncode == 0, ran.stderr
    if arguments[0] == "--explain":
        assert "among the profile's agent.dependencies" in ran.stdout
    else:
        shown = " ".join(ran.stdout.split())
        assert "does not apply: the profile names no requests (agent.dependencies)" in shown
        assert "does not apply: embedded runs processes" in shown and " checks apply to embedded." in shown


@pytest.fixture
def further_packages(tmp_path: Path) -> Path:
    """The embedded profile with two more packages, one of another name than its module."""
    file = tmp_path / "further.toml"
    text = (ROOT / "fixtures/profile/shipped/embedded.toml").read_text(encoding="utf-8")
    further = 'dependencies = [\n    "pydantic>=2.5,<3",\n    { module = "yaml", requirement = "PyYAML" },\n'
    file.write_text(text.replace("dependencies = [\n", further, 1), encoding="utf-8")
    return file


def test_each_further_package_of_a_profile_is_a_check(further_packages: Path) -> None:
    profile = ("--profile", str(further_packages))
    listed, explained = run("--list-checks", *profile), run("--explain", "dep-11.pydantic", *profile)
    assert listed.returncode == explained.returncode == 0, listed.output + explained.output
    assert f"of {len(in_run(load_catalogue(), ('pydantic', 'yaml')))} checks" in listed.stdout
    assert re.search(r"DEP-11\.yaml +MUST +-- +yaml imports on every worker", listed.stdout)
    assert "`import pydantic` succeeds" in explained.stdout and "docker build" in explained.stdout
    collected = run("--collect-only", "-q", "-k", "DEP-11.yaml or DEP-04", *profile)
    nodes = [line for line in collected.stdout.splitlines() if "::" in line]
    assert [node.partition("::")[2] for node in nodes] == ["test_package[DEP-04]", "test_further_package[DEP-11.yaml]"]


def test_a_profile_without_further_packages_has_no_such_check() -> None:
    collected = run("--collect-only", "-q", "-k", "DEP")
    nodes = [line for line in collected.stdout.splitlines() if "::" in line]
    checks = [check for check in load_catalogue().values() if check.id.startswith("DEP-") and not check.is_family]
    assert len(nodes) == len(checks) and not any("further" in node for node in nodes), collected.stdout
    unknown = run("--explain", "DEP-11.yaml")
    assert unknown.returncode == USAGE and "DEP-11" in complaint(unknown)


def test_a_row_that_is_not_selected_is_in_every_report_too(aiohttp_alone: Path, tmp_path: Path) -> None:
    """The only check that was selected does not apply: nothing is started for it."""
    text = aiohttp_alone.read_text(encoding="utf-8")
    aiohttp_alone.write_text(text.replace("dependencies = [\n", 'dependencies = [\n    "pydantic>=2.5",\n'), "utf-8")
    reports = tmp_path / "reports"
    words = ("-k", "DEP-01", "--profile", str(aiohttp_alone), "--vllm", "stub", "--report-dir", str(reports))
    ran = run(*words)
    assert ran.returncode == 1 and "boot:" not in ran.stdout, ran.output
    rows = {row["id"]: row for row in json.loads((reports / "conformance.json").read_text(encoding="utf-8"))["checks"]}
    assert rows["DEP-11.pydantic"]["status"] == "disabled" and rows["DEP-11.pydantic"]["level"] == "MUST"
    assert "DEP-11" not in rows, "the family itself is no check of a run"
    title = "DEP-11.pydantic pydantic imports on every worker"
    assert title in (reports / "junit.xml").read_text(encoding="utf-8")
    assert any(title in file.read_text("utf-8") for file in (reports / "allure-results").glob("*-result.json"))
    assert "DEP-11.pydantic" in (reports / "status.md").read_text(encoding="utf-8")


def test_a_part_that_dies_while_booting_says_why_in_every_report(tmp_path: Path) -> None:
    """The interpreter of this Ray image dies as a real one does: with a traceback, of which the end says why."""
    image, reports = tmp_path / "image", tmp_path / "reports"
    (image / "bin").mkdir(parents=True)
    (image / "lib" / "python3.11" / "site-packages" / "ray-2.49.2.dist-info").mkdir(parents=True)
    interpreter = image / "bin" / "python"
    interpreter.write_text(
        f"#!{sys.executable}\nprint('noise\\n' * 300)\npassword = 'password=hunter2-hunter2'\n"
        "raise RuntimeError('\\x1b[31mthis Ray is not 2.49\\x1b[0m, ' + password)\n"
    )
    interpreter.chmod(0o755)
    words = ("-k", "INF-02", "--ray-image", str(image), "--vllm", "stub", "--report-dir", str(reports))
    ran = run(*words)
    assert ran.returncode == 1, ran.stdout
    why = "ray-head: has ended with status 1; its log ends with: RuntimeError: this Ray is not 2.49, password="
    aborted = json.loads((reports / "conformance.json").read_text(encoding="utf-8"))["aborted"].splitlines()
    assert aborted[0].startswith(f"the cluster did not come up: {why}")
    assert aborted[1] == "--- last lines of its log ---"
    assert "Traceback (most recent call last):" in aborted
    assert aborted[-1] == "Its end is kept as evidence of the check that needed it; --keep-run-dir keeps the whole log"
    assert len(aborted) <= 15
    written = {name: (reports / name).read_text(encoding="utf-8") for name in ("status.md", "status.html", "junit.xml")}
    written["evidence"] = (reports / "evidence" / "INF-02" / "ray-head.log").read_text(encoding="utf-8")
    written["screen"] = " ".join(ran.stdout.split())
    for name, text in written.items():
        assert "this Ray is not 2.49" in text, name
        assert "hunter2" not in text, name
    assert "\x1b" not in written["status.md"] + written["screen"]
    assert "Traceback" in written["status.md"]


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = run("--port-base", str(port), "--vllm", "stub", "-k", "INF-02", "--report-dir", str(tmp_path / "reports"))
    assert ran.returncode == USAGE
    assert f"port {port} is taken" in complaint(ran)
    assert "boot:" not in ran.stdout


def test_a_missing_cpu_feature_is_named(tmp_path: Path) -> None:
    """Python 3.11 is what the lock of the real server is for; elsewhere that is the obstacle that is named."""
    program = (
        "import sys, pytest; from pathlib import Path\n"
        "from fixtures.clusters import vllm_choice\n"
        "vllm_choice.cpu_flags = lambda *_: frozenset({'sse2'})\n"
        "sys.exit(pytest.main(['-m', 'e2e', 'tests/e2e', '--vllm', 'cpu', '-p', 'no:cacheprovider']))\n"
    )
    ran = suite_process.run(command=(sys.executable, "-c", program))
    assert ran.returncode == USAGE
    said = complaint(ran)
    assert "--vllm cpu" in said
    assert "--vllm stub" in said
    assert "lacks" in said or "Python" in said


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"FLEET_PYTHON": "no-such-python"}, ["needs Python 3.11 to 3.13", "python3-venv"]),
        ({"FLEET_CACHE": "/proc/nowhere"}, ["cannot create the cache folder /proc/nowhere"]),
        ({"FLEET_CACHE": "/proc"}, ["cannot write to the cache folder /proc"]),
    ],
)
def test_a_machine_that_does_not_allow_it_is_told_so(environment: dict[str, str], words: list[str]) -> None:
    ran = suite_process.run("--list-checks", command=CI_E2E, environment=environment)
    assert ran.returncode == USAGE
    assert all(word in ran.stderr for word in words), ran.stderr
    assert "Traceback" not in ran.stderr


def test_without_a_package_index_the_suite_says_so(tmp_path: Path) -> None:
    nowhere = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
    }
    ran = suite_process.run(
        "--list-checks", command=CI_E2E, environment={**nowhere, "FLEET_CACHE": str(tmp_path)}, timeout=120
    )
    assert ran.returncode == USAGE
    assert "is the package index reachable" in ran.stderr
    assert not list(tmp_path.glob("suite-*/complete"))


def test_the_catalogue_and_its_explanations_need_no_cluster() -> None:
    listed, explained = run("--list-checks"), run("--explain", "DEP-04")
    assert listed.returncode == explained.returncode == 0
    assert f"of {len(in_run(load_catalogue(), ()))} checks" in listed.stdout
    assert "nats-py" in explained.stdout or "import nats" in explained.stdout
    assert "docker build" in explained.stdout
    assert not re.search(r"\{[a-z_]+\}", explained.stdout), "a placeholder was left in the remedy"
