"""`seatpool`: the operator's and developer's command. It speaks REST and the shared contracts only, and imports no service."""

import logging

import stamina.instrumentation
import structlog
import typer

from cli import dlq, hr, replay, settings_page, stack, token, topics, users
from cli.demo import command as demo

app = typer.Typer(
    name="seatpool",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,  # locals may hold a token
    help="""Seats and licences that a software vendor runs beside its product.

Start with **seatpool demo** (a company's first weeks in a minute) or **seatpool run** (a stack that stays up).
Every command finds a running local stack by itself; another deployment is named by
`SEATPOOL_USERS_URL`, `SEATPOOL_SEATS_URL`, `SEATPOOL_INVOICING_URL`, `SEATPOOL_NOTIFIER_URL` and `SEATPOOL_TOKEN`.""",
)


@app.callback()
def quiet() -> None:
    # What this command has to say it writes itself; the libraries it shares with the services are to be heard only when something is wrong.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    stamina.instrumentation.set_on_retry_hooks([])


stack.add_to(app)
token.add_to(app)
demo.add_to(app)
replay.add_to(app)
settings_page.add_to(app)
app.add_typer(hr.app, name="hr")
app.add_typer(users.app, name="users")
app.add_typer(dlq.app, name="dlq")
app.add_typer(topics.app, name="topics")

if __name__ == "__main__":
    app()
