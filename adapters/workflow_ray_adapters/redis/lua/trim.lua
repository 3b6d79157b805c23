-- ARGV: role, epoch, topic, limit, how many events to retain, then partition and offset, partition
-- and offset. Returns false and the newest epoch; or how many events were removed.

local role, epoch, topic, left, retain = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local current = redis.call('HGET', key('fences'), role)
if current and current ~= epoch then
  return {false, current}
end
local removed = 0
for at = 7, #ARGV, 2 do
  local topic_partition = ARGV[at] .. ':' .. topic
  local stop, _, first = head(topic_partition)
  if first and removed < left then
    local below = math.min(tonumber(ARGV[at + 1]), first + left - removed, tonumber(stop) - retain)
    if below > first then
      removed = removed + redis.call('XTRIM', key('stream:' .. topic_partition), 'MINID', '0-' .. whole(below + 1))
      redis.call('HSET', key('trimmed'), topic_partition, whole(below))
    end
  end
end
return {removed}
