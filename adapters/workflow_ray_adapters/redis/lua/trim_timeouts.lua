-- ARGV: now or '', microseconds, limit. Returns how many of those completed that long ago were
-- forgotten.

local before = later(now_of(ARGV[2]), -tonumber(ARGV[3]))
local members = redis.call('ZRANGEBYLEX', key('completed'), '-', '[' .. before .. '\255', 'LIMIT', 0, ARGV[4])
local names = {}
for at, member in ipairs(members) do
  names[at] = member:sub(DIGITS + 1)
  redis.call('SREM', key('timeouts_of:' .. names[at]:match('^(.-)%z')), names[at])
end
each('HDEL', key('timeouts'), names)
each('ZREM', key('completed'), members)
return #members
