"""An audience whose members come from a function, and one of whose traits is a model's score."""

from liveramp_provider.core.audience_file import audience_from
from liveramp_provider.dag import audience_dag

CUSTOMERS = {
    "conn_id": "warehouse",
    "query": "select * from customers where snapshot_date = :snapshot_date",
}

audience = audience_from(
    {
        "audience": "likely_to_leave",
        "name": "Likely to leave",
        "schedule": {"cron": "0 3 * * *", "timezone": "America/New_York"},
        "membership": {"python": {"function": "my_company.crm:customers_with_devices"}, "key": "customer_id"},
        "traits": [
            {
                "sql": CUSTOMERS,
                "key": "customer_id",
                "select": {"email": "email_address", "tier": "tier", "ltv": "ltv"},
            },
            {
                "predictive": {"function": "my_company.churn:churn_score", "inputs": ["ltv", "tier"]},
                "select": {"churn": "leaves"},
            },
            # A segment field takes words, not a number for everybody.
            {"computed": {"churn_risk": "case when churn >= 0.5 then 'high' when churn >= 0.2 then 'some' end"}},
        ],
        "destinations": [
            {
                "id": "liveramp",
                "kind": "liveramp",
                "conn_id": "liveramp_default",
                "region": "us",
                "path": "/uploads/likely_to_leave",
                "org": "3242",
                "files": {
                    "pii": {
                        "columns": {
                            "CCID": {"from": "member_id"},
                            "EMAIL1_SHA256": {"from": "email", "hash": "sha256"},
                            "CHURN_RISK": {"from": "churn_risk"},
                        }
                    }
                },
            }
        ],
    },
    file=__file__,
)

dag = audience_dag(audience)
