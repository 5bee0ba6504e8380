"""HR events to `POST /v1/tenants/{tenant}/hr-events`, which takes single facts and whole timelines as an HR system sends them. Imports of
files are staged instead (`cli/hr/importing.py`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cli.rest import Rest
from shared.hr_files.company import BadRow
from shared.schemas.hr_v1 import HrFact, PersonReported
from shared.schemas.registry import type_of

CHUNK_EVENTS = 250  # about 70 KB, well under the 1 MB that a request may have


@dataclass
class Sent:
    accepted: int = 0
    rejected: list[BadRow] = field(default_factory=list)


def event_json(fact: HrFact | PersonReported) -> dict[str, Any]:
    """As the REST endpoint takes it: the type's last word, and only the fields that are given."""
    return {"type": type_of(type(fact)).rsplit(".", 1)[1], **fact.model_dump(mode="json", exclude_unset=True)}


async def send(rest: Rest, tenant: str, source: str, facts: Sequence[HrFact | PersonReported], chunk_events: int = CHUNK_EVENTS) -> Sent:
    """Send the facts in chunks, in order. users derives each event's id from its content, so sending the same again changes nothing."""
    sent = Sent()
    for begin in range(0, len(facts), chunk_events):
        chunk = facts[begin : begin + chunk_events]
        body = {"source": source, "events": [event_json(fact) for fact in chunk]}
        answer = await rest.post("users", f"/v1/tenants/{tenant}/hr-events", body)
        sent.accepted += answer["accepted"]
        for refused in answer["rejected"]:
            person = chunk[refused["index"]].external_id
            sent.rejected.append(BadRow("", 0, f"{person}: {words(refused['errors'])}", person))
    return sent


def words(errors: str | Sequence[Mapping[str, Any] | str]) -> str:
    """The fields of a refusal and what is expected of each."""
    if isinstance(errors, str):
        return errors
    return "; ".join(f"{e.get('field')}: {e.get('expected') or e.get('detail')}" if isinstance(e, Mapping) else str(e) for e in errors)
