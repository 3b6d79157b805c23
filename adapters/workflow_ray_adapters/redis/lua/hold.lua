-- ARGV: token, milliseconds. Acquires or renews the exclusive lock. Returns whether that succeeded.

local holder = redis.call('GET', key('exclusive'))
if holder and holder ~= ARGV[2] then
  return 0
end
redis.call('SET', key('exclusive'), ARGV[2], 'PX', ARGV[3])
return 1
