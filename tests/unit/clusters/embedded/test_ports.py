"""The block of ports that a run holds."""

import contextlib
import errno
import socket
from collections.abc import Iterator

import pytest

from fixtures.clusters.embedded.ports import PARTS, SIZE, PortBlock, is_free
from fixtures.core.errors import Inconclusive, UsageError


@pytest.fixture
def block() -> Iterator[PortBlock]:
    block = PortBlock.claim()
    yield block
    block.close()


def test_two_runs_never_share_a_block(block: PortBlock) -> None:
    other = PortBlock.claim()
    try:
        assert abs(other.base - block.base) >= SIZE
    finally:
        other.close()


def test_a_block_that_another_run_holds_cannot_be_named(block: PortBlock) -> None:
    with pytest.raises(UsageError, match="another run"):
        PortBlock.claim(block.base + 1)


def test_a_taken_port_is_named(block: PortBlock) -> None:
    base = block.base
    block.close()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # an earlier run's connections may linger
        listener.bind(("127.0.0.1", base + 7))
        listener.listen()
        with pytest.raises(UsageError, match=f"port {base + 7} is taken"):
            PortBlock.claim(base)
        assert PortBlock.claim().base != base, "a block with a taken port was chosen"
    PortBlock.claim(base).close()


@pytest.mark.parametrize("base", [0, 80, 65_500, 70_000])
def test_an_impossible_base_says_what_is_allowed(base: int) -> None:
    with pytest.raises(UsageError, match="between 1024 and"):
        PortBlock.claim(base)


def test_kept_ports_are_given_once_and_others_come_round_last(block: PortBlock) -> None:
    kept = block.keep()
    taken = [block.take() for _ in range(PARTS - 1)]
    assert len({kept, *taken}) == PARTS
    assert block.take() == taken[0], "the port given out longest ago comes first"


def test_a_used_up_block_is_said(block: PortBlock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixtures.clusters.embedded.ports.is_free", lambda _: False)
    with pytest.raises(Inconclusive, match="all in use"):
        block.take()


def test_a_listener_on_any_address_takes_the_port(block: PortBlock) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.2", block.base))
        listener.listen()
        assert not is_free(block.base)


@pytest.mark.parametrize("only", [0, 1])
def test_a_listener_on_ipv6_alone_takes_the_port(block: PortBlock, only: int) -> None:
    try:
        listener = socket.create_server(("::1", block.base), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with listener:
        assert not is_free(block.base)
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier fleet may linger
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        listener.bind(("::", block.base))
        listener.listen()
        assert not is_free(block.base)


def test_a_machine_without_ipv6_has_free_ports(block: PortBlock, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = socket.socket

    def without(family: int = socket.AF_INET, *more: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return usual(family, *more)

    monkeypatch.setattr(socket, "socket", without)
    assert is_free(block.base)


def test_ray_clients_servers_have_ports_that_no_part_is_given() -> None:
    with contextlib.closing(PortBlock.claim()) as block:
        assert len(block.client_servers) == SIZE - PARTS
        assert not {block.take() for _ in range(PARTS)} & set(block.client_servers)


def test_a_fleet_of_many_workers_has_a_larger_block(block: PortBlock) -> None:
    with contextlib.closing(PortBlock.claim(parts=430)) as large:
        assert len({large.take() for _ in range(430)}) == 430
        assert len(large.client_servers) == SIZE - PARTS
        held = range(large.base, large.base + large.size)
        assert not set(large.client_servers) & {large.take() for _ in range(500)}
        assert block.base not in held
        with pytest.raises(UsageError, match="another run"):
            PortBlock.claim(large.base + 2 * SIZE)
