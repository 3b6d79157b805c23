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

-- The next members of sorted sets, all together and in order, some `most` of them: those after
-- `prefix .. after`, or from the start where that is ''; and whether there may be more. Only
-- members with the prefix are looked at, and come without it.
local function scan(sets, prefix, after, newest_first, most)
  local low, high = prefix == '' and '-' or '[' .. prefix, prefix == '' and '+' or '(' .. prefix:sub(1, -2) .. '\1'
  if after ~= '' and newest_first then
    high = '(' .. prefix .. after
  elseif after ~= '' then
    low = '(' .. prefix .. after
  end

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
