"""Artifacts in a bucket of a real S3 server, in this process."""

import pytest

from artifacts.storage import choice, s3_client
from trainhub.installation import read_bucket


@pytest.fixture
def s3_settings(s3_server, settings, monkeypatch):
    """Let new artifacts go to a prefix of their own on a real S3 server."""
    variables = s3_server.settings()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.STORE = "s3"
    settings.S3_BUCKET = read_bucket(variables["TRAINHUB_STORE"])
    settings.S3_ENDPOINT = variables["AWS_ENDPOINT_URL_S3"]
    settings.S3_PART_BYTES = 5 * 1024 * 1024
    s3_client._away_until.clear()
    forget_clients()
    yield settings
    forget_clients()


def forget_clients():
    """Let the next request find its credentials anew."""
    s3_client.make_client.cache_clear()
    s3_client.make_session.cache_clear()


@pytest.fixture
def s3_files(s3_settings):
    """The store in the bucket."""
    return choice.s3_store()
