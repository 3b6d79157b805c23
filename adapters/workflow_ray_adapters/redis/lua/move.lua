-- ARGV: role, epoch, now or '', limit, whose turn it is. Returns false and the newest epoch; or how
-- many were moved, and in how many microseconds the next gets due.

local role, epoch, now, limit, turn = ARGV[2], ARGV[3], now_of(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local current = lost(role, epoch)
if current then
  return {false, current}
end
ripen(now)
local entries, topic_partitions = due(limit, {TIMEOUTS}, turn), {}
for at, entry in ipairs(entries) do
  append(entry[1], entry[5])
  topic_partitions[at] = entry[1]
end
remove(entries)
notify(grown(topic_partitions))
return {#entries, next_due(now)}
