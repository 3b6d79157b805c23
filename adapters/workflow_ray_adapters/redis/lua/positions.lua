-- A position is {offset, begun, log, incarnation, in_use, trying}: numbers as text, `in_use` a
-- role, NUL and an epoch, or ''. `in_use:<role>NUL<epoch>` has the positions that name that fence.

local function merged(before, written)
  if not before or written[3] ~= before[3] or above(written[4], before[4]) then
    return written
  elseif above(before[4], written[4]) then
    return before
  end
  return {
    above(before[1], written[1]) and before[1] or written[1], above(before[2], written[2]) and before[2] or written[2],
    written[3], written[4], written[5], written[6],
  }
end

-- Stores positions, each {group, partition, position}.
local function put_positions(positions)
  for _, one in ipairs(positions) do
    local group, partition, written = unpack(one)
    local stored = redis.call('HGET', key('positions:' .. group), partition)
    local before = stored and cmsgpack.unpack(stored)
    local after = merged(before, written)
    local held, holds = before and before[5] or '', after[5]
    redis.call('HSET', key('positions:' .. group), partition, cmsgpack.pack(after))
    if held ~= holds and held ~= '' then
      redis.call('SREM', key('in_use:' .. held), group .. '\0' .. partition)
    end
    if held ~= holds and holds ~= '' then
      redis.call('SADD', key('in_use:' .. holds), group .. '\0' .. partition)
    end
  end
end
