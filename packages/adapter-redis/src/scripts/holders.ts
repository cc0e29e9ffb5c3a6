import { script } from './script.ts'

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
