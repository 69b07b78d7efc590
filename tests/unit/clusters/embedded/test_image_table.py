"""images/images.toml and the digests of what it describes."""

import sys
from pathlib import Path

import pytest

from fixtures.clusters import image_recipes
from fixtures.clusters.embedded import image_table as environments
from fixtures.clusters.embedded.image_table import named, ray_image
from fixtures.clusters.image_recipes import recipes
from fixtures.core.errors import UsageError

TABLE = """
ray.versions = ["2.49.2"]
kuberay.versions = ["1.6.2"]
[containers]

[environments.ray-small]
reference = "fleet/ray-small:1"
locks = ["small.lock"]
packages = ["agent"]
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table with one image, made of one lock and one package."""
    (tmp_path / "images.toml").write_text(TABLE)
    (tmp_path / "small.lock").write_text("")
    (tmp_path / "agent" / "__pycache__").mkdir(parents=True)
    (tmp_path / "agent" / "__init__.py").write_text("VALUE = 1\n")
    monkeypatch.setattr(image_recipes, "IMAGES", tmp_path)
    return tmp_path


def test_every_image_of_the_stack_can_be_named() -> None:
    environments = recipes().environments
    assert {"ray-custom", "ray-stock", "orchestrator", "vllm-stub", "vllm-cpu"} <= set(environments)
    ids = {named(name).image_id for name in environments}
    assert len(ids) == len(environments), "two images have the same digest"


def test_stock_and_custom_differ_by_what_the_agents_need() -> None:
    assert ray_image("custom").reference != ray_image("stock").reference
    assert ray_image("custom") == ray_image(ray_image("custom").reference)


@pytest.mark.parametrize("change", ["small.lock", "agent/__init__.py", "agent/new.py"])
def test_the_digest_changes_with_every_input(small: Path, change: str) -> None:
    before = named("ray-small").image_id
    (small / change).write_text("# changed\n")
    assert named("ray-small").image_id != before


def test_the_digest_ignores_bytecode(small: Path) -> None:
    before = named("ray-small").image_id
    (small / "agent" / "__pycache__" / "agent.pyc").write_bytes(b"\0")
    assert named("ray-small").image_id == before


@pytest.mark.usefixtures("small")
def test_the_digest_changes_with_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    before = named("ray-small").image_id
    monkeypatch.setattr(sys, "version", "3.99.0")
    assert named("ray-small").image_id != before


def test_a_missing_lock_is_named(small: Path) -> None:
    (small / "small.lock").unlink()
    with pytest.raises(UsageError, match=r"images/small\.lock is missing"):
        named("ray-small")


def test_a_table_that_is_not_toml_is_one_line(small: Path) -> None:
    (small / "images.toml").write_text("[ray-small\n")
    with pytest.raises(UsageError) as problem:
        recipes()
    assert "images.toml" in str(problem.value)
    assert "\n" not in str(problem.value)


def test_an_unknown_ray_image_says_what_is_allowed() -> None:
    with pytest.raises(UsageError, match="custom, stock, fleet/ray-custom"):
        ray_image("fleet/ray-custom:9.9.9")


def test_an_environment_without_ray_is_no_ray_image(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    with pytest.raises(UsageError, match="Ray is not installed"):
        ray_image(str(tmp_path))


def test_an_existing_environment_can_be_a_ray_image(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    (tmp_path / "lib" / "python3.11" / "site-packages" / "ray-2.49.2.dist-info").mkdir(parents=True)
    image = ray_image(str(tmp_path))
    assert (image.reference, image.folder) == (str(tmp_path), tmp_path)
    assert image.image_id.startswith("sha256:")


@pytest.mark.usefixtures("small")
def test_a_digest_is_that_of_the_release_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another digest of the same inputs would build every environment again, which takes an hour with the real vLLM."""
    monkeypatch.setattr(sys, "version", "3.11")
    monkeypatch.setattr(environments, "interpreter", lambda: "python")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert named("ray-small").image_id == "sha256:c1fd3cf2801ddfed1126a54e3d1f8de55f9d8c3677389b8b21aef7201e144e57"


@pytest.mark.parametrize(
    "wrong", ["[environments.ray-small]\n", "[environment.ray-small]\n", "[containers.nats]\ntag = 1\n"]
)
def test_a_table_that_is_not_as_it_should_be_is_one_line_that_names_the_entry(small: Path, wrong: str) -> None:
    (small / "images.toml").write_text(wrong)
    with pytest.raises(UsageError, match=r"images\.toml: (environments|environment|containers)") as problem:
        recipes()
    assert "\n" not in str(problem.value)
