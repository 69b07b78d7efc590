"""A system that fails everything and tells secrets while it does: nothing that the suite writes or prints holds one."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import suite_process
from tests.support.leaky_services import SHAPES, Indiscretion, forms, indiscreet
from tests.support.profiles import profile_text

RUN_S = 120.0  # 13 s seen
#: The suite's own, with signs that each kind of file escapes in its own way.
REGISTERED = {
    "NATS password (variable)": 'N4ts"pass<w&rd>+/é=1',
    "vLLM key (file)": 'Vllm"key<w&th>+/=%41',
    "Ray token (variable)": "Ray'token<w&th>+/=%42",
}
PIECE = 12  # characters of a secret that are one, too

SECTIONS = """
[nats.auth]
user = { env = "FLEET_TEST_USER" }
password = { env = "FLEET_TEST_PASSWORD" }
[vllm.auth]
api_key = { file = "api-key" }
[ray.auth]
token = { env = "FLEET_TEST_TOKEN" }
"""


@dataclass
class Ran:
    output: str
    reports: Path
    document: dict[str, Any]

    @property
    def files(self) -> dict[str, bytes]:
        """Everything that was written, and what stood on the terminal."""
        found = {
            str(path.relative_to(self.reports)): path.read_bytes() for path in self.reports.rglob("*") if path.is_file()
        }
        return {**found, "the terminal": self.output.encode()}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("indiscreet")
    password, key, token = REGISTERED.values()
    (folder / "api-key").write_text(key, "utf-8")
    with indiscreet(Indiscretion(REGISTERED.values())) as endpoints:
        parts = {part: {"url": url} for part, url in endpoints.items()}
        text = profile_text("embedded", **parts)
        (folder / "plain.toml").write_text(f"{text}\n{SECTIONS}\n", "utf-8")
        options = ("-rA", "--showlocals", "--cluster", "attach", "--allow-disruptive")
        given = {"FLEET_TEST_USER": "suite", "FLEET_TEST_PASSWORD": password, "FLEET_TEST_TOKEN": token}
        done = suite_process.run(
            *options,
            *("--profile", str(folder / "plain.toml")),
            reports=folder / "reports",
            environment=given,
            timeout=RUN_S,
        )
    yield Ran(done.output, done.reports, dict(done.report.document))


def test_every_kind_of_report_and_evidence_was_written(ran: Ran) -> None:
    """Else the search below would find nothing because there is nothing."""
    assert ran.document["verdict"] == "nonconformant", ran.output[-2000:]
    assert ran.document["summary"]["failed"] >= 8, ran.document["summary"]
    written = set(ran.files)
    assert {"status.md", "report.html", "conformance.json", "junit.xml", "ctrf.json", "metrics.prom"} <= written
    for part in ("allure-results/", "ray-actors.txt", "traceback.txt", "jetstream.json"):
        assert any(part in name for name in written), f"no {part} among {sorted(written)}"
    assert ran.output.count("[redacted]") > 20


def test_every_check_ends_with_a_reason(ran: Ran) -> None:
    """Such a system is hostile input, too: no check ends in an exception that nobody expected."""
    for row in ran.document["checks"]:
        assert row["status"] == "passed" or row["detail"].strip(), row
        assert "not expected at" not in row["detail"], row


@pytest.mark.parametrize("name", [*REGISTERED, *SHAPES])
def test_no_secret_is_in_any_of_it(ran: Ran, name: str) -> None:
    secret = REGISTERED.get(name) or SHAPES[name][1]
    inside = {base64.b64encode(b"x" * shift + secret.encode()).decode()[4 * bool(shift) : -4] for shift in range(3)}
    wanted = set(forms(secret)) | inside
    if name in REGISTERED:
        wanted |= {form[:PIECE] for form in forms(secret)} | {form[-PIECE:] for form in forms(secret)}
    found = sorted({f"{file}: {one}" for file, raw in ran.files.items() for one in wanted if one.encode() in raw})
    assert not found, f"{name} is shown:\n" + "\n".join(found[:20])
