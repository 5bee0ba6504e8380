"""An e-mail address is valid, and is written, as the library says: a short way for plain addresses must not differ from it."""

from collections.abc import Callable

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError, validate_email
from pydantic_core import PydanticCustomError

from shared.schemas.base import OptionalEmail

DOMAINS = [
    "acme.example",
    "ACME.Example",
    "münchen.de",
    "xn--mnchen-3ya.de",
    "a..b",
    "localhost",
    "acme.test",
    "-a.de",
    "[1.2.3.4]",
    "a.de.",
]
DOMAINS += ["ac me.de", "acme．de", "a.de>", "", "d" * 64 + ".de", ".".join(["d" * 60] * 4), "ü" * 40 + "." + "d" * 60 + ".de"]
LOCAL_PARTS = st.text("abz019._-", max_size=66) | st.text("aZ0.-_+'@ <>\"é\u200b;,", max_size=9) | st.text(max_size=5)
ADDRESS: TypeAdapter[str] = TypeAdapter(OptionalEmail)


def _read(read: Callable[[str], str], text: str) -> str:
    """Return the address, or the error."""
    try:
        return read(text)
    except ValidationError as error:
        return error.errors()[0]["msg"]
    except PydanticCustomError as error:
        return error.message()


@given(LOCAL_PARTS, st.sampled_from(DOMAINS) | st.text("ab.-1é ", max_size=12))
@example("a" * 241, "acme.example")
@example("a" * 242, "acme.example")
@example("a" * 60, ".".join(["d" * 60] * 3) + ".example")
@example("info", "acme.example")
def test_an_address_is_read_as_the_library_reads_it(local: str, domain: str) -> None:
    text = f"{local}@{domain}"
    assert _read(ADDRESS.validate_python, text) == _read(lambda value: validate_email(value)[1], text)
