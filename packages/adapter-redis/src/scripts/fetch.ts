import { script } from './script.ts'

/**
 * Reads for a group, source after source, until there are enough.
 * KEYS: owners, sources. ARGV: group, consumer, how many, the content type to leave out, then for each source: `>` or the
 * id after which to read again what is pending, and partition and owner that must still hold, or two empty texts.
 * Returns rows, sources whose pending ones have all been read, sources that are no longer ours, number of entries that
 * were deleted while pending. A row is source, id and what is to be known of the entry: the body, if it is delivered for
 * the first time, has the usual content type and no headers; else a list of delivery count, content type, headers and
 * body; or for an entry that is not as we write it, of delivery count and all its fields. Each element of a row costs the
 * client more than it costs to write it.
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
        local count = isNew and 1 or redis.call('XPENDING', stream, group, id, id, 1)[1][4]
        -- As we write it: content type, body, attributes or not, headers or not. The attributes are in the body too.
        local last = 5
        if fields[5] == 'ce' and fields[2] == usual then last = 7 end
        local headers = fields[last] == 'headers' and fields[last + 1]
        if headers then last = last + 2 end
        if fields[last] or fields[1] ~= 'content-type' or fields[3] ~= 'body' then
          rows[n + 3] = { count, fields }
        elseif count == 1 and fields[2] == usual and not headers then
          rows[n + 3] = fields[4]
        else
          rows[n + 3] = { count, fields[2], headers, fields[4] }
        end
        n = n + 3
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
