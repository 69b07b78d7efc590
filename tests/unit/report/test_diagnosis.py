"""Causes are found, ordered, and told from what follows from them."""

import pytest

from fixtures.checks import families
from fixtures.checks.catalogue import load_catalogue
from fixtures.checks.declaration import AREAS, MUST, SHOULD, Check, Level, Link
from fixtures.checks.remedy import shell, steps
from fixtures.clusters.base import Step
from fixtures.report.diagnosis import diagnose, unexplained
from fixtures.report.model import ClusterInfo, DependencyFact, Result, Run, Status
from fixtures.report.pages.status import markdown_page as render
from fixtures.report.pages.view import impact
from fixtures.report.texts import LANGUAGES, Texts, table

F, P, B, D = Status.FAILED, Status.PASSED, Status.BROKEN, Status.DISABLED


def result(check_id: str, status: Status, *follows: str, level: Level = MUST, detail: str = "") -> Result:
    check = Check(
        check_id, level, f"title of {check_id}", steps("do this"), follows=follows, impact="nothing gets through"
    )
    return Result(check, status, detail=detail, remedy=steps("do this"))


def run_of(*results: Result) -> Run:
    run = Run("2026-01-01T00:00:00Z", "0.1.0", "abc", "r", ClusterInfo("embedded", "embedded", "stub"))
    run.results = list(results)
    return run


def test_failures_follow_from_their_root_through_several_steps() -> None:
    run = run_of(result("DEP-04", F), result("JOB-01", F, "DEP-04"), result("ORC-04", F, "JOB-01"))
    causes = diagnose(run)
    assert [cause.id for cause in causes] == ["DEP-04"]
    assert [each.cause for each in run.results] == ["", "DEP-04", "DEP-04"]


def test_a_check_that_did_not_run_does_not_hide_the_cause() -> None:
    run = run_of(result("DEP-04", F), result("JOB-01", D, "DEP-04"), result("ORC-04", F, "JOB-01"))
    diagnose(run)
    assert run.results[2].cause == "DEP-04"


def test_a_check_that_passed_ends_the_path() -> None:
    run = run_of(result("DEP-04", F), result("JOB-01", P, "DEP-04"), result("ORC-04", F, "JOB-01"))
    assert [cause.id for cause in diagnose(run)] == ["DEP-04", "ORC-04"]


def test_must_comes_before_should_then_the_cause_with_most_consequences() -> None:
    run = run_of(
        result("DEP-09", F, level=SHOULD), result("INF-02", F), result("DEP-04", F), result("JOB-01", F, "DEP-04")
    )
    assert [cause.id for cause in diagnose(run)] == ["DEP-04", "INF-02", "DEP-09"]


def test_a_broken_check_can_follow_from_a_failed_one() -> None:
    run = run_of(result("INF-09", F), result("NET-05", B, "INF-09"), result("INF-01", B))
    diagnose(run)
    assert run.results[1].cause == "INF-09"
    assert [each.check.id for each in unexplained(run)] == ["INF-01"]


@pytest.mark.parametrize(
    ("consequence", "root"),
    [
        *((id, "ORC-01") for id in ("ORC-02", "ORC-03", "ORC-04", "ORC-08", "ORC-09", "ORC-16")),
        ("ORC-03", "INF-09"),
        *(("ORC-01", id) for id in ("INF-05", "INF-09")),
        *((id, "INF-08") for id in ("CFG-06", "DEP-01")),
        *(("INF-11", id) for id in ("INF-05", "INF-09", "INF-10")),
        *(("INF-08", id) for id in ("IMG-01", "IMG-02")),
    ],
)
def test_of_two_checks_that_fail_the_root_is_the_one_that_the_other_needs(consequence: str, root: str) -> None:
    run = run_of(*(Result(check, F if id in (consequence, root) else P) for id, check in load_catalogue().items()))
    assert [cause.id for cause in diagnose(run)] == [root]
    assert {result.check.id: result.cause for result in run.results if result.cause} == {consequence: root}


def row(module: str, detail: str) -> Result:
    return Result(families.row(load_catalogue()["DEP-11"], module), F, detail=detail)


MISSING = "pydantic >=2.5 is not usable on every worker: w-2: ModuleNotFoundError: No module named 'pydantic'"
BROKEN = "Pillow is not usable on every worker: w-2: ImportError: libjpeg.so.62: cannot open"


@pytest.mark.parametrize(
    ("detail", "cause"),
    [
        ("no agent actor started on w-2: w-2: No module named 'pydantic' (DEAD)", "DEP-11.pydantic"),
        ("run() raised ModuleNotFoundError: No module named 'pydantic.v1' on every worker (2)", "DEP-11.pydantic"),
        ("run() raised ImportError: libjpeg.so.62: cannot open on w-2, and nothing of it is on NATS", "DEP-11.PIL"),
        ("x:1 lacks: pydantic is 2.1.0, not >=2.5", "DEP-11.pydantic"),
        ("x:1 lacks: pydantic 2.9.0 is installed, but pydantic is imported from /job/pydantic.py", "DEP-11.pydantic"),
        ("nodes differ in {'pillow': {'w-1': '12.0', 'w-2': 'absent'}}", "DEP-11.PIL"),
        ("run() raised ModuleNotFoundError: No module named 'pydantic_settings' on w-2", ""),
        ("run() raised ValueError: pydantic is strict on w-2", ""),
        ("no agent actor started on w-2: w-2: no answer", ""),
    ],
)
def test_of_a_family_a_check_follows_the_row_whose_package_its_finding_names(detail: str, cause: str) -> None:
    """Two are missing; an agent dies on the one that it imports."""
    agent = result("JOB-02", F, "DEP-11", detail=detail)
    run = run_of(agent, row("pydantic", MISSING), row("PIL", BROKEN))
    diagnose(run)
    assert agent.cause == cause


def test_no_check_follows_a_row_that_passed() -> None:
    agent = result("JOB-02", F, "DEP-11", detail="w-2: No module named 'pydantic'")
    passed = row("pydantic", "")
    passed.status = P
    assert [cause.id for cause in diagnose(run_of(agent, passed))] == ["JOB-02"]


def test_what_agents_and_images_do_follows_the_rows() -> None:
    """Whatever fails on `import x` where x is one of the further packages says so in its declaration."""
    following = {check.id for check in load_catalogue().values() if "DEP-11" in check.follows}
    wanted = {"DEP-07", "DEP-08", "DEP-09", "IMG-04", "IMG-05", "JOB-02", "JOB-03", "JOB-04", "JOB-05", "JOB-14"}
    assert wanted <= following


def test_a_further_package_that_is_missing_is_named_with_its_workers_and_translated_impact() -> None:
    run = run_of(row("PIL", BROKEN))
    run.facts.dependencies = [
        DependencyFact("w-2", "Pillow", "", "", False),
        DependencyFact("w-2", "ray", "1", "1", True),
    ]
    (cause,) = diagnose(run)
    assert cause.missing == {"Pillow": ["w-2"]}
    assert impact(cause, Texts("es")) == table("es")["impact"]["DEP-11"]
    assert impact(cause, Texts("en")) == cause.result.check.impact


def test_a_ring_has_one_root() -> None:
    run = run_of(result("ORC-04", F, "E2E-01"), result("E2E-01", F, "ORC-04"))
    assert [cause.id for cause in diagnose(run)] == ["E2E-01"]
    assert run.results[0].cause == "E2E-01"


def test_the_missing_package_is_named_with_its_workers() -> None:
    run = run_of(result("DEP-04", F, detail="nats-py is not installed"))
    run.facts.dependencies = [
        DependencyFact(worker, package, "1", "" if package == "nats-py" else "1", package != "nats-py")
        for worker in ("w1", "w2")
        for package in ("ray", "nats-py")
    ]
    assert diagnose(run)[0].missing == {"nats-py": ["w1", "w2"]}


@pytest.mark.parametrize(
    ("check_id", "detail", "named"),
    [
        (
            "DEP-05",
            "nats.js:JetStreamContext is not there on every worker: ray-worker-1: No module named 'x'",
            "nats-py",
        ),
        ("DEP-06", "Python 3.11 is expected on every worker; seen: {'ray-worker-1': '3.9.2'}", ""),
        ("DEP-07", "a.b:Agent does not import everywhere: ray-worker-1: No module named 'nats'", "nats-py"),
        ("DEP-07", "a.b:Agent does not import everywhere: ray-worker-1: No module named 'a'", ""),
        ("DEP-09", "nodes differ in {'ray': {'ray-worker-1': '2.49.1', 'nats-worker': '2.49.2'}}", "ray"),
    ],
)
def test_a_worker_that_is_called_after_a_package_does_not_blame_it(check_id: str, detail: str, named: str) -> None:
    run = run_of(Result(load_catalogue()[check_id], F, detail=detail))
    run.facts.dependencies = [
        DependencyFact("ray-worker-1", package, "2", "1", False) for package in ("ray", "nats-py")
    ]
    assert list(diagnose(run)[0].missing) == ([named] if named else [])


def keys(node: object, path: str = "") -> dict[str, str]:
    if not isinstance(node, dict):
        return {path: str(node)}
    return {key: text for name, inner in node.items() for key, text in keys(inner, f"{path}.{name}").items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_everything(language: str) -> None:
    english, other = keys(table("en")), keys({name: part for name, part in table(language).items() if name != "impact"})
    assert set(other) == set(english)
    assert all(other.values()), "an empty text"
    for key, text in english.items():
        wanted = {part.partition("}")[0] for part in text.split("{")[1:]}
        assert {part.partition("}")[0] for part in other[key].split("{")[1:]} == wanted, key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_link_and_every_area_has_words(language: str) -> None:
    texts = Texts(language)
    for link in Link:
        assert texts(f"link.{link.value}")
    for area in AREAS:
        assert texts.first("area", area)


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_every_impact_is_translated_and_no_other(language: str) -> None:
    translated, declared = set(table(language)["impact"]), set(load_catalogue())
    missing, extra = sorted(declared - translated), sorted(translated - declared)
    assert not missing, f"add the impact of these to fixtures/report/texts/{language}.toml: {', '.join(missing)}"
    assert not extra, f"fixtures/report/texts/{language}.toml has the impact of what is no check: {', '.join(extra)}"


def test_english_has_the_impact_of_a_check_in_its_declaration_alone() -> None:
    assert "impact" not in table("en")


@pytest.mark.parametrize(("language", "words"), [("en", "not conformant"), ("es", "no conforme")])
def test_the_missing_nats_incident_opens_the_page(language: str, words: str) -> None:
    detail = "nats-py is not installed on w1, w2: expected 2.10.0"
    run = run_of(result("DEP-04", F, detail=detail), result("JOB-01", F, "DEP-04", detail="dies"), result("INF-01", P))
    run.facts.dependencies = [DependencyFact(worker, "nats-py", "2.10.0", "", False) for worker in ("w1", "w2")]
    run.results[0].remedy = steps(
        "Build the custom image and roll it out:", shell("docker build -t custom images"), shell("kubectl patch x")
    )
    run.timeline = [Step("NATS", 0.0, 0.2)]
    page = render(run, diagnose(run), language)
    opening = page[:1900]
    order = [
        words,
        "**stub**",
        "`nats-py`",
        "w1, w2",
        Texts(language).first("impact", "DEP-04") or run.results[0].check.impact,
        "```sh\ndocker build",
    ]
    positions = [opening.find(each) for each in order]
    assert -1 not in positions, f"not in the opening: {order[positions.index(-1)]}"
    assert positions == sorted(positions)
    assert "JOB-01" in opening


def test_what_operators_write_cannot_break_the_page() -> None:
    nasty = "a | b <script> *x* ```` [l](u)"
    run = run_of(result("INF-01", F, detail=nasty), result("INF-02", F, detail=f"{nasty}\nsecond line"))
    page = render(run, diagnose(run), "en")
    assert "\\<script\\>" in page
    assert "`````text" in page
    for line in page.splitlines():
        if line.startswith("| ❌ |"):
            assert line.replace("\\|", "").count("|") == 7, line
