"""Everything that speaks SQL: models, migrations, unit of work, queries, outbox."""
