-- What docs/limits.md sets up, in one go: psql -d your_empty_database -f examples/limits/setup.sql
CREATE EXTENSION purser;
CREATE ROLE my_app LOGIN IN ROLE purser_app;            -- your application connects as this
CREATE ROLE my_operator LOGIN IN ROLE purser_admin;     -- people who change plans and help customers

SET ROLE my_operator;
SELECT purser.declare_features('{
  "ai_answers":    {"kind": "quota", "per": "day",      "name": "AI answers"},
  "audio_minutes": {"kind": "quota", "per": "month",    "name": "audio minutes"},
  "projects":      {"kind": "quota", "per": "lifetime", "name": "projects"},
  "exports":       {"kind": "quota", "per": "month",    "name": "exports"},
  "own_domain":    {"kind": "switch"}
}', actor => 'ann') AS declared;

SELECT purser.publish_plan('free', '{
  "name": "Free",
  "prices": [{"interval": "month", "currency": "usd", "cents": 0}],
  "features": {
    "ai_answers":    20,
    "audio_minutes": {"quota": 30, "per_call": 20, "warn": 80},
    "projects":      3
  },
  "rate_limits": {"api": {"max": 60, "per": "minute"}}
}', actor => 'ann', reason => 'launch') ->> 'version' AS version;

SELECT purser.publish_plan('pro', '{
  "name": "Pro",
  "prices": [{"interval": "month", "currency": "usd", "cents": 2900}],
  "features": {
    "ai_answers":    {"quota": 500, "warn": 80, "critical": 95},
    "audio_minutes": {"quota": 600, "per_call": 120},
    "projects":      50,
    "exports":       null,
    "own_domain":    true
  },
  "rate_multiplier": 5
}', actor => 'ann', reason => 'launch') ->> 'version' AS version;

SELECT purser.set_setting('upgrade_url', 'https://app.example/upgrade', actor => 'ann');
RESET ROLE;
