// Written by scripts/lua.ts from the .lua files of this folder.

export const lua = {
  addLetters: `-- Puts letters behind those that are there. A letter whose id is there already stays as it is.
-- keys: groups, dead, deadIndex. args: group, letters: { letter (its id), size }. Values: the fields of each.
-- Answers { failures: { index, error } }, index from 0.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
local failures = {}
local exists = redis.call('SISMEMBER', keys.groups, args.group) == 1
local first = 2
for index, letter in ipairs(args.letters) do
  if not exists then
    failures[#failures + 1] = { index = index - 1, error = 'NOGROUP the group does not exist' }
  elseif redis.call('HEXISTS', keys.deadIndex, letter.letter) == 0 then
    local reply = redis.pcall('XADD', keys.dead, '*', unpack(ARGV, first, first + letter.size - 1))
    if type(reply) == 'table' then
      failures[#failures + 1] = { index = index - 1, error = reply.err }
    else
      redis.call('HSET', keys.deadIndex, letter.letter, reply)
    end
  end
  first = first + letter.size
end
return { cjson.encode({ failures = failures }) }
`,
  applyTopology: `#!lua flags=allow-oom
-- Creates or verifies a topic with its groups in one step, so that several processes may do so at once.
-- keys: topic, streams, groups, wishes (a list, one a group), own (a list, each group's streams in turn).
-- args: create, ordered, partitions, groups: { name, from, wishes, isKnown }.
-- Answers { made: what was or would be made, renewed: groups that were gone; or mismatch: { ordered, partitions } }.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
local function map(flat)
  local result = {}
  for index = 1, #flat, 2 do result[flat[index]] = flat[index + 1] end
  return result
end
local made, renewed = {}, {}
local found = redis.call('HMGET', keys.topic, 'ordered', 'partitions')
local isNew = not found[1]

local function hasGroup(stream, name)
  if redis.call('EXISTS', stream) == 0 then return false end
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if map(each).name == name then return true end
  end
  return false
end

if not isNew and (found[1] ~= args.ordered or found[2] ~= args.partitions) then
  return { cjson.encode({ mismatch = { ordered = found[1], partitions = found[2] } }) }
end
if isNew then
  made[1] = 'topic'
  if args.create then redis.call('HSET', keys.topic, 'ordered', args.ordered, 'partitions', args.partitions) end
end
for _, stream in ipairs(keys.streams) do
  if redis.call('EXISTS', stream) == 0 then
    if not isNew then made[#made + 1] = 'stream ' .. stream end
    if args.create then
      -- There is no other way to make an empty stream.
      redis.call('XGROUP', 'CREATE', stream, 'waybill', '$', 'MKSTREAM')
      redis.call('XGROUP', 'DESTROY', stream, 'waybill')
    end
  end
end
for index, group in ipairs(args.groups) do
  -- A group that was there before starts at the beginning of what there is: what was sent meanwhile is its own. So does
  -- one of a topic that is only now made, after a flush, or by a producer that was faster.
  local wasThere = group.isKnown or redis.call('SISMEMBER', keys.groups, group.name) == 1
  local start = (isNew or wasThere or group.from == 'earliest') and '0' or '$'
  local isMissing = false
  for line, stream in ipairs(keys.streams) do
    local own = keys.own[(index - 1) * #keys.streams + line]
    if not hasGroup(stream, group.name) then
      isMissing = true
      if args.create then redis.call('XGROUP', 'CREATE', stream, group.name, start, 'MKSTREAM') end
    end
    if not hasGroup(own, group.name) then
      isMissing = true
      if args.create then redis.call('XGROUP', 'CREATE', own, group.name, '0', 'MKSTREAM') end
    end
  end
  if isMissing then made[#made + 1] = 'group ' .. group.name end
  if isMissing and wasThere then renewed[#renewed + 1] = group.name end
  if args.create then
    redis.call('SADD', keys.groups, group.name)
    if #group.wishes > 0 then redis.call('SADD', keys.wishes[index], unpack(group.wishes)) end
  end
end
return { cjson.encode({ made = made, renewed = renewed }) }
`,
  cancelDelayed: `#!lua flags=allow-oom
-- Takes back delayed sends of one id. keys: delayed, delayedEntries, delayedIds, heldKeys. args: id.
-- Answers { cancelled }.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
-- One delayed message less that holds the key; see publish.lua.
local function releaseKey(key)
  local held = redis.call('HGET', keys.heldKeys, key)
  local count, due = string.match(held or '', '^(%d+) (.*)$')
  if count and tonumber(count) > 1 then
    redis.call('HSET', keys.heldKeys, key, string.format('%d %s', tonumber(count) - 1, due))
  else
    redis.call('HDEL', keys.heldKeys, key)
  end
end
local cancelled = 0
for member in string.gmatch(redis.call('HGET', keys.delayedIds, args.id) or '', '%S+') do
  local packed = redis.call('HGET', keys.delayedEntries, member)
  if packed then
    local key = cmsgpack.unpack(packed).key
    if key then releaseKey(key) end
    redis.call('HDEL', keys.delayedEntries, member)
    redis.call('ZREM', keys.delayed, member)
    cancelled = cancelled + 1
  end
end
redis.call('HDEL', keys.delayedIds, args.id)
return { cjson.encode({ cancelled = cancelled }) }
`,
  depart: `#!lua flags=allow-oom
-- A member goes, of its own will or because it died: what it holds comes back to the group in its place, some at a time.
-- Until all is back it stays a member without lease, so that another can go on with it.
-- keys: sources (of an unordered topic), members, seen, connections, owners, groupWake.
-- args: group, member, returned, max; seen, if it died: nothing is done if it was heard of since; counts: whether its
-- deliveries count, since somebody died with them. Answers { more, isGone }.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
-- Milliseconds since the epoch with microseconds behind the point, so that nothing is due a fraction too early.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
-- Whether an entry is still the delivery that was handed out: pending under that name, with that delivery count.
local function isOurs(stream, consumer, delivery)
  local row = redis.call('XPENDING', stream, args.group, delivery.id, delivery.id, 1, consumer)[1]
  return row and row[4] == delivery.count or false
end

-- Gives a delivery back to the group, in its place, and without counting it.
local function giveBack(stream, consumer, id, count)
  redis.call('XCLAIM', stream, args.group, consumer, 0, id, 'RETRYCOUNT', count, 'JUSTID')
end
-- Tells the members that listen which lines something was added to.
local wokenLines, isWoken = {}, {}
local function woke(line)
  if not isWoken[line] then
    isWoken[line] = true
    wokenLines[#wokenLines + 1] = line
  end
end
local function wake(channel)
  if #wokenLines > 0 then redis.call('PUBLISH', channel, table.concat(wokenLines, ',')) end
  wokenLines, isWoken = {}, {}
end
if args.seen and redis.call('ZSCORE', keys.seen, args.member) ~= args.seen then
  return { cjson.encode({ more = false, isGone = false }) }
end
local left = args.max
redis.call('ZADD', keys.members, 0, args.member)
for index, stream in ipairs(keys.sources) do
  local rows = redis.pcall('XPENDING', stream, args.group, '-', '+', left, args.member)
  if not rows.err then
    for _, row in ipairs(rows) do giveBack(stream, args.returned, row[1], args.counts and row[4] or row[4] - 1) end
    if #rows > 0 then woke(math.floor((index - 1) / 2)) end
    left = left - #rows
    if left <= 0 then break end
    redis.call('XGROUP', 'DELCONSUMER', stream, args.group, args.member)
  end
end
if left > 0 then
  redis.call('ZREM', keys.members, args.member)
  redis.call('ZREM', keys.seen, args.member)
  redis.call('HDEL', keys.connections, args.member)
end
wake(keys.groupWake)
redis.call('PUBLISH', keys.groupWake, 'members')
return { cjson.encode({ more = left <= 0, isGone = left > 0 }) }
`,
  discard: `#!lua flags=allow-oom
-- Removes dead letters for good. keys: dead, deadIndex. args: letters: { entry, letter }. Answers { count } of those that
-- were still there.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
local count = 0
for _, letter in ipairs(args.letters) do
  count = count + redis.call('XDEL', keys.dead, letter.entry)
  redis.call('HDEL', keys.deadIndex, letter.letter)
end
return { cjson.encode({ count = count }) }
`,
  fetch: `#!lua flags=allow-oom
-- Reads for a group, source after source, until there are enough entries or bytes.
-- keys: sources, owners. args: group, consumer, max, maxBytes, step, usual (the content type to leave out), returned (the
-- name under which entries wait that were given back; absent on ordered topics), and on ordered topics reads: for each
-- source { partition, owner, after (read again what is pending after this id) }.
-- Answers { entries: { source, id, count, type, headers } with the body as value, or { source, id, count, fields } with
-- as many names and values; finished: sources whose pending ones have all been read; lost: sources that are no longer
-- ours; deleted: entries that somebody deleted while they were pending; more }. Sources count from 0.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
local reply = { '' }
local entries, finished, lost, deleted, bytes = {}, {}, {}, 0, 0

local function isFull()
  return #entries >= args.max or bytes >= args.maxBytes
end

local function put(source, id, count, fields)
  local entry = { source = source, id = id }
  if count ~= 1 then entry.count = count end
  -- As we write it: content type, body, attributes or not, headers or not. The attributes are in the body too.
  local last = 5
  if fields[5] == 'ce' and fields[2] == args.usual then last = 7 end
  if fields[last] == 'headers' then last = last + 2 end
  if fields[last] or fields[1] ~= 'content-type' or fields[3] ~= 'body' then
    entry.fields = #fields
    for _, field in ipairs(fields) do
      reply[#reply + 1] = field
      bytes = bytes + #field
    end
  else
    if fields[2] ~= args.usual then entry.type = fields[2] end
    if fields[last - 2] == 'headers' then entry.headers = fields[last - 1] end
    reply[#reply + 1] = fields[4]
    bytes = bytes + #fields[4]
  end
  entries[#entries + 1] = entry
end

-- How many to read at once: one at first, since nobody knows how large they are, and few where they have been large.
local function stepNow()
  local step = math.min(args.step, args.max - #entries, #entries)
  if #entries > 0 then
    step = math.min(step, math.floor((args.maxBytes - bytes) / (bytes / #entries + 1)))
  end
  return math.max(1, step)
end

local function readReturned(source, stream)
  local rows = redis.call('XPENDING', stream, args.group, '-', '+', args.max - #entries, args.returned)
  for _, row in ipairs(rows) do
    if isFull() then return end
    local entry = redis.call('XCLAIM', stream, args.group, args.consumer, 0, row[1])[1]
    if entry and entry[2] then
      put(source, row[1], row[4] + 1, entry[2])
    else
      redis.call('XACK', stream, args.group, row[1])
      deleted = deleted + 1
    end
  end
end

local function read(source, stream, after)
  while not isFull() do
    local step = stepNow()
    local answer = redis.call('XREADGROUP', 'GROUP', args.group, args.consumer, 'COUNT', step, 'STREAMS', stream, after or '>')
    local rows = answer and answer[1][2] or {}
    for _, row in ipairs(rows) do
      local id, fields = row[1], row[2]
      if not fields then
        redis.call('XACK', stream, args.group, id)
        deleted = deleted + 1
      elseif after then
        put(source, id, redis.call('XPENDING', stream, args.group, id, id, 1)[1][4], fields)
      else
        put(source, id, 1, fields)
      end
      if after then after = id end
    end
    if #rows < step then
      if not after then return end
      finished[#finished + 1] = source
      return
    end
  end
end

for index, stream in ipairs(keys.sources) do
  local source = index - 1
  local wanted = args.reads and args.reads[index]
  if wanted and redis.call('HGET', keys.owners, wanted.partition) ~= wanted.owner then
    lost[#lost + 1] = source
  elseif not isFull() then
    if args.returned then readReturned(source, stream) end
    read(source, stream, wanted and wanted.after)
  end
end
reply[1] = cjson.encode({ entries = entries, finished = finished, lost = lost, deleted = deleted, more = isFull() })
return reply
`,
  handOver: `#!lua flags=allow-oom
-- Ordered topics: a member goes. What it holds stays pending for the next owner, its delivery count one lower, since nobody
-- died with it. keys: sources, owners. args: group, reader, held: { source, id, count }, givenUp: { partition, owner }.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
-- Whether an entry is still the delivery that was handed out: pending under that name, with that delivery count.
local function isOurs(stream, consumer, delivery)
  local row = redis.call('XPENDING', stream, args.group, delivery.id, delivery.id, 1, consumer)[1]
  return row and row[4] == delivery.count or false
end

-- Gives a delivery back to the group, in its place, and without counting it.
local function giveBack(stream, consumer, id, count)
  redis.call('XCLAIM', stream, args.group, consumer, 0, id, 'RETRYCOUNT', count, 'JUSTID')
end
for _, delivery in ipairs(args.held) do
  local stream = keys.sources[delivery.source + 1]
  local owner = redis.call('HGET', keys.owners, delivery.partition)
  if owner == delivery.owner and isOurs(stream, args.reader, delivery) then
    giveBack(stream, args.reader, delivery.id, delivery.count - 1)
  end
end
for _, each in ipairs(args.givenUp) do
  if redis.call('HGET', keys.owners, each.partition) == each.owner then redis.call('HDEL', keys.owners, each.partition) end
end
return { cjson.encode({}) }
`,
  jobAdd: `#!lua
-- Refused while memory is full, as every script is that does not say otherwise.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
-- Writes to a job store, all or nothing, if what was read of it is still so.
-- keys: all. args: checks: { key, count } of hashes whose values begin with a revision; leases: { key, count } of a sorted set;
-- commands: { command, key, count }; channel, if there is something to tell. Keys are places in \`all\`.
-- Values: \`count\` pairs for each check (a field, and its revision, empty if there was none), \`count\` pairs for the leases (a
-- member, and its score), \`count\` parameters of each command after its key.
-- Answers { stale: places of pairs, from 0 }; with any, nothing was written.
local batch = 1000
local stale = {}
local first, place = 2, 0

local function check(key, count, command, isSame)
  for from = 0, count - 1, batch do
    local size = math.min(batch, count - from)
    local names = {}
    for index = 1, size do names[index] = ARGV[first + 2 * (index - 1)] end
    local found = redis.call(command, key, unpack(names))
    for index = 1, size do
      if not isSame(found[index], ARGV[first + 2 * index - 1]) then stale[#stale + 1] = place end
      place = place + 1
    end
    first = first + 2 * size
  end
end

for _, each in ipairs(args.checks) do
  check(keys.all[each.key], each.count, 'HMGET', function(value, revision)
    return (value and string.match(value, '^%S+') or '') == revision
  end)
end
if args.leases then
  check(keys.all[args.leases.key], args.leases.count, 'ZMSCORE', function(score, expected)
    return score and tonumber(score) == tonumber(expected)
  end)
end
if #stale > 0 then return { cjson.encode({ stale = stale }) } end

for _, each in ipairs(args.commands) do
  for from = 0, each.count - 1, batch do
    local size = math.min(batch, each.count - from)
    redis.call(each.command, keys.all[each.key], unpack(ARGV, first + from, first + from + size - 1))
  end
  first = first + each.count
end
if args.channel then redis.call('PUBLISH', args.channel, '1') end
return { '{}' }
`,
  jobBegin: `#!lua flags=allow-oom
-- Begins runs of jobs that are due, up to \`limit\` of them and a megabyte. keys: heads, texts, owners, leases, queued (by priority),
-- and of each name: waiting, delayed, due, active, changed. args: names, limit, now, leaseUntil, owner, revision.
-- Answers { isMixed: there are jobs of other names before some of these, and no run was begun; isCut: that was a megabyte, and there
-- may be more }, and as values of each job: its head, data, output and progress.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
local places = {}
for index, name in ipairs(args.names) do places[name] = index end
local answer = {}
local begun = {}
local bytes, count = 0, 0
local mostBytes = 1024 * 1024

for _, queued in ipairs(keys.queued) do
  local members = {}
  if count < args.limit and bytes < mostBytes then
    members = redis.call('ZRANGE', queued, '-inf', args.now, 'BYSCORE', 'LIMIT', 0, args.limit - count)
  end
  for _, member in ipairs(members) do
    local id = string.match(member, '^[^:]*:(.*)$')
    local value = redis.call('HGET', keys.heads, id)
    if value then
      local moving, rest = string.match(value, '^%S+ ([^\\n]*)\\n(.*)$')
      local head = cjson.decode(moving)
      local place = places[head.name]
      if place == nil then return { '{"isMixed":true}' } end
      if count > 0 and bytes >= mostBytes then break end
      local texts = redis.call('HMGET', keys.texts, 'd:' .. id, 'o:' .. id, 'p:' .. id)
      for _, text in ipairs(texts) do bytes = bytes + (text and #text or 0) end
      count = count + 1
      begun[count] = { id = id, queued = queued, member = member, head = head, rest = rest, texts = texts, place = place }
    else
      -- The server has thrown the job away, as it does by most of its maxmemory policies. The others do not wait for it.
      redis.call('ZREM', queued, member)
    end
  end
end

answer[1] = bytes >= mostBytes and count < args.limit and '{"isCut":true}' or '{}'
for _, each in ipairs(begun) do
  local head, place, id = each.head, each.place, each.id
  local created = string.format('%015.0f:%s', head.createdAt, id)
  redis.call('ZREM', each.queued, each.member)
  redis.call('ZREM', (head.isLate and keys.delayed or keys.waiting)[place], created)
  if head.isLate then redis.call('ZREM', keys.due[place], id) end
  redis.call('ZADD', keys.active[place], 0, created)
  redis.call('ZADD', keys.changed[place], args.now, id)
  redis.call('ZADD', keys.leases, args.leaseUntil, id)
  redis.call('HSET', keys.owners, id, args.owner)
  head.state, head.owner, head.isLate = 'active', args.owner, false
  head.attempt, head.version = head.attempt + 1, head.version + 1
  head.startedAt, head.updatedAt = args.now, args.now
  local value = args.revision .. ' ' .. cjson.encode(head) .. '\\n' .. each.rest
  redis.call('HSET', keys.heads, id, value)
  answer[#answer + 1] = value
  for index = 1, 3 do answer[#answer + 1] = each.texts[index] or '' end
end
return answer
`,
  jobChange: `#!lua flags=allow-oom
-- For what is there already: jobs are to go on, and to be removed, when memory is full.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
-- Writes to a job store, all or nothing, if what was read of it is still so.
-- keys: all. args: checks: { key, count } of hashes whose values begin with a revision; leases: { key, count } of a sorted set;
-- commands: { command, key, count }; channel, if there is something to tell. Keys are places in \`all\`.
-- Values: \`count\` pairs for each check (a field, and its revision, empty if there was none), \`count\` pairs for the leases (a
-- member, and its score), \`count\` parameters of each command after its key.
-- Answers { stale: places of pairs, from 0 }; with any, nothing was written.
local batch = 1000
local stale = {}
local first, place = 2, 0

local function check(key, count, command, isSame)
  for from = 0, count - 1, batch do
    local size = math.min(batch, count - from)
    local names = {}
    for index = 1, size do names[index] = ARGV[first + 2 * (index - 1)] end
    local found = redis.call(command, key, unpack(names))
    for index = 1, size do
      if not isSame(found[index], ARGV[first + 2 * index - 1]) then stale[#stale + 1] = place end
      place = place + 1
    end
    first = first + 2 * size
  end
end

for _, each in ipairs(args.checks) do
  check(keys.all[each.key], each.count, 'HMGET', function(value, revision)
    return (value and string.match(value, '^%S+') or '') == revision
  end)
end
if args.leases then
  check(keys.all[args.leases.key], args.leases.count, 'ZMSCORE', function(score, expected)
    return score and tonumber(score) == tonumber(expected)
  end)
end
if #stale > 0 then return { cjson.encode({ stale = stale }) } end

for _, each in ipairs(args.commands) do
  for from = 0, each.count - 1, batch do
    local size = math.min(batch, each.count - from)
    redis.call(each.command, keys.all[each.key], unpack(ARGV, first + from, first + from + size - 1))
  end
  first = first + each.count
end
if args.channel then redis.call('PUBLISH', args.channel, '1') end
return { '{}' }
`,
  jobRead: `#!lua flags=no-writes
-- Answers what commands read, all of one moment. keys: all. args: commands: { command, key (its place in keys), count }.
-- Values: \`count\` parameters of each command after its key. Answers, as values, the reply of each.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
local replies = { '{}' }
local first = 2
for _, each in ipairs(args.commands) do
  replies[#replies + 1] = redis.call(each.command, keys.all[each.key], unpack(ARGV, first, first + each.count - 1))
  first = first + each.count
end
return replies
`,
  jobRenew: `#!lua flags=allow-oom
-- Renews the leases of jobs that are still their owner's. keys: owners, leases. args: owner, leaseMs. Values: ids.
-- Answers { renewed: places of ids, from 0 }.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
-- Milliseconds since the epoch with microseconds behind the point, so that nothing is due a fraction too early.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local renewed = {}
local ids = { unpack(ARGV, 2) }
for index, owner in ipairs(redis.call('HMGET', keys.owners, unpack(ids))) do
  if owner == args.owner then
    redis.call('ZADD', keys.leases, math.floor(now) + args.leaseMs, ids[index])
    renewed[#renewed + 1] = index - 1
  end
end
return { cjson.encode({ renewed = renewed }) }
`,
  markAbandon: `-- keys: mark. args: token.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
if redis.call('GET', keys.mark) == args.token then redis.call('DEL', keys.mark) end
return { cjson.encode({}) }
`,
  markBegin: `-- Idempotency marks. keys: mark. args: token, leaseMs, done. Answers { state, remainingMs }.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
local mark = redis.call('GET', keys.mark)
if not mark then
  redis.call('SET', keys.mark, args.token, 'PX', args.leaseMs)
  return { cjson.encode({ state = 'started', remainingMs = 0 }) }
end
if mark == args.done then return { cjson.encode({ state = 'done', remainingMs = 0 }) } end
return { cjson.encode({ state = 'processing', remainingMs = redis.call('PTTL', keys.mark) }) }
`,
  markComplete: `-- keys: mark. args: token, windowMs, done.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
if redis.call('GET', keys.mark) == args.token then redis.call('SET', keys.mark, args.done, 'PX', args.windowMs) end
return { cjson.encode({}) }
`,
  markExtend: `-- keys: mark. args: token, leaseMs. Answers { isOurs }: whether the token still owns the mark.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
local isOurs = redis.call('GET', keys.mark) == args.token
if isOurs then redis.call('PEXPIRE', keys.mark, args.leaseMs) end
return { cjson.encode({ isOurs = isOurs }) }
`,
  moveDue: `#!lua flags=allow-oom
-- Moves what is due to where it is read. The first caller moves it; the others find nothing.
-- keys: topic, delayed, delayedEntries, delayedIds, heldKeys, streams, wake; with a group: groupDelayed,
-- groupDelayedEntries, own, groupWake.
-- args: maxItems, maxBytes (one larger entry goes alone).
-- Answers { wait: milliseconds until the next one is due or -1, moved }.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
-- Milliseconds since the epoch with microseconds behind the point, so that nothing is due a fraction too early.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
-- Tells the members that listen which lines something was added to.
local wokenLines, isWoken = {}, {}
local function woke(line)
  if not isWoken[line] then
    isWoken[line] = true
    wokenLines[#wokenLines + 1] = line
  end
end
local function wake(channel)
  if #wokenLines > 0 then redis.call('PUBLISH', channel, table.concat(wokenLines, ',')) end
  wokenLines, isWoken = {}, {}
end
-- One delayed message less that holds the key; see publish.lua.
local function releaseKey(key)
  local held = redis.call('HGET', keys.heldKeys, key)
  local count, due = string.match(held or '', '^(%d+) (.*)$')
  if count and tonumber(count) > 1 then
    redis.call('HSET', keys.heldKeys, key, string.format('%d %s', tonumber(count) - 1, due))
  else
    redis.call('HDEL', keys.heldKeys, key)
  end
end
local moved, bytes, wait = 0, 0, -1

local function forget(member, entry)
  if entry.key then releaseKey(entry.key) end
  if entry.id then
    local others = {}
    for each in string.gmatch(redis.call('HGET', keys.delayedIds, entry.id) or '', '%S+') do
      if each ~= member then others[#others + 1] = each end
    end
    if #others == 0 then
      redis.call('HDEL', keys.delayedIds, entry.id)
    else
      redis.call('HSET', keys.delayedIds, entry.id, table.concat(others, ' '))
    end
  end
end

local function move(set, entries, streams, channel)
  for _, member in ipairs(redis.call('ZRANGE', set, '-inf', now, 'BYSCORE', 'LIMIT', 0, args.maxItems - moved)) do
    local size = redis.call('HSTRLEN', entries, member)
    if moved > 0 and bytes + size > args.maxBytes then break end
    local packed = redis.call('HGET', entries, member)
    if packed then
      local entry = cmsgpack.unpack(packed)
      redis.call('XADD', streams[entry.line + 1], '*', unpack(entry.fields))
      redis.call('HDEL', entries, member)
      forget(member, entry)
      woke(entry.line)
    end
    redis.call('ZREM', set, member)
    moved, bytes = moved + 1, bytes + size
  end
  wake(channel)
  local head = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  if head[2] then
    local left = math.max(0, math.ceil(head[2] - now))
    if wait < 0 or left < wait then wait = left end
  end
end

move(keys.delayed, keys.delayedEntries, keys.streams, keys.wake)
if keys.groupDelayed then move(keys.groupDelayed, keys.groupDelayedEntries, keys.own, keys.groupWake) end
return { cjson.encode({ wait = wait, moved = moved }) }
`,
  publish: `-- Adds messages to a topic.
-- keys: topic, streams (by line), delayed, delayedEntries, delayedIds, heldKeys, sent, wake.
-- args: window (0: no deduplication), messages: { line, delay, size, id; key on ordered topics; identity with a window }.
-- Values: the fields of each message, \`size\` names and values in turn.
-- Answers { failures: { index, error } }, index from 0.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
-- Milliseconds since the epoch with microseconds behind the point, so that nothing is due a fraction too early.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
-- Keeps an entry until it is due: its sequence number in a sorted set, the entry itself in a hash, so that what is due can
-- be looked up without reading any body. Numbers keep the order of entries that are due at once.
local function hold(set, entries, channel, due, entry)
  local sequence = redis.pcall('HINCRBY', keys.topic, 'sequence', 1)
  if type(sequence) == 'table' then return sequence end
  local member = string.format('%016.0f', sequence)
  local kept = redis.pcall('HSET', entries, member, cmsgpack.pack(entry))
  if type(kept) == 'table' then return kept end
  local added = redis.pcall('ZADD', set, due, member)
  if type(added) == 'table' then
    redis.call('HDEL', entries, member)
    return added
  end
  -- Who sleeps until a later one must know.
  if redis.call('ZRANGE', set, 0, 0)[1] == member then
    redis.call('PUBLISH', channel, 'due ' .. string.format('%.0f', math.max(0, math.ceil(due - now))))
  end
  return member
end
-- Tells the members that listen which lines something was added to.
local wokenLines, isWoken = {}, {}
local function woke(line)
  if not isWoken[line] then
    isWoken[line] = true
    wokenLines[#wokenLines + 1] = line
  end
end
local function wake(channel)
  if #wokenLines > 0 then redis.call('PUBLISH', channel, table.concat(wokenLines, ',')) end
  wokenLines, isWoken = {}, {}
end
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
`,
  rateLimitTake: `#!lua flags=allow-oom
-- Takes one of a rate limit. keys: times. args: max, perMs. Answers { waitMs }: 0 when it was taken.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
-- Milliseconds since the epoch with microseconds behind the point, so that nothing is due a fraction too early.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local oldest = redis.call('LINDEX', keys.times, args.max - 1)
if oldest and now - oldest < args.perMs then
  return { cjson.encode({ waitMs = math.max(1, math.ceil(args.perMs - (now - oldest))) }) }
end
redis.call('LPUSH', keys.times, string.format('%.3f', now))
redis.call('LTRIM', keys.times, 0, args.max - 1)
redis.call('PEXPIRE', keys.times, math.ceil(args.perMs))
return { cjson.encode({ waitMs = 0 }) }
`,
  replay: `#!lua flags=allow-oom
-- Puts dead letters back to the group. keys: dead, deadIndex, own, groupWake. args: letters: { entry, letter, line, size }.
-- Values: the fields of each. Answers { count } of those that were still there.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
-- Tells the members that listen which lines something was added to.
local wokenLines, isWoken = {}, {}
local function woke(line)
  if not isWoken[line] then
    isWoken[line] = true
    wokenLines[#wokenLines + 1] = line
  end
end
local function wake(channel)
  if #wokenLines > 0 then redis.call('PUBLISH', channel, table.concat(wokenLines, ',')) end
  wokenLines, isWoken = {}, {}
end
local count, first = 0, 2
for _, letter in ipairs(args.letters) do
  if redis.call('XDEL', keys.dead, letter.entry) == 1 then
    redis.call('XADD', keys.own[letter.line + 1], '*', unpack(ARGV, first, first + letter.size - 1))
    redis.call('HDEL', keys.deadIndex, letter.letter)
    woke(letter.line)
    count = count + 1
  end
  first = first + letter.size
end
wake(keys.groupWake)
return { cjson.encode({ count = count }) }
`,
  settle: `#!lua flags=allow-oom
-- Settlements that need more than an XACK. Each holds only if the delivery is still the one that was handed out; on
-- ordered topics, only if its partition is still ours. Copy and ack are one step; a copy that fails leaves the source.
-- keys: topic, groupDelayed, groupDelayedEntries, dead, deadIndex, sources, own, owners, groupWake.
-- args: group, consumer, returned, settlements: { verdict, source, id, count, size; line and delay of a retry; letter (the
-- id) of a dead letter; partition and owner on ordered topics }. Sources and lines count from 0.
-- Values: the fields of each copy. Answers { failures: { index, error } }, index from 0.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
-- Milliseconds since the epoch with microseconds behind the point, so that nothing is due a fraction too early.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
-- Keeps an entry until it is due: its sequence number in a sorted set, the entry itself in a hash, so that what is due can
-- be looked up without reading any body. Numbers keep the order of entries that are due at once.
local function hold(set, entries, channel, due, entry)
  local sequence = redis.pcall('HINCRBY', keys.topic, 'sequence', 1)
  if type(sequence) == 'table' then return sequence end
  local member = string.format('%016.0f', sequence)
  local kept = redis.pcall('HSET', entries, member, cmsgpack.pack(entry))
  if type(kept) == 'table' then return kept end
  local added = redis.pcall('ZADD', set, due, member)
  if type(added) == 'table' then
    redis.call('HDEL', entries, member)
    return added
  end
  -- Who sleeps until a later one must know.
  if redis.call('ZRANGE', set, 0, 0)[1] == member then
    redis.call('PUBLISH', channel, 'due ' .. string.format('%.0f', math.max(0, math.ceil(due - now))))
  end
  return member
end
-- Whether an entry is still the delivery that was handed out: pending under that name, with that delivery count.
local function isOurs(stream, consumer, delivery)
  local row = redis.call('XPENDING', stream, args.group, delivery.id, delivery.id, 1, consumer)[1]
  return row and row[4] == delivery.count or false
end

-- Gives a delivery back to the group, in its place, and without counting it.
local function giveBack(stream, consumer, id, count)
  redis.call('XCLAIM', stream, args.group, consumer, 0, id, 'RETRYCOUNT', count, 'JUSTID')
end
-- Tells the members that listen which lines something was added to.
local wokenLines, isWoken = {}, {}
local function woke(line)
  if not isWoken[line] then
    isWoken[line] = true
    wokenLines[#wokenLines + 1] = line
  end
end
local function wake(channel)
  if #wokenLines > 0 then redis.call('PUBLISH', channel, table.concat(wokenLines, ',')) end
  wokenLines, isWoken = {}, {}
end
local failures = {}

local function carryOut(settlement, stream, first)
  local last = first + settlement.size - 1
  if settlement.verdict == 'retry' and settlement.delay > 0 then
    local entry = { line = settlement.line, fields = { unpack(ARGV, first, last) } }
    return hold(keys.groupDelayed, keys.groupDelayedEntries, keys.groupWake, now + settlement.delay, entry)
  elseif settlement.verdict == 'retry' then
    woke(settlement.line)
    return redis.pcall('XADD', keys.own[settlement.line + 1], '*', unpack(ARGV, first, last))
  elseif settlement.verdict == 'dead-letter' then
    local reply = redis.pcall('XADD', keys.dead, '*', unpack(ARGV, first, last))
    if type(reply) ~= 'table' then redis.call('HSET', keys.deadIndex, settlement.letter, reply) end
    return reply
  end
end

local first = 2
for index, settlement in ipairs(args.settlements) do
  local stream = keys.sources[settlement.source + 1]
  local isOwner = not settlement.owner or redis.call('HGET', keys.owners, settlement.partition) == settlement.owner
  if not isOwner or not isOurs(stream, args.consumer, settlement) then
    failures[#failures + 1] = { index = index - 1, error = 'STALE the delivery is no longer ours' }
  elseif settlement.verdict == 'release' or settlement.verdict == 'expire' then
    -- A lease that ran out under a handler counts, as a death does.
    giveBack(stream, args.returned, settlement.id, settlement.verdict == 'release' and settlement.count - 1 or settlement.count)
    woke(settlement.line)
  else
    local reply = carryOut(settlement, stream, first)
    if type(reply) == 'table' and reply.err then
      failures[#failures + 1] = { index = index - 1, error = reply.err }
    else
      redis.call('XACK', stream, args.group, settlement.id)
    end
  end
  first = first + settlement.size
end
wake(keys.groupWake)
return { cjson.encode({ failures = failures }) }
`,
  tend: `#!lua flags=allow-oom
-- What a consumer does now and then, all in one round trip: it renews its lease as a member of its group, takes its share of
-- the partitions, and learns of members that are silent, of what is due next, and whether it is its turn to keep house.
-- keys: delayed (list of sorted sets), tidied; with a group: sources (that it reads), members, seen, connections, watched, groupWake; on ordered
-- topics owners.
-- args: tidyMs; with a group: group, returned, member, joining, leaseMs, connection, silentMs, graceMs; on ordered topics partitions and givenUp.
-- Answers { wait: milliseconds until something is due or -1, tidy; isMember; isReady: whether there is something to read; silent: { member, seen, connection,
-- expired }; share, owned: { partition, owner, forOthers: whether it was just taken over as one given up for others }, total: members }.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
-- Milliseconds since the epoch with microseconds behind the point, so that nothing is due a fraction too early.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local function map(flat)
  local result = {}
  for index = 1, #flat, 2 do result[flat[index]] = flat[index + 1] end
  return result
end
-- Ordered topics: gives a member its share of the partitions, as far as they are free. A partition is free when its owner
-- has given it up, or when the owner's lease is over. An owner is a number that is higher than that of every earlier owner
-- of any partition, and the member's name. What was given up for others goes to the first of them that asks, beyond its share
-- too; its former owner leaves it alone for a while.
local forOthersMs = 5000
local function share(member, partitions, givenUp)
  for _, each in ipairs(givenUp) do
    if redis.call('HGET', keys.owners, each.partition) == each.owner then
      redis.call('HDEL', keys.owners, each.partition)
      if each.forOthers then
        redis.call('HSET', keys.owners, 'others ' .. each.partition, string.format('%.0f %s', now + forOthersMs, member))
      end
    end
  end
  local alive, total, rank = {}, 0, 0
  for _, name in ipairs(redis.call('ZRANGE', keys.members, '(' .. string.format('%.3f', now - args.graceMs), '+inf', 'BYSCORE')) do
    alive[name] = true
    total = total + 1
    if name < member then rank = rank + 1 end
  end
  local size = math.floor(partitions / total) + (rank < partitions % total and 1 or 0)
  local names = {}
  for partition = 0, partitions - 1 do names[partition + 1] = partition end
  local owners = redis.call('HMGET', keys.owners, unpack(names))
  local owned, free = {}, {}
  local function take(partition, isForOthers)
    local owner = redis.call('HINCRBY', keys.owners, 'fence', 1) .. ' ' .. member
    redis.call('HSET', keys.owners, partition, owner)
    owned[#owned + 1] = { partition = partition, owner = owner, forOthers = isForOthers }
  end
  local function offer(partition)
    local mark = redis.call('HGET', keys.owners, 'others ' .. partition)
    local ends, former = string.match(mark or '', '^(%d+) (.*)$')
    local isForOthers = ends and tonumber(ends) > now and total > 1
    if isForOthers and former == member then return end
    if mark then redis.call('HDEL', keys.owners, 'others ' .. partition) end
    if isForOthers then
      take(partition, true)
    else
      free[#free + 1] = partition
    end
  end
  for partition = 0, partitions - 1 do
    local owner = owners[partition + 1]
    local name = owner and string.match(owner, ' (.*)$')
    if name == member then
      owned[#owned + 1] = { partition = partition, owner = owner }
    elseif not name or not alive[name] then
      offer(partition)
    end
  end
  for _, partition in ipairs(free) do
    if #owned >= size then break end
    take(partition, false)
  end
  return size, owned, total
end
local answer = { wait = -1, tidy = false, isMember = true, isReady = false, silent = {}, share = 0, owned = {}, total = 0 }
for _, set in ipairs(keys.delayed) do
  local head = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  if head[2] then
    local left = math.max(0, math.ceil(head[2] - now))
    if answer.wait < 0 or left < answer.wait then answer.wait = left end
  end
end
if redis.call('SET', keys.tidied, '1', 'NX', 'PX', args.tidyMs) then answer.tidy = true end

-- Those whose lease is over, and those not heard of for a while; the latter may be gone before their lease ends.
local function silentMembers()
  local found, isFound = {}, {}
  local function look(name)
    if isFound[name] or name == args.member then return end
    isFound[name] = true
    local leaseEnd = redis.call('ZSCORE', keys.members, name)
    found[#found + 1] = {
      member = name,
      seen = redis.call('ZSCORE', keys.seen, name),
      connection = redis.call('HGET', keys.connections, name),
      expired = not leaseEnd or tonumber(leaseEnd) < now - args.graceMs,
    }
  end
  local expired = redis.call('ZRANGE', keys.members, '-inf', now - args.graceMs, 'BYSCORE', 'LIMIT', 0, 10)
  local silent = redis.call('ZRANGE', keys.seen, '-inf', now - args.silentMs, 'BYSCORE', 'LIMIT', 0, 10)
  if #expired + #silent == 0 then return found end
  -- Whoever sees them first looks after them.
  if not redis.call('SET', keys.watched, '1', 'NX', 'PX', 500) then return found end
  for _, name in ipairs(expired) do look(name) end
  for _, name in ipairs(silent) do look(name) end
  return found
end

local function isReady()
  for _, stream in ipairs(keys.sources) do
    local groups = redis.pcall('XINFO', 'GROUPS', stream)
    if groups.err then return true end
    for _, each in ipairs(groups) do
      local group = map(each)
      -- The lag is nil when entries were deleted from the middle, or the group was moved there.
      if group.name == args.group and group.lag ~= 0 then return true end
      if group.name == args.group and group.pending > 0 and args.returned then
        if redis.call('XPENDING', stream, args.group, '-', '+', 1, args.returned)[1] then return true end
      end
    end
  end
  return false
end

if args.member then
  local leaseEnd = redis.call('ZSCORE', keys.members, args.member)
  answer.isMember = args.joining or leaseEnd and tonumber(leaseEnd) > 0 or false
  if answer.isMember then
    redis.call('ZADD', keys.members, now + args.leaseMs, args.member)
    redis.call('ZADD', keys.seen, now, args.member)
    redis.call('HSET', keys.connections, args.member, args.connection)
    answer.silent = silentMembers()
    answer.isReady = isReady()
    if args.partitions then
      answer.share, answer.owned, answer.total = share(args.member, args.partitions, args.givenUp)
      if args.joining or #args.givenUp > 0 then redis.call('PUBLISH', keys.groupWake, 'members') end
    end
  end
end
return { cjson.encode(answer) }
`,
  tidy: `#!lua flags=allow-oom
-- Housekeeping, a bounded piece at a time: trims what every group has settled, dead letters and remembered ids beyond their
-- bounds, and lists holders that are no members.
-- keys: streams, sent; with a group: own, dead, deadIndex, members, seen.
-- args: maxLength, maxAge or -1, window, limit (entries), maxBytes; with a group: group, keepers (names of no member),
-- deadLength or -1, deadAge or -1. Answers { more, discarded }.
-- What the call was given: \`args\` by name, and \`keys\` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
-- cannot carry.
local args = cjson.decode(ARGV[1])
local keys = {}
for name, at in pairs(args.keys) do
  if type(at) == 'number' then
    keys[name] = KEYS[at]
  else
    keys[name] = {}
    for index, each in ipairs(at) do keys[name][index] = KEYS[each] end
  end
end
-- Milliseconds since the epoch with microseconds behind the point, so that nothing is due a fraction too early.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local function map(flat)
  local result = {}
  for index = 1, #flat, 2 do result[flat[index]] = flat[index + 1] end
  return result
end
local more, discarded = false, 0

local function parts(id)
  local time, number = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(time), tonumber(number)
end

local function isEarlier(a, b)
  local timeA, numberA = parts(a)
  local timeB, numberB = parts(b)
  return timeA < timeB or timeA == timeB and numberA < numberB
end

local function after(id)
  local time, number = parts(id)
  return string.format('%.0f-%.0f', time, number + 1)
end

-- The first entry that some group has not settled.
local function firstUnsettled(stream)
  local safe
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = map(each)
    local first = after(group['last-delivered-id'])
    if group.pending > 0 then
      local row = redis.call('XPENDING', stream, group.name, '-', '+', 1)[1]
      if row and isEarlier(row[1], first) then first = row[1] end
    end
    if not safe or isEarlier(first, safe) then safe = first end
  end
  return safe
end

local function trim(stream, limit, safe)
  local count = redis.call('XTRIM', stream, 'MINID', '~', safe, 'LIMIT', limit)
  if count > 0 and redis.call('XLEN', stream) > 0 then more = true end
  return count
end

for _, stream in ipairs(keys.streams) do
  local length = redis.call('XLEN', stream)
  local safe = length > 0 and firstUnsettled(stream)
  -- Whole nodes only, oldest first, and never so many that fewer than maxLength would stay.
  if safe and length > args.maxLength then trim(stream, math.min(args.limit, length - args.maxLength), safe) end
  if safe and args.maxAge >= 0 then
    local oldest = string.format('%.0f-0', math.max(0, math.floor(now - args.maxAge)))
    trim(stream, args.limit, isEarlier(safe, oldest) and safe or oldest)
  end
end

-- In a group's own streams nothing settled is kept. Once no whole node goes, what goes is less than one node.
for _, stream in ipairs(keys.own or {}) do
  local safe = redis.call('XLEN', stream) > 0 and firstUnsettled(stream)
  if safe and trim(stream, args.limit, safe) == 0 then redis.call('XTRIM', stream, 'MINID', '=', safe) end
end

if args.window > 0 then
  local expired = redis.call('ZRANGE', keys.sent, '-inf', now - args.window, 'BYSCORE', 'LIMIT', 0, args.limit)
  if #expired > 0 then redis.call('ZREM', keys.sent, unpack(expired)) end
  if #expired == args.limit then more = true end
end

local function discardDead()
  local bytes = 0
  while discarded < args.limit and bytes < args.maxBytes do
    local isLong = args.deadLength >= 0 and redis.call('XLEN', keys.dead) > args.deadLength
    if not isLong and args.deadAge < 0 then return end
    local head = redis.call('XRANGE', keys.dead, '-', '+', 'COUNT', 1)[1]
    if not head then return end
    if not isLong and parts(head[1]) > now - args.deadAge then return end
    local headers = map(head[2]).headers
    local letter = headers and string.match(headers, '"waybill%-dead%-letter%-id":"([^"]*)"')
    redis.call('XDEL', keys.dead, head[1])
    if letter then redis.call('HDEL', keys.deadIndex, letter) end
    for _, field in ipairs(head[2]) do bytes = bytes + #field end
    discarded = discarded + 1
  end
  more = true
end
if keys.dead then discardDead() end

-- Whoever holds something and is no member, after a flush of this database's other keys, is taken for one that died.
if args.keepers then
  local keepers = {}
  for _, name in ipairs(args.keepers) do keepers[name] = true end
  for _, sources in ipairs({ keys.streams, keys.own }) do
    for _, stream in ipairs(sources) do
      local summary = redis.pcall('XPENDING', stream, args.group)
      for _, each in ipairs(not summary.err and summary[4] or {}) do
        if not keepers[each[1]] and not redis.call('ZSCORE', keys.members, each[1]) then
          redis.call('ZADD', keys.members, 0, each[1])
          redis.call('ZADD', keys.seen, 0, each[1])
        end
      end
    end
  end
end
return { cjson.encode({ more = more, discarded = discarded }) }
`,
}
