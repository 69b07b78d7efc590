"""What INF-09 and INF-12 conclude from what NATS says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.profile.model import load
from fixtures.services.jetstream import Account, Consumer, ServerInfo
from fixtures.services.nats import NotThere
from tests.e2e.test_infrastructure_messaging import test_consumers as consumers_collect
from tests.e2e.test_infrastructure_messaging import test_jetstream as jetstream_has_room
from tests.support.profiles import with_consumers

PROFILE = load("embedded")
NAMES = PROFILE.nats
NO_LIMIT = Account.of({"limits": {"max_storage": -1, "max_memory": -1}})


class Nats:
    """A NATS that answers so."""

    url = "nats://nats:4222"

    def __init__(
        self, account: Account | Exception = NO_LIMIT, consumers: Mapping[str, Mapping[str, Any]] = {}, **state: Any
    ) -> None:
        self._account, self._consumers, self._state = account, consumers, state
        self._down: list[str] = []

    async def unusable_servers(self) -> list[str]:
        return [f"NATS at {server} does not answer" for server in self._down]

    async def account(self) -> Account:
        if isinstance(self._account, Exception):
            raise self._account
        return self._account

    async def consumer(self, _stream: str, name: str) -> Consumer:
        if name not in self._consumers:
            raise NotThere(f"NATS has no consumer {name}")
        config = {"durable_name": name, "ack_policy": "explicit", **self._consumers[name]}
        return Consumer.of({"config": config, **self._state})


class Greeted:
    """Stands in for what the components said when the run began."""

    def __init__(self, *, jetstream: bool) -> None:
        self.nats = self
        self._info = ServerInfo(version="2.15.1", jetstream=jetstream)

    def get(self) -> ServerInfo:
        return self._info


async def judged(nats: Any, *, jetstream: bool, notes: list[str] | None = None) -> None:
    components: Any = Greeted(jetstream=jetstream)
    await jetstream_has_room(components, nats, PROFILE, notes.append if notes is not None else print)


async def test_jetstream_of_other_servers_is_as_good() -> None:
    await judged(Nats(), jetstream=False)
    await judged(Nats(), jetstream=True)


async def test_each_server_that_is_down_is_noted_while_another_answers() -> None:
    nats, notes = Nats(), list[str]()
    nats._down = ["nats://one:4222", "nats://three:4222"]
    await judged(nats, jetstream=True, notes=notes)
    assert notes == ["NATS at nats://one:4222 does not answer", "NATS at nats://three:4222 does not answer"]


async def test_a_server_that_leads_to_no_jetstream() -> None:
    silent = NonConformance("JetStream is not enabled on nats://nats:4222: no answer to $JS.API.INFO: no responders")
    with pytest.raises(NonConformance, match=r"runs without JetStream, and reaches none: .* no responders"):
        await judged(Nats(silent), jetstream=False)
    with pytest.raises(NonConformance, match=r"^JetStream is not enabled"):
        await judged(Nats(silent), jetstream=True)


async def test_who_may_not_ask_for_the_account_does_not_know() -> None:
    for jetstream in (True, False):
        with pytest.raises(Inconclusive, match=r"nats\.auth"):
            await judged(Nats(Inconclusive("NATS does not permit it: see nats.auth")), jetstream=jetstream)


ONE = with_consumers(PROFILE, failed=NAMES.consumers.completed)
assert PROFILE.contract.messages.failed
COMPLETED, FAILED = PROFILE.contract.messages.completed.subject, PROFILE.contract.messages.failed.subject


async def test_one_consumer_may_collect_both() -> None:
    nats: Any = Nats(consumers={NAMES.consumers.completed: {"filter_subjects": [COMPLETED, FAILED]}})
    await consumers_collect(nats, ONE)


@pytest.mark.parametrize("subject", [COMPLETED, FAILED])
async def test_one_consumer_that_collects_one_of_them(subject: str) -> None:
    nats: Any = Nats(consumers={NAMES.consumers.completed: {"filter_subject": subject}})
    (other,) = {COMPLETED, FAILED} - {subject}
    with pytest.raises(AssertionError, match=rf"(?m)filters {subject}, not {other}$"):
        await consumers_collect(nats, ONE)


async def test_one_consumer_that_is_missing_is_told_once() -> None:
    nats: Any = Nats()
    with pytest.raises(AssertionError, match=rf"(?m)^NATS has no consumer {NAMES.consumers.completed}$"):
        await consumers_collect(nats, ONE)


@pytest.mark.parametrize(("rest", "words"), [({"pause_remaining": 90 * 10**9}, " for another 90 s"), ({}, "")])
async def test_a_consumer_that_is_paused_collects_nothing(rest: dict[str, int], words: str) -> None:
    state: dict[str, Any] = {"paused": True, **rest}
    nats: Any = Nats(consumers={NAMES.consumers.completed: {}}, **state)
    with pytest.raises(
        AssertionError, match=rf"(?m){NAMES.consumers.completed} is paused: nothing is delivered{words}$"
    ):
        await consumers_collect(nats, ONE)


REVIEWS = load("swe-ai-fleet-d-envelope")


async def test_who_collects_what_deliberations_publish_elsewhere() -> None:
    own, failed, reviews = REVIEWS.nats.consumers.names
    there = {own: {"filter_subject": COMPLETED}, failed: {"filter_subject": FAILED}}
    nats: Any = Nats(consumers=there)
    with pytest.raises(AssertionError, match=rf"(?m)^NATS has no consumer {reviews}$"):
        await consumers_collect(nats, REVIEWS)
    reviewed = REVIEWS.contract.messages.completed.deliberation_subject
    await consumers_collect(Nats(consumers={**there, reviews: {"filter_subject": reviewed}}), REVIEWS)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match=rf"(?m)^{own} filters {COMPLETED}, not {reviewed}$"):
        await consumers_collect(nats, with_consumers(REVIEWS, deliberations=""))
