"""Migrations run while the service does, on tables of any size."""

from importlib import import_module
from pathlib import Path

import pytest
from django.db.migrations import operations

from domain.postgres import migrations

ROOT = Path(migrations.__path__[0])
# The first ones made the tables, before there was a service.
LATER = sorted(path.stem for path in ROOT.glob("0*.py") if path.stem >= "0005")


@pytest.mark.parametrize("name", LATER)
def test_later_migration_holds_no_lock_while_it_reads_a_table(name: str):
    """An index is built concurrently; a constraint is added NOT VALID, and validated later."""
    migration = import_module(f"domain.postgres.migrations.{name}").Migration
    new_tables = {
        each.name.lower() for each in migration.operations if type(each) is operations.CreateModel
    }
    assert [
        each
        for each in migration.operations
        if type(each) in (operations.AddIndex, operations.AddConstraint)
        and each.model_name.lower() not in new_tables
    ] == []
