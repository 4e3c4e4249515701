"""The REST API of notifications in Django: one set of actions, as plain views or views of Django REST framework."""
