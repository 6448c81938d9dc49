"""The settings of tests that use modules of the read process in their own process."""

import pytest


@pytest.fixture(autouse=True, scope="package")
def settings_of_the_stack(django_setup: None) -> None:
    """These modules read the settings when they are imported: first of all, those of the stack."""
