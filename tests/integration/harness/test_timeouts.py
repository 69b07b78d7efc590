"""Sessions of the suite in one process: each waits as long as its own profile says, or as ci/faults makes it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from fixtures.core.paths import ROOT
from fixtures.core.timeouts import Timeouts
from fixtures.profile import model as profiles
from tests.targets.target import SHORT

PROGRAM = """
import json, sys, pytest
from fixtures.core.timeouts import TIMEOUTS
from tests.targets.target import SessionProfile

class Look:
    def pytest_collection_finish(self, session):
        limits = sorted({mark.args[0] for item in session.items for mark in item.iter_markers("timeout")})
        seen.append([TIMEOUTS.deliberation, limits])

seen = []
e2e, reports, *profiles = sys.argv[1:]
for profile in profiles:
    profile, _, short = profile.partition(",")
    plugins = [Look(), SessionProfile()] if short else [Look()]
    quiet = ["--collect-only", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    quiet += ["--report-dir", reports]
    status = pytest.main([e2e, "-m", "e2e", "-k", "INF-01", "--profile", profile, *quiet], plugins)
    assert status == 0, status
    seen.append(TIMEOUTS.deliberation)
print("SEEN", json.dumps(seen))
"""


def test_sessions_in_one_process_do_not_share_timeouts(tmp_path: Path) -> None:
    slow = tmp_path / "slow.toml"
    text = (profiles.PROFILES / "embedded.toml").read_text("utf-8")
    slow.write_text(f"{text}\n[timeouts]\ndeliberation = 300\n", "utf-8")
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            PROGRAM,
            "tests/e2e",
            str(tmp_path / "reports"),
            str(slow),
            "embedded",
            "embedded,short",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    seen = json.loads(ran.stdout.rpartition("SEEN ")[2])
    usual = Timeouts()
    wait, check = usual.deliberation, usual.check
    assert seen == [[300, [check + 300 - wait]], wait, [wait, [check]], wait, [SHORT.deliberation, [check]], wait]
    assert ran.stdout.count("fleet: timeouts that are not the default: deliberation 300 s") == 1
