"""The URLs of a profile, as people write them."""

from __future__ import annotations

from fixtures.profile import addresses
from fixtures.profile.model import load
from fixtures.profile.sections import PlainEndpoints
from tests.variants.model import Document


def addresses_are_of_version_six() -> None:
    profile = load("embedded")
    plain = PlainEndpoints(
        vllm="https://[2001:db8::1]/models/",
        dashboard="http://[::1]:8265/",
        nats="nats://[fd00::2]:4222",
        orchestrators=("[fd00::3]:50055", "[fd00::4]:50055"),
    )
    seen = addresses.from_outside(profile, plain)
    assert seen.vllm.url == "https://[2001:db8::1]/models"
    assert (seen.vllm.host, seen.vllm.port) == ("2001:db8::1", None)
    assert (seen.dashboard.url, seen.nats.url) == ("http://[::1]:8265", "nats://[fd00::2]:4222")
    assert [address.target for address in seen.orchestrators] == ["[fd00::3]:50055", "[fd00::4]:50055"]


DOCUMENTS = (
    Document(
        name="addresses-are-of-version-six",
        description="a network has IPv6 alone, and the profile names addresses in brackets",
        holds=addresses_are_of_version_six,
        stretches=("INF-02", "INF-05", "INF-09", "INF-11"),
    ),
)
