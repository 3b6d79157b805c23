-- Who holds a role: `fences` has the newest epoch of each that was ever acquired,
-- `fences_of:<group>` the names of a group's, and `leases` who shares one: until when, and the
-- worker.

-- Raises the role's epoch, which fences off its holder.
local function raise(role)
  local epoch = whole(latest('fences', role) + 1)
  redis.call('HSET', key('fences'), role, epoch)
  redis.call('HDEL', key('leases'), role)
  return epoch
end

local function acquire(role, group)
  redis.call('SADD', key('fences_of:' .. group), role)
  return raise(role)
end

-- How many shards the group has, if the role is not one of them; '' if it has none.
local function retired(group, shard, shards)
  local current = redis.call('HGET', key('topology'), group)
  if current ~= shards or tonumber(shard) < 1 or tonumber(shard) > tonumber(shards) then
    return current or ''
  end
end
