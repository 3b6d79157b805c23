-- ARGV: workflow, then foreign ids. Returns a row for each: its newest run, or null.

local runs = key('foreign_ids:' .. ARGV[2])
for at = 3, #ARGV do
  local foreign_id = ARGV[at]
  local newest = redis.call('ZREVRANGEBYLEX', runs, '(' .. foreign_id .. '\1', '[' .. foreign_id .. '\0', 'LIMIT', 0, 1)[1]
  local found, data
  if newest then
    found, data = record(newest:sub(#foreign_id + 2))
  end
  put(found or 'null', data)
end
return answer()
