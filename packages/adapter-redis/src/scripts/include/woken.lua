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
