-- ARGV: topic, then partitions. Returns for each the offset of its next event, and how many events
-- it has.

local found = {}
for at = 3, #ARGV do
  found[#found + 1] = {head(ARGV[at] .. ':' .. ARGV[2])}
end
return found
