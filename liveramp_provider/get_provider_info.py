"""What Airflow reads about this provider: connection type and form, hooks, operators, configuration."""

from __future__ import annotations

from typing import Any

from liveramp_provider import __version__

_INTEGRATION = "LiveRamp"
_SECRET = {"type": ["string", "null"], "format": "password"}
_TEXT = {"type": ["string", "null"]}


def get_provider_info() -> dict[str, Any]:
    """The provider's description, in the form Airflow's schema asks for."""
    return {
        "package-name": "airflow-provider-liveramp",
        "name": "LiveRamp",
        "description": "Delivers audiences to LiveRamp: extract, enrich, build, deliver.",
        "versions": [__version__],
        "integrations": [
            {"integration-name": _INTEGRATION, "external-doc-url": "https://docs.liveramp.com/", "tags": ["service"]}
        ],
        "hooks": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "liveramp_provider.hooks.liveramp",
                    "liveramp_provider.hooks.liveintent",
                    "liveramp_provider.hooks.liveintent_events",
                ],
            }
        ],
        "triggers": [{"integration-name": _INTEGRATION, "python-modules": ["liveramp_provider.triggers.liveintent"]}],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    f"liveramp_provider.operators.{verb}"
                    for verb in ("preflight", "extract", "enrich", "build", "deliver", "retention")
                ],
            }
        ],
        "connection-types": [_connection_type(), _liveintent_connection_type(), _liveintent_events_connection_type()],
        "notifications": [
            "liveramp_provider.notifications.late.LateNotifier",
            "liveramp_provider.notifications.outcome.OutcomeNotifier",
        ],
        "config": {"liveramp": _config()},
    }


def _connection_type() -> dict[str, Any]:
    return {
        "connection-type": "liveramp",
        "hook-name": "LiveRamp",
        "hook-class-name": "liveramp_provider.hooks.liveramp.LiveRampHook",
        "ui-field-behaviour": {
            "hidden-fields": ["schema"],
            "relabeling": {"host": "SFTP host", "login": "SFTP user"},
            "placeholders": {"host": "files.liveramp.com", "port": "22"},
        },
        "conn-fields": {
            "host_key": {
                "label": "Host key",
                "description": "The server's public key, as “ssh-keyscan -t ed25519 HOST” prints it. Compare its "
                "fingerprint with LiveRamp first: a server that shows another key gets nothing.",
                "schema": _TEXT,
            },
            "private_key": {
                "label": "Private key (PEM)",
                "description": "Instead of a password. Paste the whole text, BEGIN and END included.",
                "schema": _SECRET,
            },
            "private_key_passphrase": {
                "label": "Private key passphrase",
                "description": "If the private key has one.",
                "schema": _SECRET,
            },
        },
    }


def _liveintent_connection_type() -> dict[str, Any]:
    return {
        "connection-type": "liveintent",
        "hook-name": "LiveIntent",
        "hook-class-name": "liveramp_provider.hooks.liveintent.LiveIntentHook",
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "login", "port", "extra"],
            "relabeling": {"host": "API address", "password": "Token"},
            "placeholders": {"host": "https://audiences.liveintent.com"},
        },
        "conn-fields": {},
    }


def _liveintent_events_connection_type() -> dict[str, Any]:
    return {
        "connection-type": "liveintent_events",
        "hook-name": "LiveIntent events",
        "hook-class-name": "liveramp_provider.hooks.liveintent_events.LiveIntentEventsHook",
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "port"],
            "relabeling": {"host": "Endpoint", "login": "App ID", "password": "API key"},
            "placeholders": {"host": "https://…, as LiveIntent told you"},
        },
        "conn-fields": {
            "api_key_header": {
                "label": "API key header",
                "description": "Name of the HTTP header that carries the API key, as LiveIntent told you.",
                "schema": _TEXT,
            },
            "app_id_header": {
                "label": "App ID header",
                "description": "Name of the HTTP header that carries the App ID, as LiveIntent told you.",
                "schema": _TEXT,
            },
        },
    }


def _config() -> dict[str, Any]:
    return {
        "description": "Where and with what audiences are prepared.",
        "options": {
            "home": {
                "description": "Folder for staged files and the ledger. Default: liveramp, beside the DAGs folder.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "/var/lib/airflow/liveramp",
                "default": "",
            },
            **_ledger_options(),
            **_staging_options(),
            "memory_limit": {
                "description": "Memory the query engine may use per task before it spills to disk.",
                "version_added": "0.1.0",
                "type": "string",
                "example": "8GB",
                "default": "2GB",
            },
            "threads": {
                "description": "Threads the query engine may use per task.",
                "version_added": "0.1.0",
                "type": "integer",
                "example": "4",
                "default": "2",
            },
        },
    }


def _ledger_options() -> dict[str, Any]:
    return {
        "ledger_conn_id": {
            "description": "Connection of a PostgreSQL database that holds the ledger; needed where tasks run on "
            "several machines. Default: the SQLite file ledger.sqlite in home.",
            "version_added": "0.1.0",
            "type": "string",
            "example": "liveramp_ledger",
            "default": "",
        },
        "shared_home": {
            "description": "Whether home is one and the same folder on every machine that runs tasks. Only then may "
            "the ledger or staged files lie in it where an executor runs tasks on several machines.",
            "version_added": "0.1.0",
            "type": "boolean",
            "example": "True",
            "default": "False",
        },
    }


def _staging_options() -> dict[str, Any]:
    return {
        "staging": {
            "description": "Where sealed files lie, as s3://BUCKET/PREFIX; needed where tasks run on several "
            "machines. Work in progress stays in home. Default: the folder staging in home.",
            "version_added": "0.1.0",
            "type": "string",
            "example": "s3://acme-liveramp-staging/production",
            "default": "",
        },
        "staging_conn_id": {
            "description": "Connection for the bucket. It lists, reads, writes and deletes below the prefix and "
            "uses its KMS key.",
            "version_added": "0.1.0",
            "type": "string",
            "example": "liveramp_staging",
            "default": "aws_default",
        },
        "staging_kms_key_id": {
            "description": "Id or ARN of the KMS key that encrypts every object. Default: the account's own key "
            "for S3 (aws/s3).",
            "version_added": "0.1.0",
            "type": "string",
            "example": "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "default": "",
        },
        "keep_days": {
            "description": "Days after which the DAG liveramp_maintenance removes sealed files, counted from the "
            "sealing. A day with a delivery that is not finished stays.",
            "version_added": "0.1.0",
            "type": "integer",
            "example": "7",
            "default": "30",
        },
    }
