-- ARGV: now or '', microseconds of a lease, worker, the roles that it can run, then {held, wanted}:
-- {role, epoch} and {role, group, shard, shards} each. Returns false where a process has the store
-- exclusively; else whether each of the held is the worker's still, and role and epoch of those
-- that it has acquired.

if redis.call('EXISTS', key('exclusive')) == 1 then
  return false
end
local now, worker, held, wanted = now_of(ARGV[2]), ARGV[4], unpack(cmsgpack.unpack(ARGV[6]))
local lives_until = later(now, tonumber(ARGV[3]))
local workers = redis.call('HGETALL', key('workers'))
for at = 1, #workers, 2 do
  if workers[at + 1]:sub(1, DIGITS) <= now then
    redis.call('HDEL', key('workers'), workers[at])
  end
end
redis.call('HSET', key('workers'), worker, lives_until .. ARGV[5])

local kept, is_kept, leases = {}, {}, {}
local function lease(role)
  leases[#leases + 1] = role
  leases[#leases + 1] = lives_until .. worker
end

for at, fence in ipairs(held) do
  kept[at] = lost(fence[1], fence[2]) and 0 or 1
  if kept[at] == 1 then
    is_kept[fence[1]] = true
    lease(fence[1])
  end
end
local acquired, names = {}, {}
for _, one in ipairs(wanted) do
  local role, group, shard, shards = unpack(one)
  local found = redis.call('HGET', key('leases'), role)
  local holder = found and found:sub(1, DIGITS) > now and found:sub(DIGITS + 1)
  if not is_kept[role] and not retired(group, shard, shards) and (not holder or holder == worker) then
    -- It holds the role already: the answer to an earlier heartbeat was lost.
    local epoch = holder and redis.call('HGET', key('fences'), role)
    if not epoch then
      epoch = acquire(role, group)
      names[#names + 1] = 'role:' .. role
    end
    is_kept[role] = true
    lease(role)
    acquired[#acquired + 1] = {role, epoch}
  end
end
each('HSET', key('leases'), leases)
notify(names)
return {kept, acquired}
