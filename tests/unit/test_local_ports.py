"""Ports are free ones, and the same again after a restart."""

import socket
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.ports import Ports


def test_a_port_is_the_same_again_while_it_is_free(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json").get("users")
    assert Ports(tmp_path / "ports.json").get("users") == first


def test_a_remembered_port_that_another_took_is_replaced(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json").get("users")
    with socket.create_server(("127.0.0.1", first)):
        second = Ports(tmp_path / "ports.json").get("users")
        assert second != first
        assert ports.is_free(second)
    assert Ports(tmp_path / "ports.json").get("users") == second


def test_a_wanted_port_that_is_taken_is_refused_by_name(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(OSError, match=f"another process uses port {taken}, which is set for users"):
            Ports(tmp_path / "ports.json").get("users", taken)


def test_parts_of_one_stack_get_different_ports(tmp_path: Path) -> None:
    found = Ports(tmp_path / "ports.json")
    taken = [found.get(f"part-{number}") for number in range(20)]
    assert len(set(taken)) == len(taken)
    assert all(ports.LOWEST <= port <= ports.HIGHEST for port in taken)
