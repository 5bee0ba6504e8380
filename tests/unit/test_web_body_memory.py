"""The memory that a process needs to read a body of 1 MiB, for every kind of body."""

import itertools
import os
import string
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest

from deploy.local import ports

MIB = 1024 * 1024
NUL = r"\u0000"
NAMES = ["".join(letters) for letters in itertools.product(string.ascii_letters + string.digits, repeat=3)]


def filled(begin: str, part: str | Callable[[int], str], end: str, count: int | None = None) -> bytes:
    """JSON of almost 1 MiB: as many parts, separated by commas, as there is room for."""
    made, room = [], MIB - len(begin) - len(end)
    for number in itertools.count():
        made.append(part if isinstance(part, str) else part(number))
        room -= len(made[-1]) + 1
        if room < len(made[-1]) + 20 or len(made) == count:
            return (begin + ",".join(made) + end).encode()
    raise AssertionError


def named(value: str) -> Callable[[int], str]:
    return lambda number: f'"{NAMES[number % len(NAMES)]}":{value}'


WIDE = "{" + ",".join(f'"{name}":0' for name in NAMES[:250]) + "}"


@cache
def bodies() -> dict[str, tuple[str, bytes]]:
    """Return a route and a body by the name of what is special about the body."""
    return {
        "a long key over a list": ("people", filled('{"' + "k" * 60_000 + '":[', "0", "]}")),
        "a long key over NULs": ("people", filled('{"' + "k" * 5_000 + '":[', f'"{NUL}"', "]}")),
        "long keys, each in the other": ("people", ('{"' + "k" * 16_000 + '":') .encode() * 62 + f'"{NUL}"'.encode() + b"}" * 62),
        "unknown fields": ("people", filled("{", named("0"), "}")),
        "unknown fields of NULs": ("people", filled("{", named(f'"{NUL}"'), "}")),
        "keys of NULs": ("people", filled("[", f'{{"{NUL}":0}}', "]")),
        "nested too deeply": ("people", b"[" * MIB),
        "nested too deeply, closed": ("people", b"[" * (MIB // 2) + b"]" * (MIB // 2)),
        "nested often, at the limit": ("people", filled("[", "[" * 63 + "]" * 63, "]")),
        "escaped quotes without an end": ("people", b'[' * 65 + b'"' + rb"\"" * (MIB // 2 - 50)),
        "wide integers": ("people", filled("[", "9" * 20, "]")),
        "emoji": ("people", filled('{"login":"', r"\ud83d\ude00", '"}')),
        "small objects in a plan": ("plan", filled('{"prices":[', "{}", "]}")),
        "unknown fields in the objects of a plan": ("plan", filled('{"prices":[', WIDE, "]}")),
        "a mapping of nothing": ("mapping", filled("{", named("{}"), "}")),
        "a mapping, too long": ("mapping", filled("{", named('"p"'), "}")),
        "small events": ("hr-events", filled('{"source":"hr/x","events":[', "{}", "]}")),
        "events of NULs": (
            "hr-events",
            filled('{"source":"hr/x","events":[', f'{{"type":"person_hired","a":["{NUL}","{NUL}"]}}', "]}", 1000),
        ),
        "an event of unknown fields": (
            "hr-events",
            filled('{"source":"hr/x","events":[{"type":"person_hired",', named("0"), "}]}"),
        ),
        "commands of nothing": ("what-if", filled('{"commands":[', "{}", "]}")),
        "a command of wrong modules": (
            "what-if",
            filled('{"commands":[{"type":"assign_seats","data":{"user":"u","modules":[', "{}", "]}}]}"),
        ),
    }  # fmt: skip


class Server(NamedTuple):
    http: httpx.Client
    token: str
    process: psutil.Process

    def post(self, name: str, token: str | None) -> httpx.Response:
        route, body = bodies()[name]
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        return self.http.post(f"/v1/tenants/acme/{route}", content=body, headers=headers)

    def peak(self) -> int:
        """The most memory that the process ever had, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    port = ports.pick()
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.body_server", str(port)], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        assert child.stdout is not None
        token = child.stdout.readline().strip()
        transport = httpx.HTTPTransport(retries=8)  # until it listens
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, transport=transport) as http:
            for route in ("people", "plan", "mapping", "hr-events", "what-if"):
                for headers in ({}, {"authorization": f"Bearer {token}"}):
                    http.post(f"/v1/tenants/acme/{route}", json={"a": ["x"] * 100}, headers=headers)
            yield Server(http, token, psutil.Process(child.pid))
    finally:
        child.terminate()
        child.communicate(timeout=20)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
def test_a_body_of_1_mib_costs_5_mb_without_a_token_and_100_mb_with_one(server: Server) -> None:
    assert all(len(body) <= MIB for _, body in bodies().values())
    before = server.peak()
    for name in bodies():
        assert server.post(name, None).status_code == 401, name
        assert server.post(name, "x.y.z").status_code == 401, name
    assert server.peak() - before <= 5_000_000, "without a valid token"
    before = server.peak()
    for name in bodies():
        answer = server.post(name, server.token)
        cost = server.peak() - before
        assert answer.status_code in (200, 422), (name, answer.text[:300])
        assert cost <= 100_000_000, f"{name}: {cost / 1e6:.0f} MB"
        assert answer.elapsed.total_seconds() < 5, name
        if answer.is_error:
            assert len(answer.content) <= 16 * 1024, name
            assert 1 <= len(answer.json()["errors"]) <= 20, name
