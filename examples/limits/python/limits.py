"""Quotas of purser for an application on psycopg 3.

count()  for work inside the database: counts in your transaction, so both happen or neither.
held()   for work outside of it, such as a call to a language model: holds before, settles after.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row

HOLD_ENDED = "PU006"  # the hold expired, or was settled otherwise


@dataclass(frozen=True)
class Decision:
    """What purser answered, and what to answer over HTTP."""

    allowed: bool
    reason: str
    used: int
    quota: int | None
    remaining: int | None
    resets_at: datetime | None
    hold_id: str | None
    http_status: int
    http_body: dict[str, Any]


class Refused(Exception):
    """The quota said no. Nothing was counted."""

    def __init__(self, decision: Decision):
        super().__init__(decision.http_body["detail"])
        self.decision = decision


@dataclass
class Hold:
    """Quota set aside. Set used to what the work really took; untouched, all of it counts."""

    account: str
    feature: str
    amount: int
    hold_id: str
    used: int


def _ask(conn: psycopg.Connection, call: str, *arguments: Any) -> Decision:
    # The function stands in FROM: as SELECT (f()).* it would be called once for each column.
    query = f"""
        SELECT allowed, reason, used, quota, remaining, resets_at, hold_id,
               purser.http_status(d) AS http_status, purser.http_body(d) AS http_body
          FROM purser.{call} AS d"""
    with conn.cursor(row_factory=class_row(Decision)) as cursor:
        return cursor.execute(query, arguments).fetchone()


def count(conn: psycopg.Connection, account: str, feature: str, amount: int = 1, key: str | None = None) -> Decision:
    """Counts in the caller's transaction, or raises Refused. With a key, a retry counts once."""
    decision = _ask(conn, "check_and_increment(%s, %s, %s, %s)", account, feature, amount, key)
    if not decision.allowed:
        raise Refused(decision)
    return decision


@contextmanager
def held(conn: psycopg.Connection, account: str, feature: str, amount: int = 1,
         ttl: timedelta = timedelta(minutes=15)) -> Iterator[Hold]:
    """Holds quota, lets the block do its work, then counts what it used; an exception gives all back.

    Hold and settlement are committed each by itself. A process that dies in between does neither:
    the hold then ends after ttl.
    """
    with _own_transaction(conn):
        decision = _ask(conn, "hold_quota(%s, %s, %s, %s)", account, feature, amount, ttl)
    if not decision.allowed:
        raise Refused(decision)
    hold = Hold(account, feature, amount, str(decision.hold_id), used=amount)
    try:
        yield hold
    except BaseException:
        _give_back(conn, hold)
        raise
    with _own_transaction(conn):
        _settle(conn, hold)


@contextmanager
def _own_transaction(conn: psycopg.Connection) -> Iterator[None]:
    if conn.info.transaction_status != TransactionStatus.IDLE:
        raise RuntimeError("end your transaction first: a hold must be committed before the work, and settled after it")
    with conn.transaction():
        yield


def _settle(conn: psycopg.Connection, hold: Hold) -> None:
    """The work is done, so it counts in any case: also when it took longer, or more, than was held."""
    try:
        with conn.transaction():
            if _ask(conn, "commit_quota(%s, %s, %s)", hold.account, hold.hold_id, hold.used).allowed:
                return
            _ask(conn, "commit_quota(%s, %s)", hold.account, hold.hold_id)
            not_counted = hold.used - hold.amount
    except psycopg.Error as error:
        if error.sqlstate != HOLD_ENDED:
            raise
        not_counted = hold.used
    if not_counted > 0:
        _ask(conn, "record_usage(%s, %s, %s, %s)", hold.account, hold.feature, not_counted, f"beyond {hold.hold_id}")


def _give_back(conn: psycopg.Connection, hold: Hold) -> None:
    try:
        conn.rollback()
        with conn.transaction():
            _ask(conn, "release_quota(%s, %s)", hold.account, hold.hold_id)
    except psycopg.Error:
        pass  # the exception on its way says more, and the hold ends by itself
