-- # Plans are data
-- Features are declared once: what kind each is, and what a plan gives that does not mention it.
-- A metered feature is a quota; the rest are switches, numbers and choices.
SELECT purser.declare_features('{
    "chat_messages":    {"kind": "quota", "per": "day", "default": 0, "category": "AI",
                         "name": "chat messages", "unit": "message", "description": "Messages to the planning assistant"},
    "transcription":    {"kind": "quota", "per": "month", "default": 0, "category": "audio",
                         "name": "transcription", "unit": "minute", "description": "Minutes of audio turned into text"},
    "podcasts":         {"kind": "quota", "per": "lifetime", "default": 1, "category": "publishing",
                         "name": "podcasts", "unit": "podcast", "description": "Shows an account may have"},
    "auto_publish":     {"kind": "switch", "default": false, "category": "publishing",
                         "name": "auto publish", "description": "Episodes go out on their date by themselves"},
    "custom_domain":    {"kind": "switch", "default": false, "category": "publishing",
                         "name": "custom domain", "description": "The website under a name of your own"},
    "audio_pipeline":   {"kind": "choice", "choices": ["assemblyai", "auphonic"], "default": "assemblyai", "category": "audio",
                         "name": "audio pipeline", "description": "Which service masters the audio"},
    "monthly_credits":  {"kind": "number", "minimum": 0, "default": 0, "category": "credits",
                         "name": "monthly credits", "unit": "credit", "description": "Credits that come with the plan"},
    "voice_multiplier": {"kind": "number", "minimum": 1, "default": 1, "category": "credits",
                         "name": "voice multiplier", "description": "What a premium voice costs over a standard one"}
}'::jsonb, actor => 'demo') AS features_declared;

-- Four plans. A number is a quota, null is unlimited, 0 is not included. Rate limits are those of the default plan, times a factor. Each publication is a new, immutable
-- version, in force on every connection from its commit on.
SELECT purser.publish_plan('free', '{
    "name": "Free", "position": 1, "description": "Try it out",
    "prices": [{"interval": "month", "currency": "usd", "cents": 0}],
    "features": {"chat_messages": 50, "transcription": 30},
    "rate_limits": {"login": {"max": 10, "per": "hour"}, "register": {"max": 5, "per": "hour"},
                    "api": {"max": 60, "per": "minute"}, "jobs": {"max": 10, "per": "hour"}}
}'::jsonb, actor => 'demo', reason => 'first catalogue');
SELECT purser.publish_plan('creator', '{
    "name": "Creator", "position": 2, "description": "One show, done well",
    "prices": [{"interval": "month", "currency": "usd", "cents": 999},
               {"interval": "year", "currency": "usd", "cents": 9900}],
    "features": {"chat_messages": 500, "transcription": 300, "podcasts": 3,
                 "auto_publish": true, "monthly_credits": 300}
}'::jsonb, actor => 'demo', reason => 'first catalogue');
SELECT purser.publish_plan('pro', '{
    "name": "Pro", "position": 3, "description": "For studios",
    "prices": [{"interval": "month", "currency": "usd", "cents": 2999},
               {"interval": "year", "currency": "usd", "cents": 29900}],
    "features": {"chat_messages": 2000, "transcription": 1500, "podcasts": 20,
                 "auto_publish": true, "custom_domain": true, "audio_pipeline": "auphonic", "monthly_credits": 1500},
    "rate_multiplier": 5
}'::jsonb, actor => 'demo', reason => 'first catalogue');
SELECT purser.publish_plan('unlimited', '{
    "name": "Unlimited", "position": 4, "description": "No counting", "public": false,
    "prices": [{"interval": "month", "currency": "usd", "cents": 9999},
               {"interval": "year", "currency": "usd", "cents": 99900}],
    "features": {"chat_messages": null, "transcription": null, "podcasts": null,
                 "auto_publish": true, "custom_domain": true, "monthly_credits": 5000}
}'::jsonb, actor => 'demo', reason => 'first catalogue');

-- A plan that makes no sense cannot be published. Everything that is wrong with it is said at once.
SELECT path, rule, message
  FROM purser.validate_plan('{
           "name": "Broken", "features": {"chat_messages": -5, "voice_multiplier": 0.5, "teleport": true}
       }'::jsonb);

-- Where the answer to a refused request sends people.
SELECT purser.set_setting('upgrade_url', 'https://podcasts.example/upgrade', actor => 'demo');

-- One call feeds the pricing page. The unlimited plan is not public, so it is not on it.
SELECT plan ->> 'name' AS plan, plan ->> 'description' AS description,
       plan -> 'features' -> 'chat_messages' AS chat_messages_a_day,
       (SELECT string_agg(price ->> 'display' || ' a ' || (price ->> 'interval'), ', ')
          FROM jsonb_array_elements(plan -> 'prices') AS price) AS prices
  FROM jsonb_array_elements(purser.pricing()) AS plan;
