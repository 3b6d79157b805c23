-- Runs in the order of their ids, a bounded number at a time.

-- Byte by byte: Lua's own comparison follows the server's locale.
local function before(one, other)
  for at = 1, math.min(#one, #other) do
    local mine, theirs = one:byte(at), other:byte(at)
    if mine ~= theirs then
      return mine < theirs
    end
  end
  return #one < #other
end

-- The next members of sorted sets, all together, at most `most`: those after `prefix .. after`, or from the start where that is ''; and
-- whether there may be more. All members have the prefix, or those that don't aren't looked at.
local function scan(sets, prefix, after, newest_first, most)
  local low, high = '[' .. prefix, prefix == '' and '+' or '(' .. prefix:sub(1, -2) .. '\1'
  if after ~= '' and newest_first then
    high = '(' .. prefix .. after
  elseif after ~= '' then
    low = '(' .. prefix .. after
  elseif prefix == '' then
    low = '-'
  end
  local members, more = {}, false
  for _, set in ipairs(sets) do
    local found = newest_first and redis.call('ZREVRANGEBYLEX', set, high, low, 'LIMIT', 0, most)
      or redis.call('ZRANGEBYLEX', set, low, high, 'LIMIT', 0, most)
    more = more or #found == most
    for _, member in ipairs(found) do
      members[#members + 1] = member:sub(#prefix + 1)
    end
  end
  if #sets > 1 then
    table.sort(members, function(one, other)
      if newest_first then
        return before(other, one)
      end
      return before(one, other)
    end)
  end
  return {unpack(members, 1, math.min(#members, most))}, more or #members > most
end
