"""Settings of the notifier."""

from pydantic import Field, SecretStr

from shared.settings import CommonSettings, DatabaseSettings, KafkaSettings, own_port


class Settings(CommonSettings, KafkaSettings, DatabaseSettings):
    port: int = own_port(8004)
    smtp_url: SecretStr = Field(
        SecretStr("smtp://127.0.0.1:1025"),
        description="Address of the mail server: smtp://host:port (STARTTLS if the server offers it; required with user:password@), "
        "or smtps://user:password@host:port (TLS).",
    )
    smtp_timeout_seconds: float = Field(30, gt=0, description="Timeout for one reply of the mail server.")
    email_from: str = Field("Seatpool <seatpool@localhost>", description="Sender of all e-mails. Its domain is part of their Message-IDs.")
    email_connections: int = Field(2, ge=1, le=20, description="Number of parallel connections to the mail server.")
    email_give_up_hours: float = Field(
        72, gt=0, description="An e-mail that the mail server has refused temporarily for this long is marked as failed."
    )
    email_texts_kept_days: float = Field(
        400, gt=0, description="The texts of sent e-mails and their notifications are deleted after this time."
    )
    digest_quiet_seconds: float = Field(
        2.0,
        ge=0,
        description="A digest is sent when no notification was added to it for this long, or after SEATPOOL_DIGEST_LONGEST_SECONDS.",
    )
    digest_longest_seconds: float = Field(30.0, ge=0, description="A digest is sent at the latest this long after its first notification.")
    unknown_recipient_hours: float = Field(
        1.0,
        ge=0,
        description="How long (in the tenant's time) a notification waits for the person's e-mail address before administrators get it.",
    )
    invitation_page_url: str = Field(
        "",
        description="URL of the page where an invitation is accepted; `{token}` is replaced. If it is empty, it is that of the console, or "
        "e-mails name the REST address.",
    )
    operator_email: str = Field(
        "", description="The e-mail address of the vendor's operators. It gets what only they can mend; if it is empty, nobody does."
    )
    console_url: str = Field(
        "", description="The address of the console, to whose pages e-mails link. If it is empty, e-mails name REST addresses."
    )
    licences_page_url: str = Field(
        "",
        description="URL of the page where licences are bought; `{tenant}` is replaced. If it is empty, it is the page of the console.",
    )
