-- Who holds a role: `fences` has the newest epoch of each that was ever taken, `doubt` those not released since, `leases` who shares
-- one. Whatever changes one of them counts up `roles` in `counters`, so that who has looked can tell whether it still is so.

local function changed()
  redis.call('HINCRBY', key('counters'), 'roles', 1)
end

-- The new epoch, and whether nothing is in doubt.
local function take(role)
  local epoch = whole(latest('fences', role) + 1)
  redis.call('HSET', key('fences'), role, epoch)
  redis.call('HDEL', key('leases'), role)
  hint({'outbox'})  -- whoever published before is told now, not when its wait is over
  return {epoch, redis.call('SADD', key('doubt'), role)}
end
