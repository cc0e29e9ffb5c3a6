// Lua that several scripts begin with.

// Milliseconds since the epoch with microseconds behind the point, so that nothing is due a fraction too early.
export const clock = `
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + time[2] / 1000
end
`

// Members must differ even when two messages do not, and keep the order in which they came when due at once.
export const hold = `
local function hold(counter, set, due, line, fields)
  local sequence = redis.pcall('HINCRBY', counter, 'sequence', 1)
  if type(sequence) == 'table' then return sequence end
  return redis.pcall('ZADD', set, due, string.format('%016.0f', sequence) .. cmsgpack.pack({ line, fields }))
end
`

export const map = `
local function map(flat)
  local result = {}
  for i = 1, #flat, 2 do result[flat[i]] = flat[i + 1] end
  return result
end
`
