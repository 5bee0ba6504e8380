"""The REST about the links of invitations, in memory, for the console."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.console_people import HOSTILE, refusal, reply


def invitation(state: str = "open", *modules: str | None, **more: Any) -> dict[str, Any]:
    """Return an invitation to two modules; `modules` are their states after the acceptance."""
    names = (("projects", "Projects"), ("lab", "Laboratory <b>"))
    states = modules or (None, None)
    return {
        "tenant": "acme", "tenant_name": "Alpenrose AG", "user": "u5", "name": "Carla Rossi", "login": "carla", "state": state,
        "expires_at": "2026-03-12T09:00:00.000Z", "time_zone": "Europe/Zurich", "reserved": True, "pending": False, "may_sign_in": False,
        "test_time": None, "invited_by": None,
        "modules": [{"module": module, "name": name, "state": each} for (module, name), each in zip(names, states, strict=True)],
    } | more  # fmt: skip


@dataclass
class InvitationsRest:
    """Invitations by their tokens."""

    found: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            "open": invitation(),
            "full": invitation(reserved=False, tenant_name=HOSTILE, name="x" * 200),
            "active": invitation("accepted", "active", "active", may_sign_in=True),
            "owner": invitation("accepted", may_sign_in=True) | {"modules": []},
            "new owner": invitation(reserved=False) | {"modules": []},
            "waiting": invitation("accepted", "active", "waiting"),
            "refused": invitation("accepted", "refused", "refused"),
            "flagged": invitation("accepted", "active", "flagged"),
            "expired": invitation("expired"),
            "replaced": invitation("replaced"),
            "readdressed": invitation("readdressed"),
            "withdrawn": invitation("withdrawn", expires_at=None),
        }
    )
    accepted: list[str] = field(default_factory=list)

    def handle(self, step: str, token: str) -> httpx.Response:
        found = self.found.get(token)
        if found is None or (step == "accept" and found["state"] != "open"):
            return refusal(404, "not-found", "The service found no invitation with this token.")
        if step == "accept":
            self.accepted.append(token)
            pending = [each | {"state": "pending"} for each in found["modules"]]
            self.found[token] = found | {"state": "accepted", "pending": True, "modules": pending}
            return reply({"tenant": found["tenant"], "user": found["user"]})
        return reply(found)
