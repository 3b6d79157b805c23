-- ARGV: version expected and version made, the workflows, what is known for good, then groups and their shards. Answers false; or the
-- version found.

local found = redis.call('HGET', key('deployment'), 'version') or '0'
if found ~= ARGV[2] then
  return found
end
redis.call('HSET', key('deployment'), 'version', ARGV[3], 'workflows', ARGV[4], 'known', ARGV[5])
redis.call('DEL', key('topology'))
each('HSET', key('topology'), {unpack(ARGV, 6)})
redis.call('HINCRBY', key('counters'), 'roles', 1)
return false
