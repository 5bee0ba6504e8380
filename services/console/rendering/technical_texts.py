"""What services write in codes, in the reader's language: why a message is a dead letter, and which error a SCIM client got. The rest of
what they write is a technical detail, and is shown as one."""

from collections.abc import Mapping
from typing import Final

from services.console.rendering.known_texts import Gettext
from services.console.rendering.problem_texts import TEXTS
from shared.translations import N_

# `tests/unit/test_console_technical_texts.py` reads the sources of the services, and fails if a reason is missing.
REASONS: Final[Mapping[str, str]] = {
    "unreadable": N_("The message cannot be read."),
    "batch": N_("The messages were sent in a batch that cannot be read."),
    "envelope": N_("A header of the message is missing or wrong."),
    "body": N_("A field of the message is missing or wrong."),
    "key": N_("The key of the message is not the id of its tenant."),
    "topic": N_("The message belongs on another topic."),
    "wrong_topic": N_("This source may not send to this topic."),
    "wrong_source": N_("This sender may not send messages of this type."),
    "wrong_partition": N_("The message is in the wrong partition."),
    "source": N_("This source is not allowed for the tenant."),
    "position": N_("The message names a position that it cannot have."),
    "version": N_("The same version was reported with another content."),
    "rule": N_("A value breaks a rule."),
    "unknown-type": N_("This version does not know the type of the message."),
    "unknown_type": N_("This version does not know the type of the message."),
    "unknown-tenant": N_("There is no such tenant."),
    "too-large": N_("The result of the message is too large to be sent."),
    "too_large": N_("The result of the message is too large to be sent."),
    "order": N_("Licences were added for an order that invoicing does not know."),
    "history": N_("The invoices do not agree with what was recorded."),
    "behind-dead-letter": N_("An earlier message of this tenant is a dead letter."),
    "database": N_("The database does not accept a value of the message."),
    "failed": N_("Processing ended with an error of the program."),
    "error": N_("Deciding ended with an error of the program."),
    "invalid_value": N_("A value of the command is not possible."),
    "invalid_count": N_("A number of the command is not possible."),
    "invalid_policy": N_("A policy of the command is not possible."),
    "invalid_time": N_("A time of the command is not possible."),
    "not_a_test_clock": N_("The tenant has a real clock, which nobody can advance."),
}
OTHER: Final = N_("The message was not accepted.")

# Errors of SCIM by their type (RFC 7644, 3.12), or by their status where they have none.
ERRORS: Final[Mapping[str, str]] = {
    "invalidFilter": N_("The search has a filter that is not possible."),
    "tooMany": N_("The search found too many people or groups."),
    "uniqueness": N_("A value, such as the login, belongs to somebody else already."),
    "mutability": N_("The request changes a value that cannot be changed."),
    "invalidSyntax": N_("The request cannot be read."),
    "invalidPath": N_("The change is about a field that does not exist."),
    "noTarget": N_("The filter in the change matches no value."),
    "invalidValue": N_("A value is missing or not possible."),
    "invalidVers": N_("The version of SCIM is not supported."),
    "sensitive": N_("The address of the request contains values that do not belong in an address."),
    "invalidCursor": N_("The search asks for a page that does not exist."),
    "expiredCursor": N_("The search asks for a page that does not exist."),
    "invalidCount": N_("The search asks for a page that does not exist."),
    "400": N_("The request is not possible."),
    "401": N_("The token is not valid."),
    "403": N_("No licence is free, or the client may not do this."),
    "404": N_("The person or group does not exist."),
    "409": N_("The request contradicts what is known already."),
    "412": N_("The person or group was changed meanwhile."),
    "413": N_("The request is too large."),
    "429": N_("There were too many requests in a short time."),
    "500": N_("Seatpool made an error."),
    "501": N_("The request is not supported."),
    "503": N_("Seatpool could not process the request at that time, or stopped it because too many people would lose access."),
}


def reason_text(reason: str, gettext: Gettext) -> str:
    """Return why a message is a dead letter. What a service refuses in its REST, it may refuse in a message as well."""
    text = REASONS.get(reason) or TEXTS.get(reason, "%(")
    has_values = "%(" in text
    return gettext(OTHER) if has_values else gettext(text)


def scim_error_text(error: str, gettext: Gettext) -> str:
    """Return what a SCIM client was refused for, of `409 uniqueness`, with the code, by which the client shows it too."""
    status, _, kind = error.partition(" ")
    text = ERRORS.get(kind) or ERRORS.get(status) or ERRORS["500" if status.startswith("5") else "400"]
    return f"{gettext(text)} ({error})"
