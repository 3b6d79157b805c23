-- ARGV: member.

redis.call('HDEL', key('members'), ARGV[2])
local leases = redis.call('HGETALL', key('leases'))
for at = 1, #leases, 2 do
  if cjson.decode(leases[at + 1]).member == ARGV[2] then
    redis.call('HDEL', key('leases'), leases[at])
  end
end
changed()
return true
