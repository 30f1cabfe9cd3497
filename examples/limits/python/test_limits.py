"""Tests of limits.py and app.py. Where PGHOST, PGPORT and PGDATABASE say, in a database made by ../setup.sql;
the tests act as my_app, and look and set the clock as PGUSER, a superuser.

    python3 -m unittest -v
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import unittest
import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from app import make_app
from limits import Refused, count, held


def app_connection(**options: Any) -> psycopg.Connection:
    return psycopg.connect(user="my_app", autocommit=True, **options)


class LimitsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.superuser = self.enterContext(psycopg.connect(autocommit=True))
        self.conn = self.enterContext(app_connection())
        self.account = f"customer-{uuid.uuid4()}"

    def check(self, feature: str, now: str = "") -> tuple[int, int, int]:
        """used, held and remaining, at another time if one is given"""
        self.superuser.execute("SELECT set_config('purser.now', %s, false)", [now])
        query = "SELECT used, held, remaining FROM purser.check_quota(%s, %s)"
        return self.superuser.execute(query, [self.account, feature]).fetchone()

    def on_plan(self, plan: str) -> None:
        self.superuser.execute("SELECT purser.subscribe(%s, %s, 'test')", [self.account, plan])


class Counting(LimitsTest):
    def test_counts_up_to_the_quota_and_then_refuses(self) -> None:
        for used in (1, 2, 3):
            self.assertEqual(count(self.conn, self.account, "projects").used, used)
        with self.assertRaises(Refused) as refused:
            count(self.conn, self.account, "projects")
        self.assertEqual(refused.exception.decision.http_status, 402)
        self.assertEqual(str(refused.exception), "You have used 3 of 3 projects.")

    def test_the_count_rolls_back_with_the_work(self) -> None:
        with self.assertRaises(ZeroDivisionError), self.conn.transaction():
            count(self.conn, self.account, "projects")
            1 / 0
        self.assertEqual(self.check("projects"), (0, 0, 3))

    def test_a_retry_with_a_key_counts_once(self) -> None:
        for _ in range(3):
            self.assertEqual(count(self.conn, self.account, "projects", key="request-1").used, 1)
        self.assertEqual(self.check("projects"), (1, 0, 2))

    def test_twenty_threads_drain_a_quota_exactly(self) -> None:
        self.on_plan("pro")
        start = threading.Barrier(20)
        allowed, errors = [], []

        def drain() -> None:
            try:
                with app_connection() as conn:
                    start.wait(30)
                    while True:
                        allowed.append(count(conn, self.account, "projects").used)
            except Refused:
                pass
            except Exception as error:  # pylint: disable=broad-except
                errors.append(error)

        threads = [threading.Thread(target=drain) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(errors, [])
        self.assertEqual(sorted(allowed), list(range(1, 51)))
        self.assertEqual(self.check("projects"), (50, 0, 0))


class Holding(LimitsTest):
    def test_counts_what_was_used(self) -> None:
        with held(self.conn, self.account, "audio_minutes", 10) as hold:
            self.assertEqual(self.check("audio_minutes"), (0, 10, 20))
            hold.used = 7
        self.assertEqual(self.check("audio_minutes"), (7, 0, 23))

    def test_an_exception_gives_all_back(self) -> None:
        with self.assertRaises(TimeoutError), held(self.conn, self.account, "audio_minutes", 10):
            raise TimeoutError("the model did not answer")
        self.assertEqual(self.check("audio_minutes"), (0, 0, 30))

    def test_a_failed_transaction_in_the_block_gives_all_back(self) -> None:
        with self.assertRaises(psycopg.errors.DivisionByZero), held(self.conn, self.account, "audio_minutes", 10):
            self.conn.execute("BEGIN")
            self.conn.execute("SELECT 1 / 0")
        self.assertEqual(self.check("audio_minutes"), (0, 0, 30))

    def test_refused_before_the_work(self) -> None:
        with self.assertRaises(Refused) as refused, held(self.conn, self.account, "exports"):
            self.fail("the work must not begin")
        self.assertEqual(refused.exception.decision.http_status, 403)

    def test_more_than_was_held_counts_too(self) -> None:
        with held(self.conn, self.account, "audio_minutes", 20) as hold:
            hold.used = 33
        self.assertEqual(self.check("audio_minutes"), (33, 0, 0))

    def test_work_that_outlived_its_hold_counts_too(self) -> None:
        with held(self.conn, self.account, "audio_minutes", 5, ttl=timedelta(milliseconds=1)):
            self.conn.execute("SELECT pg_sleep(0.01)")
        self.assertEqual(self.check("audio_minutes"), (5, 0, 25))

    def test_never_inside_a_transaction(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "end your transaction first"), self.conn.transaction():
            with held(self.conn, self.account, "audio_minutes"):
                self.fail("the work must not begin")
        self.assertEqual(self.check("audio_minutes"), (0, 0, 30))

    def test_a_killed_worker_leaves_a_hold_that_ends_by_itself(self) -> None:
        worker = subprocess.Popen([sys.executable, "worker.py", self.account], cwd=Path(__file__).parent,
                                  stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(worker.stdout.readline(), "holding\n")
        finally:
            worker.kill()
            worker.communicate()
        self.assertEqual(self.check("audio_minutes"), (0, 3, 27))
        query = "SELECT (expires_at - '1 microsecond'::interval)::text, expires_at::text FROM purser.quota_hold WHERE account_id = %s"
        before, expiry = self.superuser.execute(query, [self.account]).fetchone()
        self.assertEqual(self.check("audio_minutes", before)[1], 3)
        self.assertEqual(self.check("audio_minutes", expiry), (0, 0, 30))


class Web(LimitsTest):
    def setUp(self) -> None:
        super().setUp()
        self.superuser.execute("CREATE TABLE IF NOT EXISTS project (owner_id text, title text)")
        self.superuser.execute("GRANT INSERT ON project TO my_app")
        self.app = self.app_on(app_connection)

    @staticmethod
    def app_on(connect: Callable[[], psycopg.Connection]) -> Callable[..., Iterable[bytes]]:
        return make_app(connect, model=lambda question: question[::-1], transcribe=lambda audio: (audio.upper(), 61.5))

    def post(self, path: str, text: str) -> tuple[str, dict[str, Any], dict[str, str]]:
        reply: dict[str, Any] = {}
        environ = {"PATH_INFO": path, "HTTP_X_ACCOUNT": self.account, "CONTENT_LENGTH": str(len(text)),
                   "wsgi.input": io.BytesIO(text.encode())}
        body = b"".join(self.app(environ, lambda status, headers: reply.update(status=status, headers=dict(headers))))
        return reply["status"], json.loads(body), reply["headers"]

    def test_an_answer_is_counted_and_says_the_rate_limit(self) -> None:
        status, body, headers = self.post("/answers", "abc")
        self.assertEqual((status, body), ("200 OK", {"answer": "cba"}))
        self.assertEqual(headers["RateLimit-Policy"], '"api";q=60;w=60')
        self.assertEqual(self.check("ai_answers"), (1, 0, 19))

    def test_a_transcript_counts_its_minutes(self) -> None:
        self.assertEqual(self.post("/transcripts", "abc")[1], {"transcript": "ABC"})
        self.assertEqual(self.check("audio_minutes"), (2, 0, 28))

    def test_a_used_up_quota_is_a_402_with_a_way_out(self) -> None:
        for n in range(3):
            self.assertEqual(self.post("/projects", f"project {n}")[0], "201 Created")
        status, body, _ = self.post("/projects", "one more")
        self.assertEqual(status, "402 Payment Required")
        self.assertEqual(body["upgrade_url"], "https://app.example/upgrade")
        query = "SELECT count(*) FROM project WHERE owner_id = %s"
        self.assertEqual(self.superuser.execute(query, [self.account]).fetchone(), (3,))

    def test_too_many_requests_are_a_429_with_retry_after(self) -> None:
        # The clock stands still, or a slow machine would get a request back.
        stopped = {"autocommit": True, "options": "-c purser.now=2026-03-02T09:00:00Z"}
        self.app = self.app_on(lambda: psycopg.connect(**stopped))
        with psycopg.connect(**stopped) as conn:
            conn.execute("SELECT purser.rate_limit(%s, 'api', 60)", [self.account])
        status, _, headers = self.post("/answers", "abc")
        self.assertEqual((status, headers["Retry-After"]), ("429 Too Many Requests", "1"))
        self.assertEqual(self.check("ai_answers"), (0, 0, 20))


if __name__ == "__main__":
    unittest.main()
