-- ARGV: now or '', then roles that a worker holds. Returns the data that a fair share is computed
-- from: the time, workers, leases, shards, and the newest epochs of these roles.

local epochs = {}
for at = 3, #ARGV do
  epochs[#epochs + 1] = redis.call('HGET', key('fences'), ARGV[at]) or '0'
end
return {
  now_of(ARGV[2]), redis.call('HGETALL', key('workers')), redis.call('HGETALL', key('leases')), redis.call('HGETALL', key('topology')),
  epochs,
}
