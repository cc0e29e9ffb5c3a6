local function map(flat)
  local result = {}
  for index = 1, #flat, 2 do result[flat[index]] = flat[index + 1] end
  return result
end
