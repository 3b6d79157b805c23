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

-- The range of a sorted set: members with the prefix, whose ids lie between the least and the
-- most, and after `after`; each of them may be ''.
local function range(prefix, least, most, after, newest_first)
  local low, high = prefix == '' and '-' or '[' .. prefix, prefix == '' and '+' or '(' .. prefix:sub(1, -2) .. '\1'
  if after ~= '' and newest_first and (most == '' or before(after, most)) then
    high = '(' .. prefix .. after
  elseif most ~= '' then
    high = '[' .. prefix .. most
  end
  if after ~= '' and not newest_first and before(least, after) then
    low = '(' .. prefix .. after
  elseif least ~= '' then
    low = '[' .. prefix .. least
  end
  return low, high
end

-- The next members of sorted sets, all together and in order, some `most` of them, of those in the
-- range; and whether there may be more. Members come without the prefix.
local function scan(sets, prefix, low, high, newest_first, most)

  local function earlier(one, other)
    if newest_first then
      return before(other, one)
    end
    return before(one, other)
  end

  local share, members, last = math.max(50, math.floor(most / #sets)), {}, nil
  for _, set in ipairs(sets) do
    local found = newest_first and redis.call('ZREVRANGEBYLEX', set, high, low, 'LIMIT', 0, share)
      or redis.call('ZRANGEBYLEX', set, low, high, 'LIMIT', 0, share)
    for _, member in ipairs(found) do
      members[#members + 1] = member:sub(#prefix + 1)
    end
    if #found == share and (not last or earlier(members[#members], last)) then
      last = members[#members]  -- the set may go on here, before what others have
    end
  end
  if #sets > 1 then
    table.sort(members, earlier)
  end
  while last and earlier(last, members[#members]) do
    members[#members] = nil
  end
  return members, last ~= nil
end
