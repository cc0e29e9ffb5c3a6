import { script } from './script.ts'

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
