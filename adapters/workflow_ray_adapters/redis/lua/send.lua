-- ARGV: topic-partition and event, topic-partition and event.

local topic_partitions = {}
for at = 2, #ARGV, 2 do
  append(ARGV[at], ARGV[at + 1])
  topic_partitions[#topic_partitions + 1] = ARGV[at]
end
notify(grown(topic_partitions))
return #topic_partitions
