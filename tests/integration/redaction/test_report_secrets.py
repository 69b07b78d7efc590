"""The recorder in a real pytest: no report and no line on the terminal shows a secret."""

from pathlib import Path

from tests.support.suite_project import Project

SECRET = "hunter2secret"

LEAKY = f"""
import logging, allure

@pytest.fixture
def leaky():
    raise ConnectionError("nats://user:{SECRET}@nats:4222 refused")

@check("INF-01", MUST, "leaks everywhere", remedy="nats://user:{SECRET}@nats", follows=())
def test_leaks(evidence, recorder, record_property):
    recorder.redactor.add("registered-{SECRET}")
    record_property("note", "NATS_TOKEN={SECRET}")
    print("password={SECRET}")
    logging.getLogger("x").warning("Authorization: Bearer {SECRET}")
    evidence.attach("request.json", {{"headers": {{"Authorization": "Bearer {SECRET}"}}, "url": "http://u:{SECRET}@h"}})
    evidence.attach("raw", b"api_key={SECRET}")
    allure.attach("registered-{SECRET}", name="direct", attachment_type=allure.attachment_type.TEXT)
    with allure.step("ask with token={SECRET}"):
        pass
    recorder.run.cluster.notes.append("nats://{SECRET}@nats")
    recorder.run.facts.measurements["p50"] = 1.0
    token = "registered-{SECRET}"
    key = '''-----BEGIN PRIVATE KEY-----
{SECRET}
-----END PRIVATE KEY-----'''
    assert not key, f"answer was {{key}} and {{token}}"

@check("INF-02", MUST, "leaks in its setup", remedy="x")
def test_setup(leaky): ...

@check("INF-03", MUST, "leaks in a skip", remedy="x")
def test_skip(): skip_disabled("no access with password={SECRET}")

@check("INF-04", MUST, "leaks its arguments", remedy="x")
@pytest.mark.parametrize("unused", [1])
def test_argument(unused):
    def connect(password):
        raise ConnectionError("refused")
    connect("-".join(["hunter2", "secret"]).replace("-", ""))
"""


def test_no_report_and_no_terminal_shows_a_secret(tmp_path: Path) -> None:
    project = Project(tmp_path)
    done = project.write(leaky=LEAKY).run("-m", "e2e", "-l", "--tb=long")
    assert project.statuses == {"INF-01": "failed", "INF-02": "broken", "INF-03": "disabled", "INF-04": "broken"}
    files = [path for path in project.reports.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), f"{path.relative_to(project.path)} shows the secret"
    lines = [line for line in done.stdout.splitlines() if SECRET in line]
    assert not lines, f"the terminal shows the secret: {lines}"
