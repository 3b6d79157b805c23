-- ARGV: role, group, shard, shards. Returns false and how many shards the group has, or ''; or the
-- epoch.

local role, group, shard, shards = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local current = retired(group, shard, shards)
if current then
  return {false, current}
end
local epoch = acquire(role, group)
notify({'role:' .. role})
return {epoch}
