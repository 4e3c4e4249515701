"""The photo studio example as a process, with a Bellcast server."""

from tests.example_apps import Site


class Studio(Site):
    module = "examples.photo_studio"
    database = "oriel.db"
