"""The URLs of a profile, as people write them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fixtures.profile import addresses
from fixtures.profile.model import load
from tests.support.profiles import profile_text
from tests.variants.model import Document


def addresses_are_of_version_six() -> None:
    text = profile_text(
        "embedded",
        vllm={"url": "https://[2001:db8::1]/models/"},
        ray={"url": "http://[::1]:8265/"},
        nats={"url": "nats://[fd00::2]:4222"},
        orchestrator={"url": ["[fd00::3]:50055", "[fd00::4]:50055"]},
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "profile.toml"
        file.write_text(text, encoding="utf-8")
        seen = addresses.from_outside(load(str(file)))
    assert seen.vllm.url == "https://[2001:db8::1]/models"
    assert (seen.vllm.host, seen.vllm.port) == ("2001:db8::1", None)
    assert (seen.dashboard.url, seen.nats_urls) == ("http://[::1]:8265", "nats://[fd00::2]:4222")
    assert [address.target for address in seen.orchestrators] == ["[fd00::3]:50055", "[fd00::4]:50055"]


DOCUMENTS = (
    Document(
        name="addresses-are-of-version-six",
        description="a network has IPv6 alone, and the profile names addresses in brackets",
        holds=addresses_are_of_version_six,
        stretches=("INF-02", "INF-05", "INF-09", "INF-11"),
    ),
)
