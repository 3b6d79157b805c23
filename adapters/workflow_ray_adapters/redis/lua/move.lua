-- ARGV: role, epoch, now, limit, how many events a stream retains or ''. Answers false and the newest epoch; or how many were moved,
-- and when the next gets due.

local role, epoch, now, limit, retained = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local current = lost(role, epoch)
if current then
  return {false, current}
end
ripen(now)
local entries, lanes = due(limit, {}), {}
for at, entry in ipairs(entries) do
  append(entry[1], entry[5], retained)
  lanes[at] = entry[1]
end
remove(entries)
hint(topics(lanes))
return {#entries, next_due(#now)}
