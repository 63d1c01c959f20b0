"""The WSGI application that the web server imports."""

import importlib
import os
from contextlib import suppress

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connections

from trainhub.schema_state import refuse_unknown_schema

os.umask(0o077)  # nothing that the hub writes is for other users of the machine
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trainhub.settings")

application = get_wsgi_application()
importlib.import_module("trainhub.urls")  # before the fork: workers share it, and what is broken shows at the start
refuse_unknown_schema()
connections.close_all()  # a connection must not be shared over a fork
if settings.S3_BUCKET is not None:
    from artifacts.storage import StoreUnavailable
    from artifacts.storage.s3_client import make_client

    with suppress(StoreUnavailable):  # what is wrong with it is told to whoever needs it
        for endpoint in {settings.S3_ENDPOINT, settings.S3_PUBLIC_ENDPOINT or settings.S3_ENDPOINT}:
            make_client(endpoint)  # before the fork as well: it is 30 MB, and opens no connection yet
        make_client(settings.S3_ENDPOINT, for_questions=True)
