-- ARGV: the count of changes that this goes by, then {members, members gone, leases, leases gone, roles to take, lease}. Answers 'used'
-- where a process has the store exclusively, false where something has changed; or what was taken.

local members, gone, leases, over, roles, lease = unpack(cmsgpack.unpack(ARGV[3]))
if redis.call('EXISTS', key('exclusive')) == 1 then
  return 'used'
elseif (redis.call('HGET', key('counters'), 'roles') or '0') ~= ARGV[2] then
  return false
end
changed()
each('HDEL', key('members'), gone)
each('HSET', key('members'), members)
each('HDEL', key('leases'), over)
each('HSET', key('leases'), leases)
local taken = {}
for at, role in ipairs(roles) do
  taken[at] = take(role)
  redis.call('HSET', key('leases'), role, lease)
end
return taken
