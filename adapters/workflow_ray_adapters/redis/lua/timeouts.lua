-- Timeouts: `timeouts` has every name with its place, `<due time><queue>`, or '' once it is
-- completed. A queue is `<status>:<partition>:<workflow>`; `due:<queue>` has what is open in it, in
-- order, and `completed` when each of the others was completed, until they are forgotten.
-- `timeouts_of:<run>` has the names of a run's.

-- Creates the ones that do not exist, each {queue, due, name}. Returns the names to notify.
local function create_timeouts(timeouts)
  local names = {}
  for _, timeout in ipairs(timeouts) do
    local queue, due, name = unpack(timeout)
    if redis.call('HSETNX', key('timeouts'), name, due .. queue) == 1 then
      redis.call('ZADD', key('due:' .. queue), 0, due .. name)
      redis.call('SADD', key('timeouts_of:' .. name:match('^(.-)%z')), name)
      names[#names + 1] = 'due:' .. queue
    end
  end
  return names
end
