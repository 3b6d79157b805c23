-- ARGV: token.

if redis.call('GET', key('exclusive')) == ARGV[2] then
  redis.call('DEL', key('exclusive'))
end
return true
