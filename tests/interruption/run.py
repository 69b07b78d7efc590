"""`pytest -m e2e` in the background, in a temporary folder and with a block of ports of its own."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from fixtures.clusters.embedded.ports import SIZE, is_free
from tests.support.leaks import HostSnapshot
from tests.support.suite_process import SuiteProcess

CLEANED_UP = 30.0  # whoever cleans up after a run outlives it by a moment, on a loaded machine by a longer one
EMBEDDED = ("--vllm", "stub")


class Run(SuiteProcess):
    """One run of checks, from its start to its end. `with Run(…) as run:` ends it at the latest there."""

    def __init__(
        self,
        report_dir: Path,
        *arguments: str,
        against: tuple[str, ...] = EMBEDDED,
        ports: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`ports`: the first of the block that an embedded fleet gets, which is then looked at in the end."""
        self.ports = ports
        self.folder = Path(f"/tmp/e{secrets.token_hex(3)}")  # short: the names of Ray's sockets lie below it
        self.folder.mkdir()
        self.before = HostSnapshot(self.folder, prefixes=("",))
        super().__init__(
            report_dir,
            *against,
            *(["--port-base", str(ports)] if ports else []),
            *arguments,
            environment={**(environment or {}), "TMPDIR": str(self.folder)},
            log=report_dir.with_suffix(".log"),
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        super().__exit__(kind, error, at)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def run_id(self) -> str:
        return self.output.partition(", run ")[2].partition("\n")[0]

    def leaks(self) -> list[str]:
        """What is still on this machine after the run's end, one line for each: processes, memory, folders, ports."""
        lines = self.before.leaks_in_the_end(self.run_id, within=CLEANED_UP)
        block = range(self.ports, self.ports + SIZE) if self.ports else ()
        return lines + [f"port {port}" for port in block if not is_free(port)]
