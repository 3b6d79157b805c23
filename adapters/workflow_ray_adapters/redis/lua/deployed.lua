-- ARGV: a version or ''. Answers all of the deployment, where it is above that version.

local version = redis.call('HGET', key('deployment'), 'version') or '0'
if ARGV[2] ~= '' and not above(version, ARGV[2]) then
  return {}
end
return redis.call('HGETALL', key('deployment'))
