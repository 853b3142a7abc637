#!/bin/sh
# The role and the two databases of Tiled; once, as PostgreSQL's superuser, TILED_PASSWORD in the environment.
# Tiled itself creates tables, and the extension btree_gin (of PostgreSQL's contrib).
set -eu
: "${TILED_PASSWORD:?}"
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv password TILED_PASSWORD
CREATE ROLE tiled LOGIN PASSWORD :'password';
CREATE DATABASE tiled_catalog OWNER tiled;
CREATE DATABASE tiled_authn OWNER tiled;
SQL
