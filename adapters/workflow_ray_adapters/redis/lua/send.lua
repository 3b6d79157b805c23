-- ARGV: how many events a stream retains or '', then lane and event, lane and event.

local lanes = {}
for at = 3, #ARGV, 2 do
  append(ARGV[at], ARGV[at + 1], ARGV[2])
  lanes[#lanes + 1] = ARGV[at]
end
hint(topics(lanes))
return #lanes
