from alembic import context

from shared.database.migrate import run_env

run_env(context)
