"""Operations of migrations that run while the service does, and may be repeated."""

from typing import Any, override

from django.contrib.postgres import operations
from django.db import migrations

_SELECT_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"


class AddIndexConcurrently(operations.AddIndexConcurrently):
    """Django's, for a migration that was interrupted: such a migration begins from the start, and
    Postgres keeps what it had built of the index, marked invalid.
    """

    @override
    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        name = schema_editor.quote_name(self.index.name)
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(_SELECT_IS_VALID, [name])
            is_valid = cursor.fetchone()
            if is_valid == (False,):
                cursor.execute(f"DROP INDEX CONCURRENTLY {name}")
        if is_valid != (True,):
            super().database_forwards(app_label, schema_editor, from_state, to_state)


def drop_index_concurrently(name: str, definition: str) -> migrations.RunSQL:
    """Returns the operation that drops an index of Django's; `definition` is what it was on."""
    return migrations.RunSQL(
        f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
        f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {definition}",
    )
