"""Credits for work outside the database, with psycopg 3: hold, work, capture; and errors as answers of an API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

HOLD_OVER = "PU006"
HTTP_STATUS = {"PU002": 402, "PU003": 403, "PU005": 409, "PU006": 409, "PU010": 403,
               "PU012": 422, "PU013": 422, "PU014": 422, "PU015": 429}


@dataclass
class Hold:
    account: str
    hold_id: str
    amount: Decimal
    reason: str
    used: Decimal  # set it to what the work really took


class NotOpen(Exception):
    """This hold was made before and is settled: the work was done, or given up."""


def answer_to(error: psycopg.Error) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the body for an error of purser; raises any other."""
    if error.sqlstate not in HTTP_STATUS:
        raise error
    body = {"detail": error.diag.message_primary}
    if error.sqlstate == "PU002":  # balance, required, shortfall
        body |= json.loads(error.diag.message_detail)
    return HTTP_STATUS[error.sqlstate], body


@contextmanager
def held(conn: psycopg.Connection, account: str, amount: Decimal, reason: str, hold_id: str, ttl: str = "15 minutes") -> Iterator[Hold]:
    """Holds credits, lets the block do its work, then charges what it used; an exception gives all back.

    Each step is committed by itself. A process that dies in between charges nothing: the hold ends after ttl.
    A retry of work that failed is a new hold, with an id of its own.
    """
    if conn.info.transaction_status != TransactionStatus.IDLE:
        raise RuntimeError("end your transaction first: a hold must be committed before the work, and settled after it")
    with conn.transaction():
        state, = conn.execute("SELECT state FROM purser.hold_credits(%s, %s, %s, %s, %s)",
                              [account, amount, reason, ttl, hold_id]).fetchone()
    if state != "open":
        raise NotOpen(f"hold {hold_id} is {state}")
    hold = Hold(account, hold_id, amount, reason, used=amount)
    try:
        yield hold
    except BaseException:
        _give_back(conn, hold)
        raise
    _settle(conn, hold)


def _settle(conn: psycopg.Connection, hold: Hold) -> None:
    """The work is done: what exceeds the hold, or came after its end, is charged if the credits are there."""
    captured = min(hold.used, hold.amount)
    if captured == 0:
        return _give_back(conn, hold)
    try:
        with conn.transaction():
            conn.execute("SELECT purser.capture_credits(%s, %s, %s)", [hold.account, hold.hold_id, captured])
    except psycopg.Error as error:
        if error.sqlstate != HOLD_OVER:
            raise
        captured = Decimal(0)
    if hold.used > captured:
        with conn.transaction():
            conn.execute("SELECT purser.charge_credits(%s, %s, %s, %s)",
                         [hold.account, hold.used - captured, hold.reason, f"beyond {hold.hold_id}"])


def _give_back(conn: psycopg.Connection, hold: Hold) -> None:
    try:
        conn.rollback()
        with conn.transaction():
            conn.execute("SELECT purser.release_credits(%s, %s)", [hold.account, hold.hold_id])
    except psycopg.Error:
        pass  # the exception on its way says more, and the hold ends by itself
