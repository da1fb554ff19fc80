"""Brings PostgreSQL and S3 to what the services expect; run before them, at every start.

Makes roles, databases, tables, MLflow's tracking user and buckets that are missing, sets passwords
to those of the secrets, and upgrades MLflow's tables. Running it again changes nothing.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import boto3
import botocore.exceptions
import mlflow.exceptions
import psycopg
import sqlalchemy.exc
from psycopg import sql

from archsearch.errors import ArchsearchError
from archsearch.record.database import Database

SECRETS = Path(os.environ.get("SECRETS_DIR", "/run/secrets"))
ROLES = {"archsearch": ["archsearch"], "mlflow": ["mlflow", "mlflow_auth"]}
"""Who owns which databases; nobody else may connect to them."""
BUCKETS = ("archsearch", "mlflow")


def secret(name: str) -> str:
    """What a secret's file holds."""
    return (SECRETS / name).read_text().strip()


def make_databases() -> None:
    """Roles with the secrets' passwords, and their databases; as PostgreSQL's superuser."""
    with psycopg.connect(password=secret("postgres_password"), autocommit=True) as connection:
        known_roles = {r[0] for r in connection.execute("SELECT rolname FROM pg_roles")}
        known = {r[0] for r in connection.execute("SELECT datname FROM pg_database")}
        for role, databases in ROLES.items():
            verb = sql.SQL("ALTER" if role in known_roles else "CREATE")
            password = secret(f"{role}_db_password")
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                    verb, sql.Identifier(role), sql.Literal(password)
                )
            )
            for name in databases:
                database = sql.Identifier(name)
                if name not in known:
                    connection.execute(
                        sql.SQL("CREATE DATABASE {} OWNER {}").format(
                            database, sql.Identifier(role)
                        )
                    )
                connection.execute(
                    sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(database)
                )


def url(role: str, database: str) -> str:
    """A database's URL; libpq takes host and password from the environment."""
    return f"postgresql+psycopg://{role}@/{database}"


def make_record() -> None:
    """The record's own tables."""
    os.environ["PGPASSWORD"] = secret("archsearch_db_password")
    Database.open(url("archsearch", "archsearch"), create=True).close()


def upgrade_mlflow() -> None:
    """MLflow's tables and those of its users, by MLflow's own commands; and the tracking user."""
    os.environ["PGPASSWORD"] = secret("mlflow_db_password")
    from mlflow import db
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    db.commands(["upgrade", url("mlflow", "mlflow")], standalone_mode=False)

    store = SqlAlchemyStore()
    store.init_db(url("mlflow", "mlflow_auth"))  # type: ignore[no-untyped-call]  # MLflow types none of it
    name = os.environ["MLFLOW_TRACKING_USERNAME"]
    password = secret("mlflow_tracking_password")
    if not store.has_user(name):
        store.create_user(name, password)
    elif not store.authenticate_user(name, password):
        store.update_user(name, password=password)


def make_buckets() -> None:
    """S3's buckets; endpoint and keys from AWS's own variables."""
    client = boto3.client("s3")
    known = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for name in BUCKETS:
        if name not in known:
            client.create_bucket(Bucket=name)


def main() -> None:
    """Every step, each with its time; exit 3 when a service cannot be used."""
    for step in (make_databases, make_record, upgrade_mlflow, make_buckets):
        started = time.monotonic()
        try:
            step()
        except (
            ArchsearchError,
            OSError,
            psycopg.Error,
            botocore.exceptions.BotoCoreError,
            botocore.exceptions.ClientError,
            mlflow.exceptions.MlflowException,
            sqlalchemy.exc.SQLAlchemyError,
        ) as error:
            print(f"error: {step.__name__}: {error}", file=sys.stderr)
            sys.exit(3)
        print(f"{step.__name__}: done in {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
