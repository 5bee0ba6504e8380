"""Ports are free ones, and the same again after a restart."""

import socket
import subprocess
import sys
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


def test_a_port_that_nobody_listens_on_yet_is_picked_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    only(ports.pick(), monkeypatch)
    with pytest.raises(OSError, match="there is no free port"):
        ports.pick()


def test_a_port_that_nobody_listens_on_yet_is_not_picked_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stacks that start at the same time: the first one listens some seconds after it has chosen."""
    picks = "from deploy.local import ports; print(ports.pick(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", picks], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        only(port, monkeypatch)
        (tmp_path / "ports.json").write_text(f'{{"users": {port}}}')
        assert ports.is_free(port)
        with pytest.raises(OSError, match="there is no free port"):
            ports.pick()
        with pytest.raises(OSError, match="there is no free port"):
            Ports(tmp_path / "ports.json").get("users")
        other.communicate("\n")
    assert Ports(tmp_path / "ports.json").get("users") == port, "it is given back when that process ends"


def only(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "LOWEST", port)
    monkeypatch.setattr(ports, "HIGHEST", port)
