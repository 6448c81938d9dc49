"""The export of all data about a person, by the person and by staff."""

import io
import json
from uuid import UUID, uuid4

import pytest

from tests.support.client import ApiClient, SignedUpPerson, problem_code, sign_up_payload

EXPORT = "/api/v1/profile/export/"


def person_with_history(api: ApiClient) -> SignedUpPerson:
    """Returns a person who has something in every list of an export."""
    key = {"Idempotency-Key": "key-of-an-export-" + sign_up_payload()["phone"]}
    person = SignedUpPerson(api, api.post("/api/v1/signup/", sign_up_payload(), **key))
    assert person.confirm("email").status_code == 200
    return person.sign_in()


def test_export_has_everything_about_the_caller(api: ApiClient):
    person = person_with_history(api)
    response = person.request("GET", "profile/export/")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-disposition"] == 'attachment; filename="rollcall-export.json"'
    export = response.json()
    assert export["id"] == person.id
    assert export["profile"] == person.profile().json()
    assert export["email_verified_at"]
    assert export["phone_verified_at"] is None
    listed = person.request("GET", "sessions/").json()["sessions"]
    assert {each["id"] for each in export["sessions"]} == {each["id"] for each in listed}
    addresses = {(each["channel"], each["address"]) for each in export["confirmations"]}
    assert addresses == {("email", person.body["email"]), ("phone", person.body["phone"])}
    assert [each["channel"] for each in export["sign_ins"]] == ["email"]
    assert len(export["known_networks"]) == len(export["idempotency_keys"]) == 1
    kinds = [each["kind"] for each in export["messages"]]
    assert sorted(kinds) == ["confirmation", "confirmation", "sign_in_code"]


def test_export_has_every_table_that_names_people(django_db_access, api: ApiClient):
    from domain.postgres import erasure_proof, person_export

    person = person_with_history(api)
    tables = erasure_proof.count_rows_by_table(UUID(person.id))
    exported = {model.__name__ for model, _ in person_export._COLUMNS.values()}
    assert exported == set(tables) - {"Person", "Tombstone"}


def test_export_has_no_secret_and_reveals_no_owner(api: ApiClient):
    """The claim to another person's address is exported as any other."""
    owner = api.sign_up()
    assert owner.confirm("email").status_code == 200
    claimant, other = api.sign_up(email=owner.body["email"]), api.sign_up()
    exports = [each.request("GET", "profile/export/").json() for each in (claimant, other)]
    shapes = [
        [[sorted(row) for row in export[name]] for name in ("confirmations", "messages")]
        for export in exports
    ]
    assert shapes[0] == shapes[1]
    assert claimant.token not in json.dumps(exports[0])


def test_export_needs_a_session(api: ApiClient):
    assert problem_code(api.http.get(EXPORT)) == "invalid_token"
    person = api.sign_up()
    assert person.request("DELETE", "profile/").status_code == 204
    assert problem_code(person.request("GET", "profile/export/")) == "invalid_token"


def test_export_is_rate_limited_as_other_requests(api: ApiClient):
    response = api.sign_up().request("GET", "profile/export/")
    assert response.headers["ratelimit"].startswith('"other"')


def run_export(person_id: object) -> str:
    """Returns what the command prints; needs Django."""
    from django.core.management import call_command

    call_command("people", "export", str(person_id), stdout=(printed := io.StringIO()))
    return printed.getvalue()


def test_staff_export_the_same_by_command(django_db_access, api: ApiClient):
    from django.core.management import CommandError

    person = api.sign_up()
    export = json.loads(run_export(person.id))
    assert export == person.request("GET", "profile/export/").json()
    with pytest.raises(CommandError, match="No person has the id"):
        run_export(uuid4())
