"""Counts what is left of an erased person."""

from uuid import UUID

from django.apps import apps
from django.db.models import Model

from domain.postgres import models


def count_rows_by_table(person_id: UUID) -> dict[str, int]:
    """Counts the rows with this person's id, by model.

    The models are found by their fields, so that later ones are included.
    """
    return {
        table.__name__: table._default_manager.filter(**{column: person_id}).count()
        for table in apps.get_app_config("rollcall").get_models()
        for column in _person_columns(table)
    }


def _person_columns(table: type[Model]) -> list[str]:
    if table in (models.Person, models.Tombstone):
        return ["id"]
    if table is models.Event:
        return ["person_id"]
    return [field.name for field in table._meta.fields if field.related_model is models.Person]
