-- ARGV: workflow. Returns status, run state and number of runs for each pair that ever had a run.

local found = {}
for _, stand in ipairs(redis.call('SMEMBERS', key('stands:' .. ARGV[2]))) do
  local status, run_state = stand:match('^(.*):(.*)$')
  found[#found + 1] = {status, run_state, redis.call('ZCARD', key('stand:' .. stand .. ':' .. ARGV[2]))}
end
return found
