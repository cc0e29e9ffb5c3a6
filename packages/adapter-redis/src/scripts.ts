import { type Script, script } from './script.ts'

// Everything that must happen in one step. Rules for all of it: time is the server's; keys come as KEYS and share one hash
// tag; a consumer's own work is allowed when memory is full (`allow-oom`), since it is what frees memory. Numbers of lines
// and sources count from 0, as in `wire.ts`.

/** The name under which the owner of a partition reads it; the next owner inherits what is pending under it. */
export const partitionReader = 'owner'

// Milliseconds since the epoch with microseconds behind the point, so that nothing is due a fraction too early.
const clock = `
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + time[2] / 1000
end
`

// Members must differ even when two messages do not, and keep the order in which they came when due at once.
const hold = `
local function hold(counter, set, due, line, fields)
  local sequence = redis.pcall('HINCRBY', counter, 'sequence', 1)
  if type(sequence) == 'table' then return sequence end
  return redis.pcall('ZADD', set, due, string.format('%016.0f', sequence) .. cmsgpack.pack({ line, fields }))
end
`

const map = `
local function map(flat)
  local result = {}
  for i = 1, #flat, 2 do result[flat[i]] = flat[i + 1] end
  return result
end
`

/**
 * KEYS: topic, then for each line the topic's stream, then for each line its marks, then for each group and line its own
 * stream.
 * ARGV: mode, ordered, partitions, number of lines, then for each group its name and where it starts.
 */
export const applyTopology = script(`
${map}
local mode, ordered, partitions, lines = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local found = redis.call('HMGET', KEYS[1], 'ordered', 'partitions')
local isNew = not found[1]
local made = {}

local function has(stream, group)
  if redis.call('EXISTS', stream) == 0 then return false end
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if map(each).name == group then return true end
  end
  return false
end

if isNew then
  made[1] = 'topic'
  if mode == 'create' then redis.call('HSET', KEYS[1], 'ordered', ordered, 'partitions', partitions) end
elseif found[1] ~= ordered or found[2] ~= partitions then
  return { 'mismatch', found[1], found[2] }
end
for line = 1, lines do
  local stream = KEYS[1 + line]
  if redis.call('EXISTS', stream) == 0 then
    if not isNew then made[#made + 1] = 'stream ' .. stream end
    if mode == 'create' then
      -- There is no other way to make an empty stream.
      redis.call('XGROUP', 'CREATE', stream, 'waybill', '$', 'MKSTREAM')
      redis.call('XGROUP', 'DESTROY', stream, 'waybill')
      -- Those of a stream that somebody deleted would tell wrong of this one.
      redis.call('DEL', KEYS[1 + lines + line])
    end
  end
end
local own = 1 + 2 * lines
for i = 5, #ARGV, 2 do
  local group, from = ARGV[i], ARGV[i + 1]
  local missing = false
  for line = 1, lines do
    if not has(KEYS[1 + line], group) then
      missing = true
      -- What is in the streams of a topic that is only now made was sent to this group too: after a flush, or by a
      -- producer that was faster.
      local start = (isNew or from == 'earliest') and '0' or '$'
      if mode == 'create' then
        redis.call('XGROUP', 'CREATE', KEYS[1 + line], group, start, 'MKSTREAM')
        redis.call('DEL', KEYS[1 + lines + line])
      end
    end
    if not has(KEYS[own + line], group) then
      missing = true
      if mode == 'create' then redis.call('XGROUP', 'CREATE', KEYS[own + line], group, '0', 'MKSTREAM') end
    end
  end
  own = own + lines
  if missing then made[#made + 1] = 'group ' .. group end
end
return { 'ok', unpack(made) }
`)

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
    end
    at = at + 1 + extras
    index = index + 1
  end
end
return failures
`)

/**
 * Moves what is due to where it is read. Whoever runs it first wins, the others find nothing.
 * KEYS: a sorted set and then the stream of each line; once more for each further set. ARGV: limit, number of lines.
 * Returns the milliseconds until the next one is due, or -1.
 */
export const moveDue = script(
  `
${clock}
local limit, lines = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = now()
local wait = -1
for first = 1, #KEYS, lines + 1 do
  local set = KEYS[first]
  for _, member in ipairs(redis.call('ZRANGE', set, '-inf', time, 'BYSCORE', 'LIMIT', 0, limit)) do
    local held = cmsgpack.unpack(string.sub(member, 17))
    redis.call('XADD', KEYS[first + 1 + held[1]], '*', unpack(held[2]))
    redis.call('ZREM', set, member)
  end
  local head = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  if head[2] then
    local left = math.max(0, math.ceil(head[2] - time))
    if wait < 0 or left < wait then wait = left end
  end
end
return wait
`,
  'allow-oom',
)

/**
 * Reads for a group, source after source, until there are enough.
 * KEYS: owners, sources. ARGV: group, consumer, how many, the content type to leave out, then for each source: `>` or the
 * id after which to read again what is pending, and partition and owner that must still hold, or two empty texts.
 * Returns rows, sources whose pending ones have all been read, sources that are no longer ours, number of entries that
 * were deleted while pending. A row is source, id, delivery count, content type, headers, body; or for an entry that is
 * not as we write it, all its fields in place of the content type.
 */
export const fetch = script(`
local group, consumer, left, usual = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local rows, finished, lost, deleted = {}, {}, {}, 0
local n = 0
for key = 2, #KEYS do
  local stream, source = KEYS[key], key - 2
  local at = 5 + source * 3
  local cursor, partition, owner = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if owner ~= '' and redis.call('HGET', KEYS[1], partition) ~= owner then
    lost[#lost + 1] = source
  elseif left > 0 then
    local reply = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', left, 'STREAMS', stream, cursor)
    local entries = reply and reply[1][2] or {}
    local isNew = cursor == '>'
    if not isNew and #entries < left then finished[#finished + 1] = source end
    for i = 1, #entries do
      local id, fields = entries[i][1], entries[i][2]
      if fields then
        rows[n + 1] = source
        rows[n + 2] = id
        rows[n + 3] = isNew and 1 or redis.call('XPENDING', stream, group, id, id, 1)[1][4]
        -- As we write it: content type, body, attributes or not, headers or not. The attributes are in the body too.
        local last = 5
        if fields[5] == 'ce' and fields[2] == usual then last = 7 end
        local headers = fields[last] == 'headers' and fields[last + 1]
        if headers then last = last + 2 end
        if not fields[last] and fields[1] == 'content-type' and fields[3] == 'body' then
          rows[n + 4] = fields[2] ~= usual and fields[2]
          rows[n + 5] = headers
          rows[n + 6] = fields[4]
        else
          rows[n + 4] = fields
          rows[n + 5] = false
          rows[n + 6] = false
        end
        n = n + 6
        left = left - 1
      else
        redis.call('XACK', stream, group, id)
        deleted = deleted + 1
      end
    end
  end
end
return { rows, finished, lost, deleted }
`)

/** The id up to which each stream was delivered to the group. KEYS: streams. ARGV: group. */
export const positions = script(`
${map}
local ids = {}
for i, stream in ipairs(KEYS) do
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = map(each)
    if group.name == ARGV[1] then ids[i] = group['last-delivered-id'] end
  end
  if not ids[i] then return redis.error_reply('NOGROUP no group ' .. ARGV[1] .. ' on ' .. stream) end
end
return ids
`)

/**
 * Takes over deliveries whose lease has run out; its own only after a grace, so that a peer of a stuck member comes first.
 * KEYS: sources. ARGV: group, consumer, lease, how many, grace.
 * Returns rows of source, id, delivery count, fields; and the number of entries that were deleted while pending.
 */
export const reclaim = script(
  `
local group, consumer, lease, left, grace = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local rows, deleted = {}, 0

local function leaseOf(name)
  return tonumber(string.match(name, '~(%d+)$')) or lease
end

for i, stream in ipairs(KEYS) do
  local shortest
  for _, each in ipairs(redis.call('XPENDING', stream, group)[4] or {}) do
    local other = leaseOf(each[1])
    if not shortest or other < shortest then shortest = other end
  end
  local start = shortest and left > 0 and '-'
  while start do
    local pending = redis.call('XPENDING', stream, group, 'IDLE', shortest, start, '+', 100)
    start = #pending == 100 and '(' .. pending[100][1]
    for _, row in ipairs(pending) do
      local id, owner, idle, count = row[1], row[2], row[3], row[4]
      if left > 0 and idle >= leaseOf(owner) + (owner == consumer and grace or 0) then
        local entry = redis.call('XCLAIM', stream, group, consumer, 0, id)[1]
        if entry then
          rows[#rows + 1] = i - 1
          rows[#rows + 1] = id
          rows[#rows + 1] = count + 1
          rows[#rows + 1] = entry[2]
          left = left - 1
        else
          redis.call('XACK', stream, group, id)
          deleted = deleted + 1
        end
      end
    end
    if left <= 0 then start = false end
  end
end
return { rows, deleted }
`,
  'allow-oom',
)

/**
 * Settlements that make a copy, and acks that come late. Each holds only if the delivery is still the one we were handed:
 * pending for this consumer with this delivery count. Copy and ack are one step; a copy that fails leaves the source.
 * KEYS: topic, delayed, dead, dead index, sources. ARGV: group, consumer, then for each: verdict, source, id, delivery
 * count, target line, delay or dead letter id, number of fields, fields.
 * Returns what failed: index of the settlement and why, in turn.
 */
export const settle = script(
  `
${clock}
${hold}
local group, consumer = ARGV[1], ARGV[2]
local failures = {}
local index = 0
local at = 3
while ARGV[at] do
  local verdict, source, id, count = ARGV[at], KEYS[5 + ARGV[at + 1]], ARGV[at + 2], tonumber(ARGV[at + 3])
  local line, detail, size = tonumber(ARGV[at + 4]), ARGV[at + 5], tonumber(ARGV[at + 6])
  local first = at + 7
  at = first + size
  local pending = redis.call('XPENDING', source, group, id, id, 1, consumer)[1]
  if pending and pending[4] == count then
    local reply
    if verdict == 'retry' and tonumber(detail) > 0 then
      local fields = { unpack(ARGV, first, first + size - 1) }
      reply = hold(KEYS[1], KEYS[2], now() + detail, line, fields)
    elseif verdict == 'retry' or verdict == 'release' then
      reply = redis.pcall('XADD', KEYS[5 + 2 * line], '*', unpack(ARGV, first, first + size - 1))
    elseif verdict == 'dead-letter' then
      reply = redis.pcall('XADD', KEYS[3], '*', unpack(ARGV, first, first + size - 1))
      if type(reply) ~= 'table' then redis.call('HSET', KEYS[4], detail, reply) end
    end
    if type(reply) == 'table' and reply.err then
      failures[#failures + 1] = index
      failures[#failures + 1] = reply.err
    else
      redis.call('XACK', source, group, id)
    end
  end
  index = index + 1
end
return failures
`,
  'allow-oom',
)

/**
 * The names of all consumers that hold anything, once per interval whoever asks. KEYS: gate, sources. ARGV: interval, group.
 */
export const holders = script(
  `
local names, known = {}, {}
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return names end
for key = 2, #KEYS do
  for _, each in ipairs(redis.call('XPENDING', KEYS[key], ARGV[2])[4] or {}) do
    if not known[each[1]] then
      known[each[1]] = true
      names[#names + 1] = each[1]
    end
  end
end
return names
`,
  'allow-oom',
)

/**
 * Starts leases anew, which leaves the delivery counts as they are. KEYS: sources. ARGV: group, consumer, then source, id
 * and delivery count of each. Returns the indices of those that are no longer ours.
 */
export const extend = script(
  `
local group, consumer = ARGV[1], ARGV[2]
local lost = {}
for at = 3, #ARGV, 3 do
  local stream, id = KEYS[1 + ARGV[at]], ARGV[at + 1]
  local pending = redis.call('XPENDING', stream, group, id, id, 1, consumer)[1]
  if pending and pending[4] == tonumber(ARGV[at + 2]) then
    redis.call('XCLAIM', stream, group, consumer, 0, id, 'JUSTID')
  else
    lost[#lost + 1] = (at - 3) / 3
  end
end
return lost
`,
  'allow-oom',
)

/**
 * A consumer goes: what it holds comes back to the group at once, as new entries in the group's own streams, and its name
 * goes once nothing is pending under it. KEYS: sources. ARGV: group, consumer, 1 if its deliveries count, since it died,
 * or 0 if it gives them back.
 */
export const leave = script(
  `
local group, consumer, died = ARGV[1], ARGV[2], tonumber(ARGV[3])
for i, stream in ipairs(KEYS) do
  local own = KEYS[i - (i - 1) % 2]
  local pending = redis.pcall('XPENDING', stream, group, '-', '+', 1000, consumer)
  while not pending.err and #pending > 0 do
    for _, row in ipairs(pending) do
      local entry = redis.call('XRANGE', stream, row[1], row[1])[1]
      if entry then
        local fields, earlier = {}, 0
        for at = 1, #entry[2], 2 do
          if entry[2][at] == 'deliveries' then
            earlier = tonumber(entry[2][at + 1]) or 0
          else
            fields[#fields + 1] = entry[2][at]
            fields[#fields + 1] = entry[2][at + 1]
          end
        end
        redis.call('XADD', own, '*', 'deliveries', earlier + row[4] - 1 + died, unpack(fields))
      end
      redis.call('XACK', stream, group, row[1])
    end
    pending = redis.call('XPENDING', stream, group, '-', '+', 1000, consumer)
  end
  if not pending.err then redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer) end
end
return 1
`,
  'allow-oom',
)

/**
 * Ordered topics: renews a member's lease and gives it its share of the partitions, as far as they are free.
 * KEYS: members, owners. ARGV: member, lease, number of partitions, then partition and owner of those to give up.
 * Returns the size of the share, then partition and owner of each that the member has. An owner is a number that is
 * higher than that of every earlier owner of any partition, and the member's name.
 */
export const claim = script(
  `
${clock}
local member, lease, partitions = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = now()
for at = 4, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], ARGV[at]) == ARGV[at + 1] then redis.call('HDEL', KEYS[2], ARGV[at]) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time)
redis.call('ZADD', KEYS[1], time + lease, member)
local alive, total, rank = {}, 0, 0
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  alive[name] = true
  total = total + 1
  if name < member then rank = rank + 1 end
end
local share = math.floor(partitions / total) + (rank < partitions % total and 1 or 0)
local reply, free, count = { share }, {}, 0
for partition = 0, partitions - 1 do
  local owner = redis.call('HGET', KEYS[2], partition)
  local name = owner and string.match(owner, ' (.*)$')
  if name == member then
    count = count + 1
    reply[#reply + 1] = partition
    reply[#reply + 1] = owner
  elseif not name or not alive[name] then
    free[#free + 1] = partition
  end
end
for _, partition in ipairs(free) do
  if count >= share then break end
  local owner = redis.call('HINCRBY', KEYS[2], 'fence', 1) .. ' ' .. member
  redis.call('HSET', KEYS[2], partition, owner)
  count = count + 1
  reply[#reply + 1] = partition
  reply[#reply + 1] = owner
end
return reply
`,
  'allow-oom',
)

/**
 * Ordered topics: a member goes. What it holds stays pending for the next owner, its delivery count one lower, since
 * nobody died. KEYS: members, owners, sources. ARGV: group, reader, member, number of partitions, partition and owner of
 * each, then source, id and delivery count of what it holds.
 */
export const handOver = script(
  `
local group, reader, member, partitions = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local held = 5 + 2 * partitions
for at = held, #ARGV, 3 do
  local stream, id, count = KEYS[3 + ARGV[at]], ARGV[at + 1], tonumber(ARGV[at + 2])
  local pending = redis.pcall('XPENDING', stream, group, id, id, 1, reader)[1]
  if type(pending) == 'table' and pending[4] == count then
    redis.call('XCLAIM', stream, group, reader, 0, id, 'RETRYCOUNT', count - 1, 'JUSTID')
  end
end
for at = 5, held - 1, 2 do
  if redis.call('HGET', KEYS[2], ARGV[at]) == ARGV[at + 1] then redis.call('HDEL', KEYS[2], ARGV[at]) end
end
redis.call('ZREM', KEYS[1], member)
return 1
`,
  'allow-oom',
)

/**
 * Housekeeping, once per interval whoever asks: trims what every group has settled, and removes consumers that have been
 * away for long and own nothing. KEYS: gate, the topic's streams, their marks, then a group's own streams, where nothing
 * settled is kept. ARGV: interval, how many streams the topic has, length to keep, age to keep or -1, how long a consumer
 * may be away, name of the one that stays.
 */
export const tidy = script(
  `
${clock}
${map}
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return 0 end
local lines, maxLength, maxAge = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local away, stays = tonumber(ARGV[5]), ARGV[6]

local function parts(id)
  local time, number = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(time), tonumber(number)
end
local function earlier(a, b)
  local timeA, numberA = parts(a)
  local timeB, numberB = parts(b)
  return timeA < timeB or timeA == timeB and numberA < numberB
end
local function after(id)
  local time, number = parts(id)
  return string.format('%.0f-%.0f', time, number + 1)
end

local function tidy(stream, marks)
  if redis.call('EXISTS', stream) == 1 then
    -- The first entry that some group has not settled.
    local safe
    for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
      local group = map(each)
      local first = after(group['last-delivered-id'])
      if group.pending > 0 then first = redis.call('XPENDING', stream, group.name)[2] or first end
      if not safe or earlier(first, safe) then safe = first end
      for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group.name)) do
        local consumer = map(row)
        if consumer.pending == 0 and consumer.idle > away and consumer.name ~= stays then
          redis.call('XGROUP', 'DELCONSUMER', stream, group.name, consumer.name)
        end
      end
    end
    if not marks then
      if safe then redis.call('XTRIM', stream, 'MINID', '=', safe) end
    else
      -- Marks tell which id was the newest when how many had been added. Between two of them lies the first unsettled
      -- entry, so they tell how many entries there are from there on, at most and at least, without reading any.
      local info = map(redis.call('XINFO', 'STREAM', stream))
      local added, newest, length = info['entries-added'], info['last-generated-id'], info.length
      local last = redis.call('ZRANGE', marks, -1, -1, 'WITHSCORES')[2]
      if not last or added - last >= math.max(1, maxLength / 20) then redis.call('ZADD', marks, added, newest) end
      redis.call('ZREMRANGEBYSCORE', marks, '-inf', '(' .. (added - length - maxLength))
      local atMost, atLeast = safe and length or 0, 0
      local all = safe and redis.call('ZRANGE', marks, 0, -1, 'WITHSCORES') or {}
      for at = 1, #all, 2 do
        if earlier(all[at], safe) then
          atMost = added - all[at + 1]
        else
          atLeast = added - all[at + 1]
          break
        end
      end
      if atMost <= maxLength then
        redis.call('XTRIM', stream, 'MAXLEN', '~', maxLength, 'LIMIT', 0)
      elseif atLeast >= maxLength then
        redis.call('XTRIM', stream, 'MINID', '~', safe, 'LIMIT', 0)
      end
      if maxAge >= 0 then
        local oldest = string.format('%.0f-0', math.max(0, math.floor(now() - maxAge)))
        if safe and earlier(safe, oldest) then oldest = safe end
        redis.call('XTRIM', stream, 'MINID', '~', oldest, 'LIMIT', 0)
      end
    end
  end
end

for line = 1, lines do tidy(KEYS[1 + line], KEYS[1 + lines + line]) end
for key = 2 + 2 * lines, #KEYS do tidy(KEYS[key]) end
return 1
`,
  'allow-oom',
)

/**
 * Puts dead letters back to the group. KEYS: dead, dead index, own streams. ARGV: for each letter entry id, letter id,
 * line, number of fields, fields. Returns how many were still there.
 */
export const replay = script(
  `
local count, at = 0, 1
while ARGV[at] do
  local entry, letter, line, size = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local first = at + 4
  at = first + size
  if #redis.call('XRANGE', KEYS[1], entry, entry) > 0 then
    redis.call('XADD', KEYS[3 + line], '*', unpack(ARGV, first, first + size - 1))
    redis.call('XDEL', KEYS[1], entry)
    redis.call('HDEL', KEYS[2], letter)
    count = count + 1
  end
end
return count
`,
  'allow-oom',
)

/** KEYS: dead, dead index. ARGV: entry id and letter id of each. Returns how many were still there. */
export const discard = script(`
local count = 0
for at = 1, #ARGV, 2 do
  count = count + redis.call('XDEL', KEYS[1], ARGV[at])
  redis.call('HDEL', KEYS[2], ARGV[at + 1])
end
return count
`)

/** Loaded when a connection opens; a script that is gone later is sent again whole. */
export const allScripts: readonly Script[] = [
  applyTopology,
  publish,
  moveDue,
  fetch,
  positions,
  reclaim,
  settle,
  holders,
  extend,
  leave,
  claim,
  handOver,
  tidy,
  replay,
  discard,
]
