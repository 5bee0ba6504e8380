"""A new field of tenants is written in eight lines of the whole product."""

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson

from tests.support import tenant_field

ROOT = Path(__file__).parents[2]
FIELD = "cost_centre"
# For each file, the line after which the new one is inserted: the migration, the row and the models of each service.
LINES = (
    ("services/users/migrations/versions/0001_first.py", "    support_contact text NOT NULL,", f"    {FIELD} text,"),
    ("services/users/store/tenants.py", "    support_contact: str", f"    {FIELD}: str | None"),
    ("services/users/api/requests.py", "    support_contact: Annotated[Name, ", f"    {FIELD}: Name | None = None"),
    ("shared/schemas/users_v1.py", "    support_contact: Text", f"    {FIELD}: Text | None = None"),
    ("services/invoicing/migrations/versions/0001_first.py", "    name text, time_zone text,", f"    {FIELD} text,"),
    ("services/invoicing/store/tenants.py", "    support_contact: str", f"    {FIELD}: str | None"),
    ("services/notifier/migrations/versions/0001_first.py", "    support_contact text NOT NULL,", f"    {FIELD} text,"),
    ("services/notifier/store/recipients.py", "    support_contact: str", f"    {FIELD}: str | None"),
)


def insert(path: Path, after: str, line: str) -> None:
    lines = path.read_text().splitlines()
    (at,) = [number for number, each in enumerate(lines) if each.startswith(after)]
    path.write_text("\n".join([*lines[: at + 1], line, *lines[at + 1 :], ""]))


async def test_a_field_added_to_tenants_in_eight_lines_is_in_rest_the_event_and_both_projections(
    tmp_path: Path, make_empty_database: Callable[[], Awaitable[str]]
) -> None:
    for package in ("services", "shared"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file, after, line in LINES:
        insert(tmp_path / file, after, line)
    databases = {service: await make_empty_database() for service in ("users", "invoicing", "notifier")}
    given = {"field": FIELD, "databases": databases, "folder": str(tmp_path / "keys")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", tenant_field.__file__, orjson.dumps(given).decode()),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    values = ["first", "second"]
    assert orjson.loads(out.splitlines()[-1]) == {
        "rest": values,
        "events": values,
        "changes": [{"field": FIELD, "old": "first", "new": "second"}],
        "invoicing": values,
        "notifier": values,
    }
