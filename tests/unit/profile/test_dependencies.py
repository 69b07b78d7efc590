"""What agents import: requirements and the older form, what is wrong with one, and which versions fulfil it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.core.errors import UsageError
from fixtures.profile import model as profiles
from fixtures.profile.dependencies import Dependency

REFERENCE = (profiles.PROFILES / "swe-ai-fleet.toml").read_text(encoding="utf-8")
PINNED = {"module": "nats", "distribution": "nats-py", "version": "2.10.0"}


def dependency(value: Any) -> Dependency:
    return Dependency.model_validate(value)


def load_with(folder: Path, entries: str) -> profiles.Profile:
    """The reference profile with other dependencies."""
    start = REFERENCE.index("dependencies = [")
    end = REFERENCE.index("\n]\n", start) + 3
    file = folder / "mine.toml"
    file.write_text(f"{REFERENCE[:start]}dependencies = [{entries}]\n{REFERENCE[end:]}", encoding="utf-8")
    return profiles.load(str(file))


@pytest.mark.parametrize(
    ("entry", "module", "distribution", "asked", "installable"),
    [
        ("ray==2.49.2", "ray", "ray", "2.49.2", "ray==2.49.2"),
        ("Ray == 2.49.2", "ray", "Ray", "2.49.2", "Ray == 2.49.2"),
        ("pydantic>=2.5,<3", "pydantic", "pydantic", ">=2.5,<3", "pydantic>=2.5,<3"),
        ("pydantic (>=2.5)", "pydantic", "pydantic", ">=2.5", "pydantic (>=2.5)"),
        ("pydantic==2.*", "pydantic", "pydantic", "==2.*", "pydantic==2.*"),
        ("httpx", "httpx", "httpx", "", "httpx"),
        ("typing_extensions", "typing_extensions", "typing_extensions", "", "typing_extensions"),
        ("ruamel.yaml~=0.18", "ruamel.yaml", "ruamel.yaml", "~=0.18", "ruamel.yaml~=0.18"),
        ({"module": "nats", "requirement": "nats-py>=2.10"}, "nats", "nats-py", ">=2.10", "nats-py>=2.10"),
        (PINNED, "nats", "nats-py", "2.10.0", "nats-py==2.10.0"),
    ],
)
def test_an_entry_is_a_requirement_or_a_distribution_in_a_version(
    entry: Any, module: str, distribution: str, asked: str, installable: str
) -> None:
    read = dependency(entry)
    assert (read.module, read.distribution, read.asked, read.installable) == (module, distribution, asked, installable)
    assert read.name == f"{distribution} {asked}".strip()


def test_both_forms_stand_next_to_each_other(tmp_path: Path) -> None:
    profile = load_with(tmp_path, '"ray==2.49.2", { module = "nats", distribution = "nats-py", version = "2.10.0" }')
    assert profile.agent.modules == ("ray", "nats")
    assert profile.agent.imports == ("ray", "nats", "nats.js")


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ('"ray==2.49.2", "ray>=2"', ["agent.dependencies: lists ray more than once"]),
        ('"nats-py==2.10.0"', ["agent.dependencies.0", "no module is called nats-py", "module ="]),
        ('"ray", "ray 2.49.2"', ["agent.dependencies.1", "PEP 508", '"ray==2.49.2"', "not 'ray 2.49.2'"]),
        ('"ray[default]==2.49.2"', ["agent.dependencies.0", "extras", "default", "list what agents import"]),
        ('"acme @ https://example.com/acme.whl"', ["agent.dependencies.0", "must not be a URL", "name the version"]),
        ("\"acme; python_version < '3.11'\"", ["agent.dependencies.0", "marker", "workers of this fleet"]),
        (f'"acme=={"9" * 200}"', ["agent.dependencies.0", "at most 200 characters"]),
        ('""', ["agent.dependencies.0", "PEP 508"]),
        ("3", ["agent.dependencies.0"]),
        ('{ module = "acme" }', ["agent.dependencies.0", "needs a requirement"]),
        ('{ module = "acme", distribution = "acme" }', ["agent.dependencies.0", "needs a requirement"]),
        ('{ distribution = "acme", version = "1.0" }', ["agent.dependencies.0.module", "is missing"]),
        ('{ requirement = "acme", version = "1.0" }', ["agent.dependencies.0", "leave version out"]),
        ('{ requirement = "acme", modul = "a" }', ["agent.dependencies.0.modul", "unknown key", "module, requirement"]),
        ('{ module = "../acme", requirement = "acme" }', ["agent.dependencies.0.module: must be a module's name"]),
        ("", ["agent.dependencies", "must not be empty"]),
    ],
)
def test_what_is_wrong_with_an_entry_is_one_line(tmp_path: Path, entries: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        load_with(tmp_path, entries)
    line = str(caught.value)
    assert "\n" not in line and "mine.toml" in line
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("entry", "installed"),
    [
        ("ray==2.49.2", "2.49.2+cu121"),
        ("ray==2.49", "2.49.0"),
        ("ray>=2.49,<3", "2.60.0"),
        ("ray>=2.49", "2.50.0rc1"),
        ("ray~=2.49.0", "2.49.7.post1"),
        ("ray!=2.49.1", "2.49.2"),
        ("ray", "2.49.2"),
        ("ray", "of-the-day"),
        (PINNED, "2.10"),
    ],
)
def test_a_version_fulfils_it(entry: Any, installed: str) -> None:
    assert dependency(entry).is_met_by(installed)


@pytest.mark.parametrize(
    ("entry", "installed"),
    [
        ("ray==2.49.2", "2.49.1"),
        ("ray==2.49.2+cu121", "2.49.2"),
        ("ray>=2.49,<3", "3.0.0"),
        ("ray>=2.49", "2.49.0rc1"),
        ("ray>=2.49", "of-the-day"),
        ("ray!=2.49.2", "2.49.2+corp"),
        ("ray>=2.49", ""),
        ("ray", ""),
        (PINNED, "2.10.1"),
        (PINNED, ""),
    ],
)
def test_a_version_does_not(entry: Any, installed: str) -> None:
    assert not dependency(entry).is_met_by(installed)


@pytest.mark.parametrize("name", ["nats-py", "nats_py", "NATS.Py", "nats--py", "Nats_-py"])
def test_a_distribution_has_one_name_however_it_is_written(name: str) -> None:
    wanted = dependency({"module": "nats", "requirement": name})
    assert wanted.version_in({"nats-py": "2.10.0", "nats": "9"}) == "2.10.0"
    assert wanted.normalised == "nats-py"


@pytest.mark.parametrize("name", ["natspy", "nats-py2", "nats-python", "nats"])
def test_a_neighbour_has_another(name: str) -> None:
    assert dependency({"module": "nats", "requirement": name}).version_in({"nats-py": "2.10.0"}) == ""
