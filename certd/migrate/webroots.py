"""Where the files of http-01 go: what other clients say, in the terms of certd."""

from __future__ import annotations

from certd.migrate.found import Installation

SHIPPED = "/var/lib/certd-challenges"
"""The directory of `packaging/apache/certd-challenge.conf`, for clients that answered without a web root."""
WELL_KNOWN = "/.well-known/acme-challenge"


def shipped(found: Installation, about: str, how: str) -> str:
    """The web root for names that were validated over HTTP, but not by a file below a document root; noted."""
    found.note(
        about,
        f"{how}; certd's entry says webroot: {SHIPPED}: before certd starts, put packaging/apache/certd-challenge.conf "
        "where Apache reads it and reload Apache, or name the document root in the entry",
    )
    return SHIPPED
