"""Where `--cluster kind` gets its images from, and the tags that it gives them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.clusters import image_recipes
from fixtures.clusters.base import Timeline
from fixtures.clusters.kind import kuberay_versions, recipes, sources
from fixtures.clusters.kind.builder import Builder
from fixtures.clusters.kind.engine import Engine
from fixtures.clusters.kind.sources import Sources
from fixtures.core.errors import UsageError

Written = Callable[[str], str]

MINIMAL = """
[images]
node = "node:1"
ray = "ray:1"
python = "python:1"
nats = "nats:1"
"""


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(text: str) -> str:
        (tmp_path / "sources.toml").write_text(text)
        return str(tmp_path / "sources.toml")

    return write


def test_the_shipped_file_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sources.VARIABLE, raising=False)
    shipped = sources.load()
    assert shipped.profile.name == "kind"
    assert shipped.images.reference("vllm_python").startswith("python:3.11")
    assert all(":" in reference for reference in (shipped.images.node, shipped.images.ray, shipped.images.nats))


def test_the_variable_names_another_file_and_the_option_wins(
    written: Written, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(sources.VARIABLE, written(MINIMAL + '[profile]\nname = "kind-offline"\n'))
    assert sources.default_profile() == "kind-offline"
    other = tmp_path / "other.toml"
    other.write_text(MINIMAL)
    assert sources.default_profile(str(other)) == "kind"


def test_what_is_left_out_has_a_stand_in(written: Written) -> None:
    images = sources.load(written(MINIMAL)).images
    assert images.reference("vllm_python") == "python:1"
    assert images.reference("kuberay") == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[images", "is not TOML"),
        ("[images]\nnode = 'n'\n", "images.ray: is missing"),
        (MINIMAL + "rey = 'x'\n", "images.rey"),
        (MINIMAL.replace('"node:1"', '""'), "images.node"),
        (MINIMAL + "[build]\ncontext_files = { 'ca.crt' = '/nowhere/ca.crt' }\n", "no such file: /nowhere/ca.crt"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file_and_the_key(written: Written, text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        sources.load(written(text))
    assert words in str(caught.value)
    assert "sources.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"/nowhere\.toml: cannot be read"):
        sources.load("/nowhere.toml")


def made_from(**images: str) -> Sources:
    names = {"node": "node:1", "ray": "ray:1", "python": "python:1", "nats": "nats:1", "kuberay": "kuberay:1"}
    return Sources.model_validate({"images": names | images})


@pytest.mark.parametrize("name", list(image_recipes.recipes().containers))
def test_every_image_of_the_table_can_be_named(name: str) -> None:
    image = recipes.image(name, made_from())
    tag = image_recipes.recipes().containers[name].tag.replace("{version}", kuberay_versions.first())
    assert image.reference.startswith(f"{tag}-")
    if image.dockerfile:
        assert image_recipes.IMAGES / image.dockerfile in image.inputs


def test_the_tag_changes_with_the_base_and_with_each_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = recipes.image("ray-custom", made_from()).reference
    assert recipes.image("ray-custom", made_from()).reference == before
    assert recipes.image("ray-custom", made_from(ray="ray:2")).reference != before
    assert recipes.image("ray-custom", made_from(nats="nats:2")).reference == before
    shutil.copy(image_recipes.IMAGES / "images.toml", tmp_path)
    monkeypatch.setattr(image_recipes, "IMAGES", tmp_path)
    for file in ("ray/Dockerfile", "ray/custom.lock", "ray/swe_ai_fleet/__init__.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("1\n")
    one = recipes.image("ray-custom", made_from()).reference
    (tmp_path / "ray/swe_ai_fleet/__pycache__").mkdir()
    (tmp_path / "ray/swe_ai_fleet/__pycache__/x.pyc").write_bytes(b"\0")
    assert recipes.image("ray-custom", made_from()).reference == one
    (tmp_path / "ray/swe_ai_fleet/__init__.py").write_text("2\n")
    assert recipes.image("ray-custom", made_from()).reference != one


def test_how_packages_are_reached_does_not_change_what_an_image_is() -> None:
    plain = recipes.image("orchestrator", made_from())
    behind = Sources.model_validate(
        {
            "images": made_from().images.model_dump(),
            "build_args": {"CA_BUNDLE": "ca.crt", "PIP_INDEX_URL": "https://mirror/"},
        }
    )
    assert recipes.image("orchestrator", behind).reference == plain.reference
    assert recipes.image("orchestrator", behind).arguments["PIP_INDEX_URL"] == "https://mirror/"
    other = behind.model_copy(update={"build_args": {"FLAVOUR": "x"}})
    assert recipes.image("orchestrator", other).reference != plain.reference


def test_the_build_context_holds_what_the_tag_covers_and_what_the_sources_add(tmp_path: Path) -> None:
    (tmp_path / "bundle.pem").write_text("certificate\n")
    behind = made_from(kuberay="").model_copy(
        update={"build": sources.Build(context_files={"ca.crt": str(tmp_path / "bundle.pem")})}
    )
    for name, dockerfile in (("kuberay", "Dockerfile"), ("vllm-stub", "vllm/Dockerfile.stub"), ("nats", "Dockerfile")):
        image, folder = recipes.image(name, behind), tmp_path / name
        folder.mkdir()
        builder = Builder(Engine("docker"), behind, Timeline())
        assert builder.lay_out(image, folder) == folder / dockerfile
        laid = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
        places = (image.instead_of.get(file, file) for file in image.inputs)
        inputs = {place.relative_to(image.context).as_posix() for place in places} | {dockerfile}
        assert laid == inputs | ({"ca.crt"} if image.dockerfile else set())


def test_stock_and_nats_are_their_sources_under_a_tag_of_their_own() -> None:
    stock = recipes.image("ray-stock", made_from())
    assert (stock.dockerfile, stock.inputs, stock.arguments) == ("", (), {})
    assert "stock" in stock.reference


def test_the_operator_is_built_where_no_image_of_it_is_named() -> None:
    assert recipes.image("kuberay", made_from()).dockerfile == ""
    built = recipes.image("kuberay", made_from(kuberay=""))
    assert built.dockerfile == "kuberay/Dockerfile"
    assert "BASE" not in built.arguments
    names = {file.relative_to(image_recipes.IMAGES / "kuberay").as_posix() for file in built.inputs}
    version = kuberay_versions.first()
    assert names == {"Dockerfile", f"{version}/go.mod", f"{version}/go.sum"}
