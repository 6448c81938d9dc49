"""Operations of migrations that run while the service does, and may be repeated."""

from typing import Any, override

from django.contrib.postgres import operations

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


def create_index_sql(name: str, definition: str) -> list[str]:
    """Returns the statements that build an index, also after they were interrupted."""
    return [drop_index_sql(name), f"CREATE INDEX CONCURRENTLY {name} ON {definition}"]


def drop_index_sql(name: str) -> str:
    """Returns the statement that drops an index."""
    return f"DROP INDEX CONCURRENTLY IF EXISTS {name}"
