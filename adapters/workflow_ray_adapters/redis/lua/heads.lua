-- ARGV: topic, then partitions. Answers of each the offset that its next event gets, and how many
-- events it has.

local found = {}
for at = 3, #ARGV do
  found[#found + 1] = {head(ARGV[at] .. ':' .. ARGV[2])}
end
return found
