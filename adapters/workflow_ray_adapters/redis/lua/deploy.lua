-- ARGV: version expected and version made, the workflows, what is kept for good, then groups and
-- their shards. Returns false; or the version found, where it is another one.

local found = redis.call('HGET', key('deployment'), 'version') or '0'
if found ~= ARGV[2] then
  return found
end
local before, after, names = redis.call('HGETALL', key('topology')), {}, {'deployment'}
for at = 6, #ARGV, 2 do
  after[ARGV[at]] = ARGV[at + 1]
end
redis.call('HSET', key('deployment'), 'version', ARGV[3], 'workflows', ARGV[4], 'known', ARGV[5])
redis.call('DEL', key('topology'))
each('HSET', key('topology'), {unpack(ARGV, 6)})
for at = 1, #before, 2 do
  -- It is retired, or has another shard count: fence off all of its holders.
  if after[before[at]] ~= before[at + 1] then
    for _, role in ipairs(redis.call('SMEMBERS', key('fences_of:' .. before[at]))) do
      raise(role)
      names[#names + 1] = 'role:' .. role
    end
  end
end
notify(names)
return false
