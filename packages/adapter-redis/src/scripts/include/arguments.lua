-- What the call was given: `args` by name, and `keys` by name, lists of keys as lists. ARGV[2] onwards are bytes that JSON
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
