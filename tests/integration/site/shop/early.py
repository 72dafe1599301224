"""Queries when it is imported, as careless modules do: under uWSGI in the master."""

from django.db import connection

from .database import session

number = session()
opened = connection.connection
