"""Names in the code are standard terms of the field: the project's former private words do not come back.

docs/glossary.md explains the terms that are the project's own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.core.paths import ROOT
from tests.support.source import syntax_tree_of

FOLDERS = ("fixtures", "tests", "ci", "images")

#: (folder, pattern that matches a whole name, what to use instead).
#: Names are those of modules (with `.py`), classes, functions, parameters, keywords, attributes and variables.
BANNED = (
    ("", "CannotTell", "Inconclusive"),
    ("", "Nonconformant", "NonConformance"),
    ("", "UsageProblem|BootFailure|ApiProblem|Absent", "UsageError, StartupError, ApiError, NotFound"),
    ("", "Shape|Misshapen|parsed_object", "JsonModel, InvalidDocument, parse_json_object"),
    ("", "Unreadable|text_of", "FileUnreadable, read_text_limited"),
    ("", r"ways\.py|Way|troubles|way_tried", "PortForwards, connection_failures, recent_failure_window"),
    ("", "Access|Found", "Credentials, PortForwards, ApiCredentials; FleetLookup"),
    ("", r"slots\.py|Slots?", "replica_endpoints, ReplicaEndpoints"),
    ("fixtures/clusters", "Changes|undo|carry|converse", "Disruption, restore, pump, run_session"),
    ("fixtures/clusters/kubernetes", "_asked|_up|_able", "_lookup, _disruption"),
    (
        "",
        "to_service|behind_service|ray_complaint",
        "service_address, ready_endpoint_count, raycluster_not_ready_reason",
    ),
    ("", "refuse_strangers|held_against", "reject_foreign_options, profile"),
    ("", "last_words|all_asked|left_behind|LeftFact", "failure_logs, all_requests_held, residual_state, ResidualItem"),
    ("", r"(downtime|leftovers|remains)\.py", "outages, residue, leaks"),
    ("", "Told|heard|sealed?|unsealed", "ProbeSection, raise_if_unauthorized, put_secret"),
    ("", r"(remote_code|sealed|agent_runs|round_trips)\.py", "packaging, driver, agent_jobs, deliberations"),
    ("", "found_out|census_or_why_not|on_stock_image", "observing, census_result, stock_image_run"),
    ("", "somewhere_to_roll_out_from|starts_elsewhere", "rollout_source_image, requires_custom_image"),
    ("", "RoundTrip|put_on|at_once|AT_ONCE", "DeliberationRun, run_load, concurrency, immediately"),
    ("", "Disrupts|on_request", "Disruption, opt_in"),
    ("fixtures/checks", "late|turn|rank", "run_last, execution_key, display_key"),
    ("", "stays|_stays|parting_words", "persistent, keep_instructions"),
    ("", "Night|news|NotDone|Finished", "PastRun, diff_outcomes, ExportFailed, CompletedRun"),
    ("fixtures/report", "act|ended_badly|Screen|untold", "execute, failure_lines, LiveTerminal, inconclusive"),
    ("fixtures/clusters", "Part|Members?|Launch", "SupervisedProcess, LocalReplica, ReplicaFactory, LaunchSpec"),
    ("fixtures/clusters", "hopeless|HOPELESS|Wanted|Claim", "is_unrecoverable, ReadinessGoal, ClusterLock"),
    ("", "LARGEST|LONGEST|MOST|ENOUGH|SPREADS|ROOM", "MAX_… or MIN_… with the unit, NOISE_SIGMAS"),
    ("", "MEANT|COUNTED", "INTENTIONAL_EXITS, STDIN_WRAPPER"),
    ("", r"(ends|moments|place|lab)\.py", "interruption, signal_points, target, embedded_target"),
    ("", r"(means|trial|neighbours)\.py", "injectors, experiment, decoy_servers"),
    *(
        (f"tests/{room}", words, instead)
        for room in ("targets", "faults", "variants")
        for words, instead in (
            ("place|[Ll]ab|KubernetesLab|Place", "target, EmbeddedTarget, KubernetesTarget, Target"),
            ("says|breaks|may_break|also", "description, expected_failures, tolerated_failures, must_pass"),
            ("mended|unsaid|Borrowed|Given|Said", "recovered, missing_terms, SharedClusterView, …"),
        )
    ),
    ("tests/support", "Before|left", "HostSnapshot, leaks"),
    ("", "some", "st, for hypothesis' strategies"),
    ("", ".*founding.*|FOUNDING", "the missing-nats-py incident"),
)

#: Where one of these words is meant as what it says.
ALLOWED = (
    ("tests/e2e/test_load.py", "some"),
    ("fixtures/report/export/webhook_document.py", "untold"),  # a key that is published
)

#: What a local variable or a parameter must not be called: none says what it holds.
VAGUE_LOCALS = ("found", "one", "said", "told", "each")


def names_in(path: Path) -> Iterator[tuple[int, str]]:
    """(line, name) of everything that a Python file names; first its own name, with `.py`."""
    yield 0, path.name
    for node in ast.walk(syntax_tree_of(path)):
        match node:
            case (
                ast.Name(id=name)
                | ast.Attribute(attr=name)
                | ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
            ):
                yield node.lineno, name
            case ast.ClassDef(name=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.keyword(arg=str(name)):
                yield node.lineno, name
            case ast.alias(name=name, asname=asname):
                yield node.lineno, (asname or name).rpartition(".")[2]


def files() -> list[Path]:
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(found) > 300
    return [path for path in found if not path.name.endswith("_pb2.py")]


def offences(path: Path) -> Iterator[str]:
    where = path.relative_to(ROOT).as_posix()
    patterns = [(re.compile(words), instead) for folder, words, instead in BANNED if where.startswith(folder)]
    allowed = {name for folder, name in ALLOWED if where.startswith(folder)}
    for line, name in names_in(path):
        for pattern, instead in patterns:
            if name not in allowed and pattern.fullmatch(name):
                yield f"{where}:{line}: {name}; use {instead}"


def vague_locals(path: Path) -> Iterator[tuple[int, str]]:
    """(line, name) of each vague name that is assigned, or taken as a parameter; fields of a class are no locals."""
    tree = syntax_tree_of(path)
    fields = {
        statement.target
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) if name in VAGUE_LOCALS and node not in fields:
                yield node.lineno, name


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_former_private_word_is_a_name(folder: str) -> None:
    assert [line for path in files() if path.is_relative_to(ROOT / folder) for line in offences(path)] == []


def test_a_former_word_is_found_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("import x as RoundTrip\n\ndef f(at_once): ...\nf(news=1)\n", encoding="utf-8")
    assert {(1, "RoundTrip"), (3, "at_once"), (4, "news")} <= set(names_in(file))


def test_locals_say_what_they_hold() -> None:
    product = [(path, path.relative_to(ROOT).as_posix()) for path in files() if path.is_relative_to(ROOT / "fixtures")]
    vague = [f"{where}:{line}: {name}" for path, where in product for line, name in vague_locals(path)]
    assert vague == []


def test_a_vague_local_is_found_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "class A:\n    found: int = 0\n\ndef f(told): ...\nfor one in ():\n    print(one)\n", encoding="utf-8"
    )
    assert sorted(vague_locals(file)) == [(4, "told"), (5, "one")]
