"""The embedded server that every other test stands on."""

from __future__ import annotations

import pytest
from django.db import connection


@pytest.mark.django_db
def test_the_embedded_server_answers_in_utf8_and_utc() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT upper('算é'), current_setting('server_encoding')")
        assert cursor.fetchone() == ("算É", "UTF8")
        cursor.execute("SHOW listen_addresses")
        assert cursor.fetchone() == ("",)
