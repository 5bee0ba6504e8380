"""Addresses that come from the browser: where to go next."""


def page_of_console(address: str) -> str:
    """Return the address if a browser takes it for one of this site, otherwise the first page.

    Browsers drop tabs and line breaks, and take a backslash for a slash: `/<tab>/evil.example` leads to another site.
    """
    is_here = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if is_here and address.isprintable() and " " not in address else "/"
