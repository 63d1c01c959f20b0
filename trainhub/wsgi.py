"""The WSGI application that the web server imports."""

import importlib
import os

from django.core.wsgi import get_wsgi_application

os.umask(0o077)  # nothing that the hub writes is for other users of the machine
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trainhub.settings")

application = get_wsgi_application()
importlib.import_module("trainhub.urls")  # before the fork: workers share it, and what is broken shows at the start
