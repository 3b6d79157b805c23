-- ARGV: now, limit, then lanes. Answers when the next gets due, or '', then each lane's timeouts that are due, in order.

local now, limit, next_due, found = ARGV[2], ARGV[3], '', {}
for at = 4, #ARGV do
  local lane = key('due:' .. ARGV[at])
  found[#found + 1] = redis.call('ZRANGEBYLEX', lane, '-', '(' .. now .. '\255', 'LIMIT', 0, limit)
  local later = redis.call('ZRANGEBYLEX', lane, '[' .. now .. '\255', '+', 'LIMIT', 0, 1)[1]
  later = later and later:sub(1, #now)
  if later and (next_due == '' or later < next_due) then
    next_due = later
  end
end
return {next_due, found}
