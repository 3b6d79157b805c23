-- ARGV: role, epoch.

if not lost(ARGV[2], ARGV[3]) then
  redis.call('SREM', key('doubt'), ARGV[2])
  redis.call('HDEL', key('leases'), ARGV[2])
  changed()
end
return true
