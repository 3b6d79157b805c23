-- ARGV: the names of a key. Answers all of that hash.

return redis.call('HGETALL', key(unpack(ARGV, 2)))
