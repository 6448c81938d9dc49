"""The tables of Huey's dashboard, which each process would otherwise make at its start."""

from django.db import migrations

# As huey.contrib.stats of huey 3.5 declares them; a test compares the two.
CREATE = """
CREATE TABLE IF NOT EXISTS huey_event (
    id serial PRIMARY KEY,
    ts double precision NOT NULL,
    queue varchar(255) NOT NULL,
    task_id varchar(255) NOT NULL,
    task varchar(255) NOT NULL,
    signal varchar(255) NOT NULL,
    duration double precision,
    error text,
    args text
);
CREATE INDEX IF NOT EXISTS hueyevent_ts ON huey_event (ts);
CREATE INDEX IF NOT EXISTS hueyevent_queue ON huey_event (queue);
CREATE INDEX IF NOT EXISTS hueyevent_task ON huey_event (task);
CREATE TABLE IF NOT EXISTS huey_inflight (
    task_id varchar(255) PRIMARY KEY,
    queue varchar(255) NOT NULL,
    task varchar(255) NOT NULL,
    started double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS hueyinflight_queue ON huey_inflight (queue);
"""
DROP = "DROP TABLE IF EXISTS huey_event; DROP TABLE IF EXISTS huey_inflight;"


class Migration(migrations.Migration):
    dependencies = [("stores", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, DROP)]
