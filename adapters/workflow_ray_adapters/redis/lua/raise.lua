-- ARGV: topic, then partition and offset, partition and offset: no event of theirs gets an offset below that any more.

for at = 3, #ARGV, 2 do
  local lane = ARGV[at] .. ':' .. ARGV[2]
  if above(ARGV[at + 1], (head(lane))) then
    local id = '0-' .. ARGV[at + 1]
    redis.call('XADD', key('stream:' .. lane), id, 'event', '')
    redis.call('XDEL', key('stream:' .. lane), id)
  end
end
return true
