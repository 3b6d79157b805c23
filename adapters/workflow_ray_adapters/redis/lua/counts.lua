-- ARGV: workflow. Answers status, run state and how many runs, of each stand that ever had some.

local found = {}
for _, stand in ipairs(redis.call('SMEMBERS', key('stands:' .. ARGV[2]))) do
  local status, run_state = stand:match('^(.*):(.*)$')
  found[#found + 1] = {status, run_state, redis.call('ZCARD', key('stand:' .. stand .. ':' .. ARGV[2]))}
end
return found
