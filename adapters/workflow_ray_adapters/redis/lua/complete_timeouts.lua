-- ARGV: digits of a due time, then names.

local digits = tonumber(ARGV[2])
for at = 3, #ARGV do
  local place = redis.call('HGET', key('timeouts'), ARGV[at])
  if place and place ~= '' then
    redis.call('ZREM', key('due:' .. place:sub(digits + 1)), place:sub(1, digits) .. ARGV[at])
    redis.call('HSET', key('timeouts'), ARGV[at], '')
  end
end
return true
