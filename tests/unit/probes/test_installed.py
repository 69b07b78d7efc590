"""Whether what was imported is what is installed: told of what surely is another file, and of nothing else."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.probes.payload import installed, probe

MODULE, NAME = "acme_ballots", "acme-ballots"


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[name]


def put(folder: Path, *files: str, text: str = "") -> Path:
    """`folder`, with these files in it."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text, encoding="utf-8")
    return folder


def record(folder: Path, *listed: str, name: str = NAME) -> Path:
    """`folder`, with what an installer leaves of a distribution there; its list of files where it lists any."""
    info = f"{name.replace('-', '_')}-2.0.dist-info"
    put(folder, f"{info}/METADATA", text=f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    if listed:
        put(folder, f"{info}/RECORD", text="".join(f"{file},sha256=x,0\n" for file in (f"{info}/METADATA", *listed)))
    return folder


def wheel(folder: Path, *files: str, name: str = NAME) -> Path:
    """`folder`, with a distribution that lists its files."""
    return record(put(folder, *files), *files, name=name)


def imported(monkeypatch: pytest.MonkeyPatch, *path: Path, module: str = MODULE) -> dict[str, str]:
    """What the probe says of the module with these folders before all others on the path, the first one first."""
    for folder in reversed(path):
        monkeypatch.syspath_prepend(str(folder))
    answer = probe.probe({"modules": [module], "packages": {module: NAME}})["modules"][module]
    assert answer["ok"], answer
    return dict(answer)


@pytest.mark.parametrize(
    ("installed_as", "stray", "module"),
    [
        (f"{MODULE}/__init__.py", f"{MODULE}.py", MODULE),
        (f"{MODULE}/__init__.py", f"{MODULE}/__init__.py", MODULE),
        (f"{MODULE}.py", f"{MODULE}.py", MODULE),
        (f"{MODULE}.py", f"{MODULE}/__init__.py", MODULE),
        ("acme_space/votes/__init__.py", "acme_space/votes.py", "acme_space.votes"),
    ],
)
def test_a_stray_file_before_the_installed_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed_as: str, stray: str, module: str
) -> None:
    site, before = wheel(tmp_path / "site", installed_as), put(tmp_path / "before", stray)
    seen = imported(monkeypatch, before, site, module=module)
    assert (seen["file"], seen["shadowed"]) == (str(before / stray), str(site / installed_as))
    del sys.modules[module]
    sys.modules.pop("acme_space", None)
    assert imported(monkeypatch, site, before, module=module)["shadowed"] == ""


def test_a_package_before_a_module_of_the_same_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = put(wheel(tmp_path, f"{MODULE}.py"), f"{MODULE}/__init__.py")
    assert imported(monkeypatch, site)["shadowed"] == str(site / f"{MODULE}.py")


@pytest.mark.parametrize(
    ("kept", "listed"),
    [
        ((f"{MODULE}/__init__.py",), ()),  # conda, Debian
        ((), ("__editable__.acme_ballots-2.0.pth", "__editable___acme_ballots_finder.py")),  # pip install -e
        ((f"{MODULE}/core.py",), (f"{MODULE}/core.py",)),  # another one's namespace
        ((f"../lib64/{MODULE}/__init__.py",), (f"../lib64/{MODULE}/__init__.py",)),
        ((), (f"{MODULE}/__init__.py",)),  # moved by whoever made the image
    ],
    ids=["no list", "editable", "part of a namespace", "elsewhere", "gone"],
)
def test_what_lists_no_such_file_that_is_there_says_nothing_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: tuple[str, ...], listed: tuple[str, ...]
) -> None:
    site, before = record(put(tmp_path / "site", *kept), *listed), put(tmp_path / "before", f"{MODULE}/__init__.py")
    assert imported(monkeypatch, before, site)["shadowed"] == ""


def test_a_copy_without_a_list_may_be_the_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a Linux distribution beside pip's, or of an old installation in development mode."""
    pips, debians = wheel(tmp_path / "pip", f"{MODULE}.py"), record(put(tmp_path / "debian", f"{MODULE}.py"))
    assert imported(monkeypatch, debians, pips)["shadowed"] == ""
    assert imported(monkeypatch, pips)["shadowed"] == "", "which is the first one on the path now"


def test_any_copy_of_the_distribution_may_be_the_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that a runtime environment brings, whose folder came before the image's after the import."""
    image, brought = (wheel(tmp_path / name, f"{MODULE}/__init__.py") for name in ("image", "brought"))
    assert imported(monkeypatch, image)["shadowed"] == ""
    assert imported(monkeypatch, brought)["shadowed"] == ""


def test_what_another_distribution_lists_was_installed_on_purpose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, other = wheel(tmp_path / "site", f"{MODULE}.py"), tmp_path / "other"
    assert imported(monkeypatch, wheel(other, f"{MODULE}.py", name="acme-fast"), site)["shadowed"] == ""


def test_links_lead_to_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, linked = wheel(tmp_path / "site", f"{MODULE}/__init__.py"), tmp_path / "linked"
    linked.symlink_to(site)
    files = put(tmp_path / "files", f"{MODULE}/extra.py")
    (files / MODULE / "__init__.py").symlink_to(site / MODULE / "__init__.py")
    for place in (linked, files):
        seen = imported(monkeypatch, place, site)
        assert (seen["file"], seen["shadowed"]) == (str(place / MODULE / "__init__.py"), "")
        del sys.modules[MODULE]


@pytest.mark.parametrize("listed", [f"{MODULE}/__init__.py", f"{MODULE}.py"])
def test_what_was_compiled_beside_its_source_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    site = wheel(tmp_path, listed)
    put(site, listed, text="__file__ = __file__.replace('.py', '.cpython-39.so')")
    put(site, listed.replace(".py", ".cpython-39.so"))
    seen = imported(monkeypatch, site)
    assert seen["file"].endswith(".so") and seen["shadowed"] == ""


def test_folders_that_make_up_one_package_are_all_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = f"{MODULE}/__init__.py"
    folders = [record(tmp_path / "site", file), put(tmp_path / "models")]
    for folder in folders:
        put(folder, file, text="__path__ = __import__('pkgutil').extend_path(__path__, __name__)")
    assert imported(monkeypatch, *reversed(folders))["shadowed"] == ""


def test_what_a_package_takes_its_parts_from_is_its_own_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = f"{MODULE}/extra.py"
    site = wheel(tmp_path / "site", f"{MODULE}/__init__.py", part)
    put(site, f"{MODULE}/__init__.py", text=f"__path__.insert(0, {str(put(tmp_path / 'more', 'extra.py'))!r})")
    seen = imported(monkeypatch, site, module=f"{MODULE}.extra")
    assert (seen["file"], seen["shadowed"]) == (str(tmp_path / "more" / "extra.py"), "")


def test_what_ray_carries_is_on_the_path_of_every_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, carried = wheel(tmp_path / "site", f"{MODULE}.py"), put(tmp_path / installed.RAYS_COPIES, f"{MODULE}.py")
    assert imported(monkeypatch, carried, site)["shadowed"] == ""


def test_a_wheel_on_the_path_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = wheel(tmp_path / "site", f"{MODULE}/__init__.py")
    packed = tmp_path / f"{MODULE}-2.0-py3-none-any.whl"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in filter(Path.is_file, site.rglob("*")):
            archive.write(file, file.relative_to(site))
    seen = imported(monkeypatch, packed, site)
    assert (seen["file"], seen["shadowed"]) == (str(packed / MODULE / "__init__.py"), "")
    del sys.modules[MODULE]
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr(f"{MODULE}.py", "")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(packed)])
    seen = imported(monkeypatch, tmp_path / "code.zip", site)
    assert (seen["file"], seen["shadowed"]) == (str(tmp_path / "code.zip" / f"{MODULE}.py"), ""), "it is in no folder"


def test_a_module_that_puts_another_in_its_place_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = wheel(tmp_path, f"{MODULE}.py")
    put(tmp_path, f"{MODULE}.py", text="import sys, json\nsys.modules[__name__] = json")
    assert imported(monkeypatch, site)["shadowed"] == ""


@pytest.mark.parametrize("text", ["__file__ = 5", "__file__ = None", "__path__ = 5", "del __file__", "del __name__"])
def test_a_module_may_say_anything_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    site, before = wheel(tmp_path / "site", f"{MODULE}.py"), put(tmp_path / "before", f"{MODULE}.py", text=text)
    assert imported(monkeypatch, before, site)["shadowed"] == ""


def test_what_does_not_import_and_what_is_not_installed_has_no_other_file(tmp_path: Path) -> None:
    del tmp_path
    request = {"modules": ["no_such_module", "json"], "packages": {"no_such_module": NAME, "json": NAME, "re": NAME}}
    seen = probe.probe(request)["modules"]
    assert "shadowed" not in seen["no_such_module"] and seen["json"]["shadowed"] == ""
    assert set(seen) == {"no_such_module", "json"}
