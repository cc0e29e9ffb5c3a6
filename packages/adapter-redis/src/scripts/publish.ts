import { clock, hold } from './fragments.ts'
import { script } from './script.ts'

/**
 * KEYS: topic, delayed, sent, then the streams of the batch.
 * ARGV: deduplication window or 0, then runs of alike messages: index of the stream, line, delay, content type, number of
 * messages, number of fields beyond content type and body (at most 2), their names; then of each message its id if there
 * is a window, its body, and the values of those fields.
 * Returns what failed: index of the message and why, in turn.
 */
export const publish = script(`
${clock}
${hold}
local window = tonumber(ARGV[1])
local failures = {}
local index = 0
local at = 2
if window > 0 then redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now() - window) end
while ARGV[at] do
  local stream, line, delay = KEYS[4 + ARGV[at]], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local contentType, count, extras = ARGV[at + 3], tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local first, second = ARGV[at + 6], ARGV[at + 7]
  at = at + 6 + extras
  for _ = 1, count do
    local id
    if window > 0 then
      id = ARGV[at]
      at = at + 1
    end
    local body = ARGV[at]
    if not id or redis.call('ZADD', KEYS[3], 'NX', now(), id) == 1 then
      local reply
      if delay > 0 then
        local fields = { 'content-type', contentType, 'body', body }
        if extras > 0 then fields[5], fields[6] = first, ARGV[at + 1] end
        if extras > 1 then fields[7], fields[8] = second, ARGV[at + 2] end
        reply = redis.call('HEXISTS', KEYS[1], 'ordered') == 1 and hold(KEYS[1], KEYS[2], now() + delay, line, fields)
      elseif extras == 0 then
        reply = redis.pcall('XADD', stream, 'NOMKSTREAM', '*', 'content-type', contentType, 'body', body)
      elseif extras == 1 then
        reply = redis.pcall('XADD', stream, 'NOMKSTREAM', '*', 'content-type', contentType, 'body', body, first, ARGV[at + 1])
      else
        reply = redis.pcall('XADD', stream, 'NOMKSTREAM', '*', 'content-type', contentType, 'body', body, first, ARGV[at + 1], second, ARGV[at + 2])
      end
      if not reply or type(reply) == 'table' then
        failures[#failures + 1] = index
        failures[#failures + 1] = reply and reply.err or 'NOTOPIC the topic does not exist'
        if id then redis.call('ZREM', KEYS[3], id) end
      end
    else
      -- A write all the same: WAIT waits for the last one of its connection, and the first copy may have come by another.
      redis.call('HINCRBY', KEYS[1], 'duplicates', 1)
    end
    at = at + 1 + extras
    index = index + 1
  end
end
return failures
`)
