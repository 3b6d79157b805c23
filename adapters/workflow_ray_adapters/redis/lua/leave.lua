-- ARGV: worker.

redis.call('HDEL', key('workers'), ARGV[2])
local leases, over = redis.call('HGETALL', key('leases')), {}
for at = 1, #leases, 2 do
  if leases[at + 1]:sub(DIGITS + 1) == ARGV[2] then
    over[#over + 1] = leases[at]
  end
end
each('HDEL', key('leases'), over)
return true
