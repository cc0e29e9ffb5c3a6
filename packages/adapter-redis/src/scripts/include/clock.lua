-- Milliseconds since the epoch with microseconds behind the point, so that nothing is due a fraction too early.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
