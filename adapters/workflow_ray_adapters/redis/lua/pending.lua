-- ARGV: role, epoch, now, limit, then lanes to leave out. Answers false and the newest epoch; or entries, and when the next gets due.

local role, epoch, now, limit = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local current = lost(role, epoch)
if current then
  return {false, current}
end
ripen(now)
for _, entry in ipairs(due(limit, {unpack(ARGV, 6)})) do
  local _, id, _, at, event = unpack(entry)
  put('[' .. id .. ',"' .. at .. '",' .. event .. ']')
end
return answer(next_due(#now))
