"""An entry of the action log as REST and the exported files show it."""

from typing import Any

from services.notifier.store.action_log import ActionRow
from shared.schemas.base import format_instant


def shown(row: ActionRow) -> dict[str, Any]:
    """Return the entry as REST and the exports show it."""
    changes = list(row.changes)
    if row.subject is not None:
        changes = [(_field_of(row.subject), row.old, row.new), *changes]
    is_decision = row.position_partition is not None
    return {
        "seq": row.seq,
        "id": f"{row.event_id}#{row.part}",
        "at": format_instant(row.at),
        "recorded_at": format_instant(row.recorded_at),
        "actor": {"kind": row.actor_kind, "id": row.actor_id},
        "type": row.type,
        "event": row.event_type,
        "user": row.user_id,
        "module": row.module,
        "from": {field: before for field, before, _ in changes},
        "to": {field: after for field, _, after in changes},
        "reason": row.reason,
        "details": row.details,
        "decision": row.event_id if is_decision else None,
        "position": {"partition": row.position_partition, "offset": row.position_offset} if is_decision else None,
        "correlation": row.correlation,
    }


def _field_of(subject: str) -> str:
    """Return the name of what changed: `state` for a seat and a tenant, otherwise the kind of the subject."""
    kind = subject.partition(":")[0]
    return "state" if kind in ("seat", "tenant") else kind
