"""What `--vllm` comes to on a machine."""

import platform
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from fixtures.clusters import vllm_choice
from fixtures.clusters.vllm_choice import CpuServer, VllmChoice, choose, cpu_flags
from fixtures.core.errors import UsageError


@pytest.fixture
def old_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that the wheels run on, but for its CPU."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    server = CpuServer.load()
    monkeypatch.setattr(sys, "version_info", Version(*map(int, server.python.split("."))))
    monkeypatch.setattr(vllm_choice, "cpu_flags", lambda: frozenset({"sse2", "f16c"}))


class Version(NamedTuple):
    major: int
    minor: int


@pytest.mark.usefixtures("old_cpu")
def test_a_missing_cpu_feature_is_one_line_for_cpu() -> None:
    with pytest.raises(UsageError, match="this CPU lacks avx2; use --vllm stub"):
        choose("cpu")


@pytest.mark.usefixtures("old_cpu")
def test_a_missing_cpu_feature_makes_auto_take_the_stub() -> None:
    assert choose("auto") == VllmChoice("stub", reason="this CPU lacks avx2")


def test_stub_is_the_stub() -> None:
    assert choose("stub").kind == "stub"


@pytest.mark.parametrize("url", ["http://vllm:8000", "https://vllm.example/", "http://vllm:8000/v1"])
def test_a_url_is_an_external_server(url: str) -> None:
    choice = choose(url)
    assert choice.kind == "external"
    assert not choice.url.endswith(("/", "/v1"))


@pytest.mark.parametrize(
    "wrong", ["gpu", "", "vllm:8000", "ftp://vllm", "http://", "http://vllm:port", "http://vllm:0"]
)
def test_anything_else_says_what_is_allowed(wrong: str) -> None:
    with pytest.raises(UsageError, match="auto, cpu, stub or a URL"):
        choose(wrong)


def test_flags_of_the_first_cpu(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("model name\t: X\nflags\t\t: fpu avx2\n\nflags\t\t: other\n")
    assert cpu_flags(tmp_path / "cpuinfo") == {"fpu", "avx2"}
    assert cpu_flags(tmp_path / "missing") == frozenset()
