"""`--ray-version`: the images of another Ray, and the profile that the fleet is then held against."""

from pathlib import Path

import pytest

from fixtures.clusters import ray_versions
from fixtures.clusters.embedded.image_table import named, ray_image
from fixtures.clusters.embedded.plan import EmbeddedOptions, resolved
from fixtures.clusters.image_recipes import IMAGES, recipes
from fixtures.clusters.kind import recipes as container_recipes
from fixtures.clusters.kind.builder import Builder
from fixtures.clusters.kind.plan import KindOptions
from fixtures.clusters.kind.plan import resolved as kind_resolved
from fixtures.clusters.kind.sources import Sources, load
from fixtures.core.errors import UsageError
from fixtures.core.paths import ROOT
from fixtures.profile.dependencies import Dependency
from fixtures.profile.model import load as profile_named

FIRST, *OTHERS = recipes().ray.versions


def versions_of(image_name: str, version: str) -> set[str]:
    """Of ray, in the locks of an environment."""
    image = named(image_name, version)
    assert image.recipe
    texts = [(IMAGES / lock).read_text() for lock in image.recipe.locks]
    return {line.split()[0] for text in texts for line in text.splitlines() if line.startswith("ray==")}


@pytest.mark.parametrize("version", [FIRST, *OTHERS])
@pytest.mark.parametrize("name", ["ray-custom", "ray-stock", "orchestrator"])
def test_each_image_of_a_version_has_just_that_ray(name: str, version: str) -> None:
    assert versions_of(name, version) == {f"ray=={version}"}


@pytest.mark.parametrize("version", [FIRST, *OTHERS])
def test_each_lock_is_made_from_the_input_beside_it(version: str) -> None:
    stock = (IMAGES / ray_versions.entry_of("ray/stock.lock", version)).with_suffix(".in").read_text()
    assert f"ray[default,client]=={version}\n" in stock
    assert "nats-py" not in stock.splitlines()[-1]


@pytest.mark.parametrize("version", [FIRST, *OTHERS])
def test_the_custom_image_is_the_stock_one_and_what_agents_need_besides(version: str) -> None:
    stock, custom = (named(name, version).recipe for name in ("ray-stock", "ray-custom"))
    assert stock and custom
    assert custom.locks == (stock.locks[0], "ray/custom.lock", *stock.locks[1:])
    added = (IMAGES / "ray/custom.lock").read_text()
    assert "\nnats-py==2.10.0 \\\n" in added
    assert "nats-py" not in (IMAGES / stock.locks[0]).read_text()


@pytest.mark.parametrize("version", [FIRST, *OTHERS])
def test_locks_hold_grpcio_back_and_name_no_index(version: str) -> None:
    for entry in (ray_versions.STOCK_LOCK, ray_versions.ORCHESTRATOR_LOCK):
        text = (IMAGES / ray_versions.entry_of(entry, version)).read_text()
        assert "\ngrpcio==1.66.2" in text
        assert "://" not in text and "--index" not in text and "--find-links" not in text


def test_images_of_the_first_version_are_what_they_were() -> None:
    assert named("ray-custom", FIRST) == named("ray-custom")
    assert ray_image("custom").reference == f"fleet/ray-custom:{FIRST}"
    sources = load(str(ROOT / "ci" / "kind" / "sources.toml"))
    assert container_recipes.image("orchestrator", sources, FIRST) == container_recipes.image("orchestrator", sources)


def test_a_version_is_in_the_name_and_the_digest() -> None:
    references = {ray_image("custom", version).reference for version in (FIRST, *OTHERS)}
    assert references == {f"fleet/ray-custom:{version}" for version in (FIRST, *OTHERS)}
    digests = {named("orchestrator", version).image_id for version in (FIRST, *OTHERS)}
    assert len(digests) == len(OTHERS) + 1


def test_images_without_ray_are_the_same_for_all() -> None:
    assert named("vllm-stub", OTHERS[-1]) == named("vllm-stub")


def test_an_unknown_version_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError) as problem:
        resolved(EmbeddedOptions(profile_named("embedded"), vllm="stub", ray_version="2.48.0"))
    assert (
        str(problem.value)
        == f"--ray-version 2.48.0: there is no lock for it; allowed are {', '.join([FIRST, *OTHERS])}"
    )
    with pytest.raises(UsageError, match=r"2\.48\.0"):
        kind_resolved(KindOptions(profile_named("kind"), vllm="stub", ray_version="2.48.0"))


def test_the_profile_is_held_to_the_version_and_what_its_lock_has() -> None:
    plan = resolved(EmbeddedOptions(profile_named("embedded"), vllm="stub", ray_version="2.60.0"))
    assert (plan.profile.ray.version, plan.profile.ray.head_image) == ("2.60.0", "fleet/ray-custom:2.60.0")
    assert {dependency.module: dependency.asked for dependency in plan.profile.agent.dependencies} == {
        "ray": "2.60.0",
        "requests": "2.32.3",
        "aiohttp": "3.14.4",
        "nats": "2.10.0",
    }
    assert plan.orchestrator == named("orchestrator", "2.60.0")


def test_without_the_option_the_profile_stays_as_it_is() -> None:
    before = profile_named("embedded").replaced("ray", version="2.51.0")
    assert resolved(EmbeddedOptions(before, vllm="stub")).profile.ray.version == "2.51.0"


def test_a_range_stays_and_so_does_what_no_lock_has() -> None:
    own = (
        Dependency.model_validate("ray>=2.49"),
        Dependency.model_validate("aiohttp==3.11.16"),
        Dependency.model_validate("torch==2.8.0"),
    )
    profile = ray_versions.of_version(profile_named("embedded").replaced("agent", dependencies=own), "2.60.0")
    assert [dependency.installable for dependency in profile.agent.dependencies] == [
        "ray>=2.49",
        "aiohttp==3.14.4",
        "torch==2.8.0",
    ]


def test_stock_of_a_version_lacks_the_agents_code() -> None:
    options = EmbeddedOptions(profile_named("embedded"), vllm="stub", ray_version="2.60.0", ray_image="stock")
    plan = resolved(options)
    assert (plan.ray.reference, plan.profile.agent.delivery) == ("fleet/ray-stock:2.60.0", "job")


def test_containers_of_a_version_have_its_base_and_its_lock_under_the_usual_path(tmp_path: Path) -> None:
    sources = load(str(ROOT / "ci" / "kind" / "sources.toml"))
    for name, lock in (("ray-custom", "ray/custom.lock"), ("orchestrator", "orchestrator/requirements.lock")):
        image = container_recipes.image(name, sources, "2.60.0")
        assert image.base == image.arguments["BASE"] == sources.ray_versions["2.60.0"].image
        context = tmp_path / name
        Builder(None, sources, None).lay_out(image, context)  # type: ignore[arg-type]
        own = IMAGES / ray_versions.entry_of(lock, "2.60.0")
        assert (context / lock).read_text() == own.read_text()
        assert own == IMAGES / lock or not (context / own.relative_to(IMAGES)).exists()
    assert container_recipes.image("ray-custom", sources, "2.60.0").reference.startswith("fleet/ray-custom:2.60.0-")
    plan = kind_resolved(KindOptions(profile_named("kind"), vllm="stub", ray_version="2.60.0"))
    assert (plan.profile.ray.version, plan.profile.ray.python) == ("2.60.0", "3.11")


def test_every_version_has_a_container_image_to_start_from() -> None:
    assert sorted(load(str(ROOT / "ci" / "kind" / "sources.toml")).ray_versions) == sorted(OTHERS)


def test_sources_without_an_image_of_a_version_say_so() -> None:
    names = {"node": "node:1", "ray": "ray:1", "python": "python:1", "nats": "nats:1"}
    sources = Sources.model_validate({"images": names})
    with pytest.raises(UsageError, match=r"--ray-version 2\.60\.0: the kind sources name no image .* \(none\)"):
        container_recipes.image("ray-custom", sources, "2.60.0")
    assert container_recipes.image("nats", sources, "2.60.0").base == "nats:1"
    offline = Sources.model_validate({"images": names, "build": {"ray_command": "ci/offline/build --ray {version}"}})
    with pytest.raises(UsageError, match=r"\(none\); this makes it: ci/offline/build --ray 2\.60\.0$"):
        offline.ray_image("2.60.0")
