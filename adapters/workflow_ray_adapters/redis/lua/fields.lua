-- ARGV: a key. Answers all of that hash.

return redis.call('HGETALL', key(ARGV[2]))
