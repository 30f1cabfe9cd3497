-- The same counter in one row.
SELECT purser.check_and_increment('hot-one-row', 'hot_calls');
