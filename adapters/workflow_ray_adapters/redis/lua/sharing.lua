-- Answers what heartbeats go by: the count of changes, members, leases, epochs and shards.

return {
  redis.call('HGET', key('counters'), 'roles') or '0', redis.call('HGETALL', key('members')), redis.call('HGETALL', key('leases')),
  redis.call('HGETALL', key('fences')), redis.call('HGETALL', key('topology'))
}
