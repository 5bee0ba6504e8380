"""How people's statuses, the states of their modules and the reasons of decisions read. The texts are those of the catalogues."""

from dataclasses import dataclass
from typing import Final

from services.console.rendering.navigation import N_


@dataclass(frozen=True, slots=True)
class Shown:
    """A state: its text, its tone (good, info, warning, bad or empty) and its icon."""

    text: str
    tone: str = ""
    icon: str = ""


STATUSES: Final = {
    "active": Shown(N_("Active"), "good"),
    "invited": Shown(N_("Invited"), "info", "mail"),
    "over_limit": Shown(N_("Over the limit"), "bad", "warning"),
    "waiting": Shown(N_("Waiting"), "warning", "clock"),
    "refused": Shown(N_("Refused"), "bad", "warning"),
    "not_subscribed": Shown(N_("Not subscribed")),
    "deactivated": Shown(N_("Seat lost"), "bad", "warning"),
    "conflict": Shown(N_("In conflict"), "warning", "warning"),
    "inactive": Shown(N_("Inactive")),
    "left": Shown(N_("Left")),
}
IMPORTED_STATUSES: Final = STATUSES | {"expected": Shown(N_("Not employed yet"))}  # as an import states them
STATES: Final = {
    "active": Shown(N_("has a seat"), "good", "check"),
    "flagged": Shown(N_("over the limit"), "bad", "warning"),
    "held": Shown(N_("reserved"), "info", "clock"),
    "waiting": Shown(N_("waiting"), "warning", "clock"),
    "refused": Shown(N_("refused"), "bad", "warning"),
    "revoked": Shown(N_("lost"), "bad", "warning"),
    "withdrawn": Shown(N_("lost"), "bad", "warning"),
    "pending": Shown(N_("being decided"), "info", "clock"),
    "not_subscribed": Shown(N_("not subscribed")),
    "released": Shown(N_("given up")),
}
NOTES: Final = {
    "unknown_department": N_(
        "The department is not listed under Profiles and departments, so this person has no profile and takes no seat."
    ),
    "unknown_profile": N_("A profile of this person is not defined, so its modules are not required."),
    "command_rejected": N_("The last change could not be decided, because the request was not valid. Ask the vendor."),
    "command_failed": N_("The last change could not be decided because of an error. Ask the vendor."),
}
KINDS: Final = {"employee": N_("Employee"), "external": N_("External"), "service": N_("Service account")}
FIELDS: Final = {
    "name": N_("Name"),
    "login": N_("Login"),
    "email": N_("E-mail address"),
    "job_title": N_("Job title"),
    "department": N_("Department"),
    "profile": N_("Profile"),
    "kind": N_("Kind"),
    "valid_to": N_("Login works until"),
    "login_allowed": N_("May log in"),
    "may_log_in": N_("May log in"),
    "employee_number": N_("Employee number"),
    "employed": N_("Employment"),
    "status": N_("Status"),
}
NO_ACCESS_YET: Final = N_(
    "The person still gets no access: the login is missing, has ended, or a source blocks it, or the profile has no modules. Edit the "
    "person, or correct it in the source."
)
EFFECT_UNKNOWN: Final = N_(
    "The effect on the seats cannot be computed now, because a service does not answer. Where no licence is free, the policy of the "
    "module decides: licences may be added and charged. You can go on, or wait a minute and try again."
)
REASONS: Final = {
    # why it was asked
    "hired": N_("The person was added."),
    "changed": N_("The data of the person changed."),
    "left": N_("The person left."),
    "reactivated": N_("The person was reactivated."),
    "requested_again": N_("The seats of refused people were requested again."),
    "pool_opened": N_("A module was opened."),
    "pool_closed": N_("The module was closed."),
    "terminated": N_("The employment was terminated."),
    "leaving_withdrawn": N_("The leaving was taken back."),
    "replaced": N_("One person replaced another."),
    "invited": N_("The person was invited."),
    # why it was decided so
    "licence_free": N_("A licence was free."),
    "over_limit": N_("All licences were in use, and the module allows people over the limit for a time."),
    "licence_bought": N_("Licences were bought."),
    "seat_released": N_("Another person gave up a seat."),
    "reduction": N_("The number of licences was reduced."),
    "restored": N_("A purchase brought back people who had lost access."),
    "last_administrator": N_("The last administrator keeps a seat, so another person is over the limit."),
    "expanded": N_("The module expanded by itself, and the licence is charged."),
    "period_began": N_("A new period began with fewer licences."),
    "grace_expired": N_("The deadline passed, and no licence had become free."),
    "base_module_revoked": N_("The person lost the base module, and with it all other modules."),
    "hold_expired": N_("The invitation ended before it was accepted."),
    "no_longer_needed": N_("The person no longer requires the module."),
    "pool_full": N_("All licences were in use."),
    "flag_cap": N_("All licences were in use, and no more people may be over the limit."),
    "expand_cap": N_("All licences were in use, and the module may not expand further."),
    "grace_used": N_("All licences were in use, and the person had used up the time over the limit."),
    "revoked": N_("The person lost this module before, and nobody has reactivated the person since."),
    "base_module_refused": N_("The base module was refused, and the other modules need it."),
    "other_module_refused": N_("Another module was refused, and the profile gives all its modules or none."),
    "hold_past": N_("The reservation would have ended before it was decided."),
    "unknown_module": N_("The module is not subscribed."),
    "no_pool": N_("The module is not subscribed."),
    "required_module_missing": N_("The module requires another one, which the person does not get."),
    "nothing_to_replace": N_("The person who was to be replaced had no seat."),
    "already_seated": N_("The person who was to take over had a seat already."),
}
