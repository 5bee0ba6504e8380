"""What the notifier answers."""

from pydantic import BaseModel


class Statistics(BaseModel):
    """Counts (person, module): flagged now, revoked and refused over the whole run; `mails` are those sent."""

    flagged: int
    revoked: int
    refused: int
    mails: int
    mails_failed: int
    actions: int
