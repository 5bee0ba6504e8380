"""What the notifier can be told from outside."""

from pydantic import Field, SecretStr

from shared.settings import CommonSettings, DatabaseSettings, KafkaSettings, own_port


class Settings(CommonSettings, KafkaSettings, DatabaseSettings):
    port: int = own_port(8004)
    smtp_url: SecretStr = Field(
        SecretStr("smtp://127.0.0.1:1025"),
        description="Mail server: smtp://host:port (TLS if it offers it; needed when a user:password@ is given) or smtps://user:password@host:port.",
    )
    smtp_timeout_seconds: float = Field(30, gt=0, description="How long one answer of the mail server is waited for.")
    mail_from: str = Field("Seatpool <seatpool@localhost>", description="Sender of all mails; its domain stands in their Message-IDs.")
    mail_connections: int = Field(2, ge=1, le=20, description="Connections to the mail server at once.")
    mail_give_up_hours: float = Field(72, gt=0, description="After this time of temporary refusals a mail is marked failed.")
    mail_texts_kept_days: float = Field(
        400, gt=0, description="After this time the words of sent mails are emptied, and old notices deleted."
    )
    gather_quiet_seconds: float = Field(2.0, ge=0, description="A gathering of notices is mailed when nothing new came for this long...")
    gather_longest_seconds: float = Field(30.0, ge=0, description="...or this long after its first notice at most.")
    unknown_recipient_hours: float = Field(
        1.0,
        ge=0,
        description="How long, in the tenant's time, a notice waits for a person who is not known yet; then administrators get it.",
    )
    licences_page_url: str = Field(
        "", description="Page where licences are bought, `{tenant}` filled in; empty: mails name the REST address."
    )
