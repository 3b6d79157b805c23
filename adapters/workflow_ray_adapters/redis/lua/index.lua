-- ARGV: `messages:<workflow>` or `timeouts`, a cursor. Adds what format 3 did not have: the names of each
-- run's messages, or those of its timeouts that are open. Returns the next cursor; 0: this was the last.

local cursor, found = unpack(redis.call('HSCAN', key(ARGV[2]), ARGV[3], 'COUNT', 1000))
for at = 1, #found, 2 do
  local name, stored = found[at], found[at + 1]
  if ARGV[2] ~= 'timeouts' then
    local message = unpack_message(stored)
    redis.call('ZADD', key('posted:' .. message.run_id), message.number, name)
  elseif stored ~= '' then
    redis.call('SADD', key('timeouts_of:' .. name:match('^(.-)%z')), name)
  end
end
return cursor
