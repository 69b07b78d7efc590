"""Own checks on a real fleet in Kubernetes, in Python and as scripts: on every worker, and in each replica.

Needs the fleet that test_attach.py needs.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.support import suite_process
from tests.support.own_checks import ACME, assert_reported


def test_own_checks_run_on_every_worker_and_stand_in_every_report(tmp_path: Path) -> None:
    named = ("--kubeconfig", os.environ["FLEET_TEST_KUBECONFIG"], "--profile", os.environ["FLEET_TEST_PROFILE"])
    run = suite_process.run(
        *(*named, "--checks", str(ACME), "-k", "ACME"), reports=tmp_path / "reports", environment={"ACME_TOKEN": "t"}
    )
    assert_reported(run)
