-- Adds messages to a topic.
-- keys: topic, streams (by line), delayed, delayedEntries, delayedIds, heldKeys, sent, wake.
-- args: window (0: no deduplication), messages: { line, delay, size, id; key on ordered topics; identity with a window }.
-- Values: the fields of each message, `size` names and values in turn.
-- Answers { failures: { index, error } }, index from 0.
-- include arguments
-- include clock
-- include hold
-- include woken
local failures, failedKeys = {}, {}
local exists = redis.call('HEXISTS', keys.topic, 'ordered') == 1
local anyHeld = redis.call('EXISTS', keys.heldKeys) == 1

if args.window > 0 then
  -- A few more than a call can add, so that it shrinks.
  local expired = redis.call('ZRANGE', keys.sent, '-inf', now - args.window, 'BYSCORE', 'LIMIT', 0, 2 * #args.messages + 50)
  if #expired > 0 then redis.call('ZREM', keys.sent, unpack(expired)) end
end

local function isDuplicate(identity)
  local at = redis.call('ZSCORE', keys.sent, identity)
  return at and tonumber(at) > now - args.window
end

-- On an ordered topic a delayed message holds its key: the later ones of the key wait behind it.
local function dueOf(message)
  local due = message.delay > 0 and now + message.delay or nil
  if message.key and anyHeld then
    local held = redis.call('HGET', keys.heldKeys, message.key)
    local heldDue = held and tonumber(string.match(held, ' (.*)$'))
    if heldDue then return math.max(due or 0, heldDue) end
  end
  return due
end

local function delay(message, due, fields)
  local member = hold(keys.delayed, keys.delayedEntries, keys.wake, due, {
    line = message.line,
    key = message.key,
    id = message.id,
    fields = fields,
  })
  if type(member) == 'table' then return member end
  local others = redis.call('HGET', keys.delayedIds, message.id)
  redis.call('HSET', keys.delayedIds, message.id, others and others .. ' ' .. member or member)
  if message.key then
    local held = redis.call('HGET', keys.heldKeys, message.key)
    local count = held and tonumber(string.match(held, '^%d+')) or 0
    redis.call('HSET', keys.heldKeys, message.key, string.format('%d %.3f', count + 1, due))
    anyHeld = true
  end
  return member
end

local function add(message, first)
  if not exists then return { err = 'NOTOPIC the topic does not exist' } end
  if message.key and failedKeys[message.key] then
    return { err = 'WITHHELD an earlier message of its key failed' }
  end
  local due = dueOf(message)
  if due then return delay(message, due, { unpack(ARGV, first, first + message.size - 1) }) end
  local reply = redis.pcall('XADD', keys.streams[message.line + 1], 'NOMKSTREAM', '*', unpack(ARGV, first, first + message.size - 1))
  if not reply then return { err = 'NOTOPIC the stream does not exist' } end
  if type(reply) ~= 'table' then woke(message.line) end
  return reply
end

local first = 2
for index, message in ipairs(args.messages) do
  if message.identity and isDuplicate(message.identity) then
    -- A write all the same: WAIT waits for the last one of its connection, and the first copy may have come by another.
    redis.call('HINCRBY', keys.topic, 'duplicates', 1)
  else
    local reply = add(message, first)
    if type(reply) == 'table' then
      failures[#failures + 1] = { index = index - 1, error = reply.err }
      if message.key then failedKeys[message.key] = true end
    elseif message.identity then
      redis.call('ZADD', keys.sent, now, message.identity)
    end
  end
  first = first + message.size
end
wake(keys.wake)
return { cjson.encode({ failures = failures }) }
