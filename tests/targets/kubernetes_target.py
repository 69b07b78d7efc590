"""A fleet in Kubernetes that is changed: one that `--cluster kind --keep-cluster` left."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from fixtures.clusters.base import Feature
from fixtures.clusters.kubernetes.client.api import connect
from fixtures.core.timeouts import Timeouts
from fixtures.profile import model as profiles
from tests.targets.target import SHORT, Target

VARIABLES = ("FLEET_TEST_KUBECONFIG", "FLEET_TEST_PROFILE", "FLEET_TEST_STOCK_IMAGE")


def there() -> bool:
    """Whether the environment names such a fleet (ci/kubernetes does)."""
    return all(os.environ.get(name) for name in VARIABLES)


class KubernetesTarget(Target):
    """Each session attaches anew, as a user would, with the right to disturb unless a change takes that."""

    # Through a port-forward a request takes as long as in any run (fixtures/core/timeouts.py): while ORC-06's
    # 15 agents started, SHORT's 8 s were too few for each of its five deliberations.
    timeouts: ClassVar[Timeouts] = SHORT.model_copy(update={"request": Timeouts().request})
    may_disrupt = True

    def __init__(self, reports: Path) -> None:
        super().__init__(reports)
        self.kubeconfig, profile, self.stock_image = (os.environ[name] for name in VARIABLES)
        self.profile_file = Path(profile)
        self.profile = profiles.load(profile)

    def boot(self) -> None:
        self.api = connect(self.kubeconfig, None)

    async def end(self) -> None:
        await self.api.close()

    def again(self) -> None:
        """Every change here waits in its end until Kubernetes has brought back what it took away."""

    def unsupported(self) -> Collection[Feature]:
        return ()

    def options(self) -> tuple[list[str], list[object]]:
        where = ["--cluster", "attach", "--kubeconfig", self.kubeconfig, "--profile", str(self.profile_file)]
        return [*where, *(["--allow-disruptive"] if self.may_disrupt else [])], []
