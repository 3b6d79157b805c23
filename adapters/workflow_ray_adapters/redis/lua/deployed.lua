-- ARGV: a version or ''. Returns the whole deployment if its version is above that one.

local version = redis.call('HGET', key('deployment'), 'version') or '0'
if ARGV[2] ~= '' and not above(version, ARGV[2]) then
  return {}
end
return redis.call('HGETALL', key('deployment'))
