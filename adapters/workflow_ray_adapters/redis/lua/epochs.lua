-- ARGV: roles. Returns the newest epoch of each; 0 where it was never acquired.

local epochs = {}
for at = 2, #ARGV do
  epochs[#epochs + 1] = redis.call('HGET', key('fences'), ARGV[at]) or '0'
end
return epochs
