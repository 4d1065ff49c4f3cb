"""Audiences written in Python instead of YAML, with the same keys and checks: one Airflow DAG for each tier."""

from liveramp_provider.core.audience import Audience
from liveramp_provider.core.audience_file import audience_from
from liveramp_provider.dag import audience_dag

# `:audience` is bound like `:snapshot_date`: it is the audience's id.
CUSTOMERS = {
    "sql": {
        "conn_id": "warehouse",
        "query": "select * from customers where tier = :audience and snapshot_date = :snapshot_date",
    },
    "key": "customer_id",
}


def tier_audience(tier: str) -> Audience:
    """Customers of one tier, by e-mail and phone."""
    return audience_from(
        {
            "audience": tier,
            "name": f"{tier.capitalize()} customers",
            "schedule": {"cron": "0 2 * * *", "timezone": "America/New_York"},
            "membership": CUSTOMERS,
            "traits": [{**CUSTOMERS, "select": {"email": "email_address", "phone": "mobile"}}],
            "destinations": [
                {
                    "id": "liveramp",
                    "kind": "liveramp",
                    "conn_id": "liveramp_default",
                    "region": "us",
                    "path": f"/uploads/{tier}",
                    "org": "3242",
                    "files": {"pii": True},
                }
            ],
        },
        file=__file__,
    )


for tier in ("gold", "silver"):
    globals()[tier] = audience_dag(tier_audience(tier))
