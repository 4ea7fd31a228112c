"""What a test program wants, and an exception where it gets something else."""

import subprocess
from contextlib import contextmanager

from botocore.exceptions import ClientError


def same(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


@contextmanager
def refused(exception, message=None):
    """Wants the block to raise an exception of boto3, with a message."""
    try:
        yield
    except exception as e:
        if message is not None:
            same(e.response["Error"]["Message"], message)
        same(len(e.response["ResponseMetadata"]["RequestId"]), 36)
        return
    raise AssertionError(f"no {exception.__name__}")


@contextmanager
def refused_with(code):
    """Wants the block to raise an error that no model has a class for."""
    try:
        yield
    except ClientError as e:
        same(e.response["Error"]["Code"], code)
        return
    raise AssertionError(f"no {code}")


def openssl(*args, stdin=b""):
    return subprocess.run(["openssl", *args], input=stdin, stdout=subprocess.PIPE, check=True).stdout
