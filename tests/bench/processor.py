"""The processor time that the parts of a stack use: unlike a rate, it can be compared while other work runs on the machine."""

import os
from collections.abc import Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """Return the seconds that each part has used so far with all its children, and those of this process as `client`."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # the process has ended
        pid = int(path.parent.name)
        parents[pid] = int(fields[1])
        used[pid] = sum(int(each) for each in fields[11:15]) / _TICKS  # user and system time, with that of children that have ended
    owners = {pid: part for part, pid in pids.items()}
    found = dict.fromkeys(pids, 0.0)
    for pid, seconds in used.items():
        each = pid
        while each not in owners and each in parents:
            each = parents[each]
        if each in owners:
            found[owners[each]] += seconds
    times = os.times()
    return found | {"client": times.user + times.system}


def difference(before: Mapping[str, float], after: Mapping[str, float], count: int) -> dict[str, float]:
    """Return the milliseconds of each part between the two for each of `count`, and their sum."""
    each = {part: round((after[part] - before[part]) / count * 1000, 2) for part in before if after[part] - before[part] >= 0.05}
    return each | {"all": round(sum(each.values()), 2)}
