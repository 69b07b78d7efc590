"""A service that cannot be asked is told, whether or not what it was asked for is known from elsewhere."""

from pathlib import Path

import pytest

from fixtures.clusters.base import Endpoints
from fixtures.discovery import services
from fixtures.discovery.draft import Draft
from fixtures.profile.addresses import from_outside
from fixtures.profile.model import Profile, load
from tests.support.profiles import profile_text

NOWHERE = "127.0.0.1:9"  # discard: nothing listens


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    urls = {
        "vllm": {"url": f"http://{NOWHERE}"},
        "ray": {"url": f"http://{NOWHERE}"},
        "nats": {"url": f"nats://{NOWHERE}"},
    }
    file = tmp_path / "plain.toml"
    file.write_text(profile_text("embedded", orchestrator={"url": [NOWHERE]}, **urls))
    return load(str(file))


async def test_what_does_not_answer_is_said_and_left_open(profile: Profile) -> None:
    draft, told = Draft(), list[str]()
    draft.put("vllm.model", "acme/model", "VLLM_MODEL of orchestrator")
    await services.ask(draft, profile, Endpoints.of(from_outside(profile)), told.append)
    assert len(told) == 4 and all(line.startswith("could not be asked: ") for line in told), told
    assert draft.get("vllm.model") == "acme/model"
    assert draft.values["nats.stream"].origin.startswith("could not be asked: ")
