-- ARGV: now or '', then names.

local now = now_of(ARGV[2])
for at = 3, #ARGV do
  local place = redis.call('HGET', key('timeouts'), ARGV[at])
  if place and place ~= '' then
    redis.call('ZREM', key('due:' .. place:sub(DIGITS + 1)), place:sub(1, DIGITS) .. ARGV[at])
    redis.call('HSET', key('timeouts'), ARGV[at], '')
    redis.call('ZADD', key('completed'), 0, now .. ARGV[at])
  end
end
return true
