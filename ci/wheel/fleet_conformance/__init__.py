"""Fleet conformance: does an AI agent fleet work as a whole?

The suite itself is in the folder _suite, byte for byte as in its repository. Its modules have general names there
(fixtures, tests), so that only processes of the suite's own have that folder on their path.
"""

from importlib.util import find_spec
from typing import NoReturn


def __getattr__(name: str) -> NoReturn:
    """What own checks import is there where the suite reads them. Raises ImportError, which says how."""
    if name.startswith("_") or find_spec(f"{__name__}.{name}"):  # a module of this package that is being imported
        raise AttributeError(name)
    raise ImportError(f"{name} is for files that fleet-conformance check --checks DIR reads: they are no programs")
