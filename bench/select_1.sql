-- The floor of a round trip.
SELECT 1;
