"""Holds three audio minutes, says so, and works for ever: for a test to kill between hold and settle."""

import sys
import time

import psycopg

from limits import held

with psycopg.connect(user="my_app", autocommit=True) as conn:
    with held(conn, sys.argv[1], "audio_minutes", 3):
        print("holding", flush=True)
        time.sleep(3600)
