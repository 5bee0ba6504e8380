"""Which login and e-mail address of a person count for sign-in.

Sources can correct these at any time, and nobody needs a right in the console for that. For a person who holds a role, such a change counts
for sign-in only after it is confirmed: by the person, or by somebody with all the person's rights. Otherwise a sender of HR data could give
an owner an address of their own, and sign in as the owner. Until then the values that counted before go on to count.

The rule for people who get a role later: who gives a role by a request is shown with what the person signs in, and so confirms it. A
group of an identity system gives a role to the person whom that system describes (`as_identity_systems_state`).

A login and an address count for the rights of the one who stated or confirmed them. Somebody with fewer rights can state them of a person
with a small role, which is changed later, or joined by the role of another group: with the first right that goes further, nothing counts
until somebody with all the person's rights confirms it.
"""

from collections.abc import Iterable

from services.users.domain.facts import Record
from services.users.domain.logins import login_key


def confirmed_login(kept: str | None, before: Record | None, after: Record | None, *, covers: bool) -> str | None:
    """Return the login, as logins are compared, that counts instead of the one of `after`; None: that one counts.

    `kept` is the same of the person before. `covers`: the sender of the change has all rights of the person.
    """
    old, new = (None if record is None else login_key(record.login) for record in (before, after))
    return _confirmed(kept, old, new, covers=covers)


def confirmed_email(kept: str | None, before: Record | None, after: Record | None, *, covers: bool) -> str | None:
    """Return the e-mail address that counts instead of the one of `after`; None: that one counts."""
    old, new = (None if record is None else record.email for record in (before, after))
    found = _confirmed(kept, old, new, covers=covers)
    return None if found is not None and new is not None and same_address(found, new) else found


def _confirmed(kept: str | None, old: str | None, new: str | None, *, covers: bool) -> str | None:
    counted = kept if kept is not None else old or ""
    if new == counted or (covers and new is not None and new != old):
        return None
    return counted


def same_address(one: str, other: str) -> bool:
    """Return whether two addresses differ only in the case of ASCII letters: other letters that look alike can be of another domain."""
    return one.isascii() and other.isascii() and one.lower() == other.lower()


def as_identity_systems_state(value: str, stated: Iterable[str]) -> str | None:
    """Return what counts for sign-in instead of `value` when groups give a person the first role; None: `value` counts.

    `stated` is what the person's identity systems state. It counts if they agree; if they do not, or state nothing, nothing counts: any
    sender of HR data could have stated the value.
    """
    found = {each for each in stated if each}
    if found == {value} or not (found or value):
        return None
    return found.pop() if len(found) == 1 else ""
