-- Everybody counts on one counter, in 16 stripes.
SELECT purser.check_and_increment('hot-striped', 'hot_calls');
