"""The styles in which a vendor sells its product. A template is what a new tenant begins with: it is data, and the policies can be changed
afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.console.rendering.navigation import N_

EXPANSION_FACTOR: Final = 2  # an automatic expansion goes up to this multiple of the first licences


@dataclass(frozen=True, slots=True)
class TenantTemplate:
    """A style. `policies` are those of each pool, `subscription` those of the subscription, `tenant` settings of the tenant."""

    name: str
    title: str
    text: str
    policies: Mapping[str, Any]
    subscription: Mapping[str, Any] = field(default_factory=dict)
    tenant: Mapping[str, Any] = field(default_factory=dict)
    ordering: str | None = None  # None: as the plan says

    def policies_for(self, licences: int) -> dict[str, Any]:
        """Return the policies of a pool with so many licences. An expansion needs a limit."""
        return dict(self.policies) | ({"expand_cap": licences * EXPANSION_FACTOR} if self.policies["over_limit"] == "expand" else {})


TEMPLATES: Final = (
    TenantTemplate(
        "red-mark",
        N_("Red mark and grace"),
        N_("People over the limit may work for seven days and are shown in red. Then their access ends, unless licences are bought."),
        {"over_limit": "flag", "grace": "P7D", "reduce_below_use": "flag_newest", "reduce_at": "period_end", "warn_at": "90%"},
        {"charge_when": "now"},
    ),
    TenantTemplate(
        "hard-limit",
        N_("Hard limit"),
        N_("Without a free licence nobody is activated, and a number below the use is refused. Somebody has to buy first."),
        {"over_limit": "reject", "reduce_below_use": "block", "reduce_at": "period_end", "warn_at": "90%"},
    ),
    TenantTemplate(
        "auto-expand",
        N_("Automatic expansion"),
        N_(
            "Without a free licence one is added and charged, up to twice the first number. When somebody leaves, the number falls by one. "
            "The next invoice sums up all changes."
        ),
        {
            "over_limit": "expand",
            "reduce_below_use": "block",
            "reduce_at": "now",
            "terminate_reduces_pool": True,
            "warn_at": "90%",
        },
        {"charge_when": "next_invoice", "credit_when": "next_invoice"},
    ),
    TenantTemplate(
        "request-only",
        N_("Request only"),
        N_("The customer asks for licences, you answer with an estimate, and its approval adds them. Nothing can be bought without you."),
        {"over_limit": "reject", "reduce_below_use": "block", "reduce_at": "period_end", "warn_at": "90%"},
        ordering="by_request",
    ),
    TenantTemplate(
        "active-employees",
        N_("Active employees"),
        N_(
            "Each active employee takes a licence of every module. Inactive people, and people whose login has expired, take none. "
            "Without a free licence nobody is activated, and there is a warning in time."
        ),
        {"over_limit": "reject", "reduce_below_use": "flag_newest", "reduce_at": "period_end", "warn_at": "90%"},
        tenant={"release_on_expiry": True},
    ),
)


def template_named(name: str) -> TenantTemplate:
    """Return the template with this name, otherwise the first one."""
    return next((each for each in TEMPLATES if each.name == name), TEMPLATES[0])
