-- ARGV: role, group, shard, shards. Answers false and how many shards the group has, if any; or the epoch and whether nothing is in
-- doubt.

local shards = redis.call('HGET', key('topology'), ARGV[3])
if shards ~= ARGV[5] or tonumber(ARGV[4]) < 1 or tonumber(ARGV[4]) > tonumber(shards) then
  return {false, shards}
end
changed()
return take(ARGV[2])
