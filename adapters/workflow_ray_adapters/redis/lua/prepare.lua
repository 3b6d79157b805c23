-- ARGV: topic and its partitions, topic and its partitions. Returns false; or a topic that is there
-- with another number of them, and that number.

for at = 2, #ARGV, 2 do
  local found = redis.call('HGET', key('topics'), ARGV[at])
  if found and found ~= ARGV[at + 1] then
    return {ARGV[at], found}
  end
end
each('HSET', key('topics'), {unpack(ARGV, 2)})
return false
