"""A small WSGI application with limits. POST /answers asks a model, /transcripts pays by the minute, /projects writes a row."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import psycopg

from limits import Refused, count, held

Model = Callable[[str], str]
Transcriber = Callable[[str], tuple[str, float]]  # the text, and how many seconds it was
Reply = tuple[int, dict[str, Any], dict[str, str]]

REASONS = {200: "OK", 201: "Created", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
           422: "Unprocessable Content", 429: "Too Many Requests"}


def answer(conn: psycopg.Connection, account: str, model: Model, question: str) -> Reply:
    with held(conn, account, "ai_answers"):
        text = model(question)          # no transaction is open here, however long it takes
    return 200, {"answer": text}, {}


def transcript(conn: psycopg.Connection, account: str, transcribe: Transcriber, audio: str) -> Reply:
    with held(conn, account, "audio_minutes", 20) as hold:
        text, seconds = transcribe(audio)
        hold.used = math.ceil(seconds / 60)
    return 200, {"transcript": text}, {}


def add_project(conn: psycopg.Connection, account: str, title: str) -> Reply:
    with conn.transaction():            # the row and its count: both or neither
        count(conn, account, "projects")
        conn.execute("INSERT INTO project (owner_id, title) VALUES (%s, %s)", [account, title])
    return 201, {"title": title}, {}


def rate_limited(conn: psycopg.Connection, account: str) -> Reply:
    return conn.execute("""
        SELECT purser.http_status(d), purser.http_body(d), purser.http_headers(d)
          FROM purser.rate_limit(%s, 'api') AS d""", [account]).fetchone()


def make_app(connect: Callable[[], psycopg.Connection], model: Model, transcribe: Transcriber) -> Callable[..., Iterable[bytes]]:
    """connect() gives a connection with autocommit on: transactions are opened where they are needed."""

    def reply_to(environ: dict[str, Any]) -> Reply:
        account = environ["HTTP_X_ACCOUNT"]  # whoever your login says it is
        text = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
        with connect() as conn:
            status, body, headers = rate_limited(conn, account)
            if status != 200:
                return status, body, headers
            try:
                if environ["PATH_INFO"] == "/answers":
                    status, body, _ = answer(conn, account, model, text)
                elif environ["PATH_INFO"] == "/transcripts":
                    status, body, _ = transcript(conn, account, transcribe, text)
                elif environ["PATH_INFO"] == "/projects":
                    status, body, _ = add_project(conn, account, text)
                else:
                    status, body = 404, {"detail": "Not found."}
            except Refused as refused:
                status, body = refused.decision.http_status, refused.decision.http_body
            return status, body, headers

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, body, headers = reply_to(environ)
        start_response(f"{status} {REASONS[status]}", [("Content-Type", "application/json"), *headers.items()])
        return [json.dumps(body).encode()]

    return app
