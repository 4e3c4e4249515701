"""The live events of the celebrity booking site."""

import json
from pathlib import Path

from bellcast.examples.app_kit import Database
from bellcast.examples.celebrity_booking.notifications import NotificationManager


def test_event_has_no_fields_of_the_delivery(tmp_path: Path) -> None:
    database = Database(tmp_path / "starlight.db", "")
    with database.transaction() as connection:
        data = {
            "title": "Confirmed",
            "channels": ["inbox", "email"],
            "template": "booking-confirmed",
            "action": "confirmed",
        }
        NotificationManager(connection).notify_user("iris", "booking_update", data)
    rows = database.rows("SELECT payload FROM bellcast_outbox ORDER BY id")
    notification, event = (json.loads(row["payload"]) for row in rows)
    assert (notification["template"], notification["data"]["action"]) == ("booking-confirmed", "confirmed")
    assert set(event["data"]) == {"title", "action", "timestamp"}
