-- ARGV: lane, `<status>:<partition>:<workflow>`, due time and name of each timeout. `timeouts` has every name for good, with its place
-- until it is completed; `due:<lane>` those that aren't, in order.

local heard = {}
for at = 2, #ARGV, 3 do
  local lane, due, name = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if redis.call('HSETNX', key('timeouts'), name, due .. lane) == 1 then
    redis.call('ZADD', key('due:' .. lane), 0, due .. name)
    heard[#heard + 1] = 'due:' .. lane
  end
end
hint(heard)
return true
