-- ARGV: now or '', limit, time and name after which to begin or '', then queues. Returns in how
-- many microseconds the next gets due, or '', then each queue's timeouts that are due, in order.

local now, limit, after, next_due, found = now_of(ARGV[2]), ARGV[3], ARGV[4], '', {}
for at = 5, #ARGV do
  local queue = key('due:' .. ARGV[at])
  found[#found + 1] =
    redis.call('ZRANGEBYLEX', queue, after == '' and '-' or '(' .. after, '(' .. now .. '\255', 'LIMIT', 0, limit)
  local first = redis.call('ZRANGEBYLEX', queue, '[' .. now .. '\255', '+', 'LIMIT', 0, 1)[1]
  first = first and first:sub(1, DIGITS)
  if first and (next_due == '' or first < next_due) then
    next_due = first
  end
end
return {until_due(now, next_due), found}
