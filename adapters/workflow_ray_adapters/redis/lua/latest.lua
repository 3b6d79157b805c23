-- ARGV: workflow, then foreign ids. Answers a row for each: its newest run, or null.

for at = 3, #ARGV do
  local run_ids = redis.call('ZREVRANGEBYLEX', key('foreign_ids:' .. ARGV[2]), '(' .. ARGV[at] .. '\1', '[' .. ARGV[at] .. '\0', 'LIMIT', 0, 1)
  local found, data
  if run_ids[1] then
    found, data = record(run_ids[1]:sub(#ARGV[at] + 2))
  end
  put(found or 'null', data)
end
return answer()
