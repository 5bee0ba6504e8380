"""The cookies of the console. All are HttpOnly and SameSite=Lax; over https they are Secure and belong to this host alone (`__Host-`).

Over plain http, which the settings allow on this machine only, they are neither, because browsers would refuse them.
"""

from dataclasses import dataclass
from typing import Final

from fastapi import Response

from services.console.settings import Settings


@dataclass(frozen=True, slots=True)
class Cookie:
    """`seconds`: how long the browser keeps it; None: until it is closed."""

    plain_name: str
    seconds: int | None

    def name(self, settings: Settings) -> str:
        return f"__Host-{self.plain_name}" if settings.is_secure else self.plain_name

    def set(self, response: Response, settings: Settings, value: str) -> None:
        response.set_cookie(
            self.name(settings), value, max_age=self.seconds, path="/", secure=settings.is_secure, httponly=True, samesite="lax"
        )

    def delete(self, response: Response, settings: Settings) -> None:
        response.delete_cookie(self.name(settings), path="/", secure=settings.is_secure, httponly=True, samesite="lax")


YEAR_SECONDS: Final = 365 * 86_400
SESSION: Final = Cookie("seatpool_session", 8 * 3600)  # opaque; users decides when the session ends
BROWSER: Final = Cookie("seatpool_browser", YEAR_SECONDS)  # random: the tokens of forms are bound to it
LANGUAGE: Final = Cookie("seatpool_language", YEAR_SECONDS)
NOTICE: Final = Cookie("seatpool_notice", 60)  # sealed: what the next page says first
FORM: Final = Cookie("seatpool_form", 3600)  # sealed: a form that was sent after its session had ended
FLOW: Final = Cookie("seatpool_flow", 900)  # sealed: a sign-in with an identity provider that is under way
