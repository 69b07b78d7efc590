"""The suite's client with several servers of NATS, against real ones: any one that lets it in is enough."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import nats
import pytest

from fixtures.core.errors import Inconclusive, NonConformance
from fixtures.core.polling import wait_until
from fixtures.core.timeouts import Timeouts, applied
from fixtures.services.nats import Nats
from tests.support.reference_stack import free_port
from tests.support.tls_services import secured_nats

WANTS_A_TOKEN = 'authorization { token: "another" }'


@pytest.fixture(autouse=True)
def _short_waits() -> Iterator[None]:
    with applied(Timeouts(request=5)):
        yield


def dead() -> str:
    return f"nats://127.0.0.1:{free_port()}"


async def test_one_that_answers_is_enough(tmp_path: Path) -> None:
    nobody = dead()
    with secured_nats(tmp_path, "") as address, secured_nats(tmp_path, WANTS_A_TOKEN) as stranger:
        alive, refusing = f"nats://{address}", f"nats://{stranger}"
        client = Nats(f"{nobody},{refusing},{alive}", "test")
        assert (await client.info()).jetstream and client.url == alive
        first, second = await client.unusable_servers()
        assert first.startswith(f"NATS at {nobody} does not answer")
        assert second.startswith(f"NATS at {refusing} wants credentials")
        await client.close()


async def test_when_the_server_ends_another_is_taken(tmp_path: Path) -> None:
    with ExitStack() as servers:
        each = [servers.enter_context(ExitStack()) for _ in range(2)]
        addresses = {f"nats://{one.enter_context(secured_nats(tmp_path, ''))}": one for one in each}
        client = Nats(",".join(addresses), "test")
        await client.account()
        first = client.url
        addresses[first].close()

        async def moved() -> bool:
            with suppress(NonConformance):  # what was under way when the server ended
                await client.account()
            return client.url != first

        await wait_until(moved, "the other server", 10)
        assert (await client.info()).jetstream
        await client.close()


async def test_none_that_answers_is_a_failure() -> None:
    servers = [dead(), dead()]
    with pytest.raises(NonConformance, match=r"^none of 2 servers can be used: NATS at .* does not answer.*; NATS at"):
        await Nats(",".join(servers), "test").connect()
    alone = Nats(servers[0], "test")
    assert await alone.unusable_servers() == []
    with pytest.raises(NonConformance, match=r"^NATS at .* does not answer"):
        await alone.connect()


async def test_one_that_only_refuses_the_suite_leaves_it_open(tmp_path: Path) -> None:
    with (
        secured_nats(tmp_path, WANTS_A_TOKEN) as stranger,
        pytest.raises(Inconclusive, match=r"none of 2 servers can be used: .* does not answer.* wants credentials"),
    ):
        await Nats(f"{dead()},nats://{stranger}", "test").connect()


async def test_servers_that_are_not_one_nats(tmp_path: Path) -> None:
    """Each has a JetStream of its own: a stream in one is not that of the other, even where it has the same name."""
    with secured_nats(tmp_path, "") as address, secured_nats(tmp_path, "") as another:
        here, there = f"nats://{address}", f"nats://{another}"
        async with await nats.connect(here) as mine, await nats.connect(there) as others:
            await mine.jetstream().add_stream(name="ANSWERS", subjects=["answers"])
            alone = Nats(here, "test")
            stream = await alone.stream("ANSWERS")
            assert await alone.servers_apart(stream) == []
            both = Nats(f"{here},{there},{dead()}", "test")
            assert await both.servers_apart(stream) == [f"{there} leads to a NATS without a stream ANSWERS"]
            await others.jetstream().add_stream(name="ANSWERS", subjects=["answers"])
            (line,) = await both.servers_apart(stream)
            assert re.fullmatch(rf"{there} leads to another ANSWERS, of \S+Z and not {stream.created}", line)
            assert await Nats(f"{here},{here}", "test").servers_apart(stream) == []
        await alone.close()
