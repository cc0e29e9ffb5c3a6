#!lua flags=allow-oom
-- Reads for a group, source after source, until there are enough entries or bytes.
-- keys: sources, owners. args: group, consumer, max, maxBytes, step, usual (the content type to leave out), returned (the
-- name under which entries wait that were given back; absent on ordered topics), and on ordered topics reads: for each
-- source { partition, owner, after (read again what is pending after this id) }.
-- Answers { entries: { source, id, count, type, headers } with the body as value, or { source, id, count, fields } with
-- as many names and values; finished: sources whose pending ones have all been read; lost: sources that are no longer
-- ours; deleted: entries that somebody deleted while they were pending; more }. Sources count from 0.
-- include arguments
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
