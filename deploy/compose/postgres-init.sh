#!/bin/bash
# Runs once, when the data folder is empty. It creates two roles for each service: one that owns the database and runs the migrations, and
# one for the service, to which the migrations grant the rows. Neither has other privileges, so row-level security applies to both.
set -euo pipefail
run() { psql --username "${POSTGRES_USER:-postgres}" --dbname postgres --set ON_ERROR_STOP=1 "$@"; }
for service in users invoicing notifier; do
  own="SEATPOOL_DATABASE_PASSWORD_${service^^}"
  owner="${own}_OWNER"
  run --set name="seatpool_${service}" --set password="${!own}" \
    --set owner="seatpool_${service}_owner" --set owner_password="${!owner}" <<'SQL'
create role :"name" login nosuperuser nocreatedb nocreaterole nobypassrls password :'password';
create role :"owner" login nosuperuser nocreatedb nocreaterole nobypassrls password :'owner_password';
create database :"name" owner :"owner" template template0 encoding 'UTF8';
revoke all on database :"name" from public;
grant connect on database :"name" to :"name";
SQL
done
run --command 'revoke connect on database postgres, template1 from public'
