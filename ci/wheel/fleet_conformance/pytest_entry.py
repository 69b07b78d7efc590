"""`pytest --fleet …` is `fleet-conformance check …`. Without that option nothing of the suite is there: its options
have names that other plug-ins have too."""

import sys

import pytest

from fleet_conformance.start import replace_process

OPTION = "--fleet"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option, so that `--help` has it."""
    parser.getgroup("fleet conformance").addoption(
        OPTION, action="store_true", help="check a fleet: all other options are those of fleet-conformance check"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Give way before a conftest of this project is imported, or an option of ours refused as unknown."""
    if not early_config.known_args_namespace.fleet:
        return
    capture = early_config.pluginmanager.getplugin("capturemanager")
    if capture:
        capture.stop_global_capturing()
    sys.stdout.flush()
    given = [word for word in early_config.invocation_params.args if word != OPTION]
    replace_process(["check", *map(str, given)])
