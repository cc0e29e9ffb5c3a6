import { clock, map } from './fragments.ts'
import { script } from './script.ts'

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
