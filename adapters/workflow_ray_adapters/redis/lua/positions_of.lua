-- ARGV: group. Returns its positions: partition, position, partition, position.

return redis.call('HGETALL', key('positions:' .. ARGV[2]))
