"""The second stack as a target of faults: a running fleet whose packages are a copy that may be changed."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fixtures.clusters.embedded import EmbeddedOptions
from fixtures.profile import model as profiles
from tests.second_stack.cluster import FOLDER, SecondStack
from tests.targets.embedded_target import EmbeddedTarget
from tests.targets.injectors import Edit, restarted
from tests.targets.target import Change


class VotesTarget(EmbeddedTarget):
    """Clerks and voters in an embedded fleet, with the stand-in for vLLM."""

    def _new(self) -> None:
        """From a copy of the packages as they are in the checkout."""
        self.folder = Path(tempfile.mkdtemp(prefix="votes-"))
        shutil.copytree(FOLDER, self.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        profile = profiles.load(str(self.folder / "votes.toml"))
        options = EmbeddedOptions(profile, vllm="stub", run_id=f"faults-{secrets.token_hex(3)}")
        self.cluster = SecondStack(options, self.folder)

    async def make_councils(self) -> None:
        """It has none."""

    async def end(self) -> None:
        await super().end()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class SoftwareHas:
    """Mutants of the stack's packages, by paths below its folder: of what the suite's own jobs bring from then on, and,
    where `clerks` are started again with it, of theirs."""

    edits: tuple[Edit, ...]
    clerks: bool = False

    @asynccontextmanager
    async def __call__(self, target: VotesTarget) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            undo = [edit.apply(target.folder) for edit in self.edits]
            if self.clerks:  # once the files are as they were, they are started again as they were
                await stack.enter_async_context(restarted(target, target.orchestrators))
            for one in undo:
                stack.callback(one)
            yield


def software_has(*edits: Edit, clerks: bool = False) -> Change:
    return SoftwareHas(edits, clerks)
