"""Keeps values out of Postgres' statistics.

ANALYZE stores a sample of each column in `pg_statistic`, where it would outlive the row of an
erased person: for as long as too few rows change for another ANALYZE. Queries by these columns find
a few rows by an index, which the planner chooses without statistics too.
"""

from django.db import migrations

COLUMNS = {
    "person": ["name", "surname", "email", "email_canonical", "phone", "hobbies"],
    "confirmation": ["address", "address_canonical", "replaces_address", "salt", "network_hash"],
    "signinchallenge": ["address_hash", "salt", "network_hash"],
    "session": ["digest"],
    "knownnetwork": ["network_hash"],
    "ratelimitwindow": ["key"],
    "idempotencykey": ["key_hash", "request_fingerprint"],
    "outboxentry": ["provider_message_id"],
}
# The type stays the same: that removes the statistics of today and rewrites no table; only partial
# indexes of the column are rebuilt.
DISABLE = """
DO $$ DECLARE column_type text; BEGIN
    SELECT format_type(atttypid, atttypmod) INTO STRICT column_type FROM pg_attribute
        WHERE attrelid = '{table}'::regclass AND attname = '{column}';
    EXECUTE 'ALTER TABLE {table} ALTER {column} TYPE ' || column_type;
    ALTER TABLE {table} ALTER {column} SET STATISTICS 0;
END $$;
"""
ENABLE = "ALTER TABLE {table} ALTER {column} SET STATISTICS -1;"


def _for_all(statement: str) -> str:
    return "".join(
        statement.format(table=f"rollcall_{table}", column=column)
        for table, columns in COLUMNS.items()
        for column in columns
    )


class Migration(migrations.Migration):
    dependencies = [("rollcall", "0002_sign_in_challenges_and_quotas")]

    operations = [migrations.RunSQL(_for_all(DISABLE), _for_all(ENABLE))]
