#!/bin/bash
# Runs once, when the data folder is empty: each service's role, without any privilege (row-level security binds it), and its database.
set -euo pipefail
for service in users invoicing notifier; do
  variable="SEATPOOL_DATABASE_PASSWORD_${service^^}"
  psql --username "${POSTGRES_USER:-postgres}" --dbname postgres --set ON_ERROR_STOP=1 \
    --set name="seatpool_${service}" --set password="${!variable}" <<'SQL'
create role :"name" login nosuperuser nocreatedb nocreaterole nobypassrls password :'password';
create database :"name" owner :"name" template template0 encoding 'UTF8';
revoke connect on database :"name" from public;
SQL
done
