"""What a fleet needs whose NATS lets nobody in without credentials, or without TLS, where the reference stack has no
place for it: edits of the orchestrator and of the agents' publisher.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fixtures.core.paths import ROOT
from tests.targets.injectors import Added, Edit, FileChange

APP = "fleet_orchestrator/app.py"
PUBLISHER = "swe_ai_fleet/orchestrator/ray_jobs/publisher.py"
LOGIN_MODULE = "_fleet_login"

CREDENTIALS = '''

def login(path):
    """What nats.connect takes in place of user_credentials, for which nats-py needs a further package."""
    import re

    with open(path, encoding="utf-8") as file:
        text = file.read()
    jwt, seed = re.search(r"USER JWT-+\\s+(\\S+)", text)[1], re.search(r"\\b(SU[A-Z2-7]{50,})", text)[1]
    return {"user_jwt_cb": jwt.encode, "signature_cb": lambda nonce: signed_nonce(seed, nonce).encode()}
'''


@contextmanager
def exported(**variables: str) -> Iterator[None]:
    """The suite finds these variables in its environment."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def orchestrator_connects(words: str) -> FileChange:
    """The orchestrator gives further arguments to nats.connect."""
    return Edit(APP, "**self._settings.nats_login,", f"**self._settings.nats_login, {words},")


def agents_connect(words: str) -> FileChange:
    """The agents' publisher does."""
    return Edit(PUBLISHER, "error_cb=self._remember,", f"error_cb=self._remember, {words},")


def login_module() -> FileChange:
    """A module of the image that signs NATS's nonce."""
    signing = (ROOT / "fixtures" / "core" / "nkeys.py").read_text(encoding="utf-8")
    return Added(f"{LOGIN_MODULE}.py", signing + CREDENTIALS)


def by_credentials(file: Path) -> str:
    """The arguments by which the holder of a .creds file is let in, with `login_module`."""
    return f'**__import__("{LOGIN_MODULE}").login({str(file)!r})'


def over_tls_first(authority: Path) -> str:
    """The arguments for a server that says nothing before TLS, and has a certificate of this authority."""
    context = f'__import__("ssl").create_default_context(cafile={str(authority)!r})'
    return f"tls={context}, tls_handshake_first=True"
