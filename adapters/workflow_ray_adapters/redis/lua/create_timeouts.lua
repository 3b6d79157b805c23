-- ARGV: queue, due time and name of each timeout.

local timeouts = {}
for at = 2, #ARGV, 3 do
  timeouts[#timeouts + 1] = {ARGV[at], ARGV[at + 1], ARGV[at + 2]}
end
notify(create_timeouts(timeouts))
return true
