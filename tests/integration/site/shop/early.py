"""Queries when it is imported, as careless modules do: under uWSGI in the master."""

import os

from django.db import connection

from .database import session

pid = os.getpid()
number = session()
opened = connection.connection
