-- A token bucket in Redis, as applications have it: KEYS[1] the bucket, ARGV max, window in milliseconds, cost.
local max, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(bucket[1]) or max, tonumber(bucket[2]) or now
tokens = math.min(max, tokens + math.max(0, now - at) * max / window)
local allowed, retry_after = tokens >= cost, 0
if allowed then
  tokens = tokens - cost
  redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens), 'at', string.format('%.3f', now))
  redis.call('PEXPIRE', KEYS[1], window)
else
  retry_after = math.ceil((cost - tokens) * window / max)
end
return {allowed and 1 or 0, max, math.floor(tokens), retry_after, math.ceil(now + (max - tokens) * window / max)}
