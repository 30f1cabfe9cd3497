"""Tests of credits.py. Where PGHOST, PGPORT and PGDATABASE say, in a database made by ../../limits/setup.sql;
the tests act as my_app, and grant and look as PGUSER, a superuser.

    python3 -m unittest -v
"""

from __future__ import annotations

import unittest
import uuid
from decimal import Decimal

import psycopg

from credits import NotOpen, answer_to, held


class CreditsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.superuser = self.enterContext(psycopg.connect(autocommit=True))
        self.conn = self.enterContext(psycopg.connect(user="my_app", autocommit=True))
        self.account = f"customer-{uuid.uuid4()}"
        self.superuser.execute("SELECT purser.grant_credits(%s, 100, 'purchased', 'payment-1')", [self.account])

    def balance(self) -> Decimal:
        return self.superuser.execute("SELECT purser.credit_balance(%s)", [self.account]).fetchone()[0]

    def charges(self) -> list[Decimal]:
        query = "SELECT amount FROM purser.ledger_entries WHERE account_id = %s AND direction = 'DEBIT' ORDER BY entry_id"
        return [amount for amount, in self.superuser.execute(query, [self.account])]

    def test_charges_what_was_used_and_gives_the_rest_back(self) -> None:
        with held(self.conn, self.account, Decimal(40), "transcription", "job-1") as hold:
            self.assertEqual(self.balance(), 60)
            hold.used = Decimal("28.5")
        self.assertEqual((self.balance(), self.charges()), (Decimal("71.5"), [Decimal("28.5")]))

    def test_work_that_fails_costs_nothing(self) -> None:
        with self.assertRaises(ZeroDivisionError), held(self.conn, self.account, Decimal(40), "transcription", "job-1"):
            1 / 0
        self.assertEqual((self.balance(), self.charges()), (100, []))

    def test_work_that_used_nothing_costs_nothing(self) -> None:
        with held(self.conn, self.account, Decimal(40), "transcription", "job-1") as hold:
            hold.used = Decimal(0)
        self.assertEqual((self.balance(), self.charges()), (100, []))

    def test_what_exceeds_the_hold_is_charged(self) -> None:
        with held(self.conn, self.account, Decimal(40), "transcription", "job-1") as hold:
            hold.used = Decimal(50)
        self.assertEqual((self.balance(), self.charges()), (50, [40, 10]))

    def test_work_that_outlives_its_hold_is_charged(self) -> None:
        with held(self.conn, self.account, Decimal(40), "transcription", "job-1"):
            self.superuser.execute("SELECT purser.release_credits(%s, 'job-1')", [self.account])
        self.assertEqual((self.balance(), self.charges()), (60, [40]))

    def test_a_settled_hold_does_no_work_again(self) -> None:
        with held(self.conn, self.account, Decimal(40), "transcription", "job-1"):
            pass
        with self.assertRaises(NotOpen), held(self.conn, self.account, Decimal(40), "transcription", "job-1"):
            self.fail("the work was done before")
        self.assertEqual(self.charges(), [40])

    def test_refuses_to_hold_in_an_open_transaction(self) -> None:
        with self.conn.transaction(), self.assertRaises(RuntimeError):
            with held(self.conn, self.account, Decimal(40), "transcription", "job-1"):
                pass

    def test_too_little_is_an_answer(self) -> None:
        with self.assertRaises(psycopg.Error) as refused:
            self.conn.execute("SELECT purser.charge_credits(%s, 120, 'transcription', 'job-1')", [self.account])
        status, body = answer_to(refused.exception)
        self.assertEqual(status, 402)
        self.assertEqual((body["balance"], body["required"], body["shortfall"]), (100, 120, 20))

    def test_other_errors_are_not_answers(self) -> None:
        with self.assertRaises(psycopg.errors.UndefinedFunction) as broken:
            self.conn.execute("SELECT purser.no_such_function()")
        with self.assertRaises(psycopg.errors.UndefinedFunction):
            answer_to(broken.exception)
