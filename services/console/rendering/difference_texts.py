"""How conflicts and differences between sources read. The texts are those of the catalogues."""

from typing import Final

from shared.translations import N_

SAYS: Final = {
    "employed": N_("employed"),
    "blocked": N_("login blocked"),
    "later": N_("employed later"),
    "ended": N_("no longer employed"),
}
CONFLICTS: Final = {
    "login_in_use": N_("Another employed person has the same login."),
    "several_people": N_("Several people match."),
    "same_source": N_("The person who matches is known to the same source under another id."),
    "privileged": N_("The person who matches by e-mail address only may manage people or purchases."),
    "possible_duplicate": N_("The source added many people who match nobody."),
}
KINDS: Final = {
    "not_in_hr": N_("No HR system knows this person."),
    "not_in_scim": N_("No identity provider knows this person."),
    "ended": N_("One source has ended the employment, and another has not."),
    "blocked": N_("One source blocks the login, and another employs the person."),
    "override": N_("An administrator has set the employment, and the sources say the opposite."),
    "conflict": N_("The person may be somebody whom you have already."),
    "no_seat": N_("The person is employed and has no seat."),
    "seats_differ": N_("The seats differ from what is recorded about the person."),
    "value": N_("Sources state different values."),
}
# By kind and reason; an empty reason stands for all others.
ADVICE: Final = {
    ("not_in_hr", ""): N_(
        "If an HR system reports the person later, both become one person. If the person does not work here, set the last working day."
    ),
    ("not_in_scim", ""): N_(
        "If the identity provider adds the person later, both become one person. Until then it cannot block the login."
    ),
    ("ended", "still_employed"): N_(
        "The person counts as employed. If the other source ends the employment as well, the seats are given up."
    ),
    ("ended", "left"): N_("The person counts as one who has left. If that is right, remove the person from the other source."),
    ("blocked", ""): N_("The person takes no seat. If the source allows the login again, the seats are requested."),
    ("override", ""): N_("If you remove what was set, the sources decide again."),
    ("conflict", "possible_duplicate"): N_(
        "Confirm that the people of the source are new, or link this person to a person who exists already."
    ),
    ("conflict", ""): N_("Link the two entries if they are one person, separate them if they are two, or change one login."),
    ("no_seat", "kind"): N_("Only employees take seats. Change the kind if the person needs one."),
    ("no_seat", "may_not_log_in"): N_("The login is blocked. Activate the person to request the seats."),
    ("no_seat", "login_blocked"): N_("The source of the person, such as your identity provider, blocks the login. Allow it there."),
    ("no_seat", "no_login"): N_("The person has no login. With a login, the seats are requested."),
    ("no_seat", "login_ended"): N_("The login has ended. Set a later day, or none."),
    ("no_seat", "invited"): N_("The invitation is not accepted yet. The seats are requested when it is."),
    ("no_seat", "not_subscribed"): N_("The modules of the profile are not subscribed."),
    ("no_seat", "no_profile"): N_("Neither the person nor the department has a profile. Give one of them a profile."),
    ("no_seat", "no_modules"): N_("The profile has no modules. Add modules, or choose another profile."),
    ("no_seat", "pending"): N_("The seats are being decided. This usually takes a second."),
    ("no_seat", "waiting"): N_("The person waits for a licence. Buy licences, or deactivate somebody."),
    ("no_seat", "refused"): N_("The seats were refused. Buy licences or deactivate somebody, then request the seats again."),
    ("no_seat", "revoked"): N_("The person lost the access. Activate the person to request the seats again."),
    ("no_seat", "withdrawn"): N_("The person lost the module. Request it again on the page of the person."),
    ("seats_differ", ""): N_("This usually ends within seconds. If it stays, ask the vendor."),
}
