-- ARGV: role, epoch. Positions that name the fence are released also where it isn't the newest.

local fence = ARGV[2] .. '\0' .. ARGV[3]
for _, place in ipairs(redis.call('SMEMBERS', key('in_use:' .. fence))) do
  local group, partition = place:match('^(.*)%z(%d+)$')
  local stored = redis.call('HGET', key('positions:' .. group), partition)
  local position = stored and cmsgpack.unpack(stored)
  if position and position[5] == fence then
    position[5] = ''
    redis.call('HSET', key('positions:' .. group), partition, cmsgpack.pack(position))
  end
end
redis.call('DEL', key('in_use:' .. fence))
if not lost(ARGV[2], ARGV[3]) then
  redis.call('HDEL', key('leases'), ARGV[2])
end
return true
