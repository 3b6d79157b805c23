-- ARGV: now or '', group, 'all', 'dead' or 'due', event id or '', partitions as ',1,2,' or '', after
-- which name or '', limit, bytes of a page, how many to look at. Returns rows [set aside at, changed
-- at, due or '', body], and their events; after whom to go on, '' at the end; and in how many microseconds the first
-- row is due.

local now, group, kind, event_id, partitions, after = now_of(ARGV[2]), ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local limit, batch, most = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local members = redis.call('ZRANGEBYLEX', key('set_aside_' .. kind .. ':' .. group), after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, most)
local first = ''
for _, member in ipairs(members) do
  local name = kind == 'due' and member:sub(DIGITS + 1) or member
  local set_aside_at, changed_at, due, partition, of_event, body = unpack(cmsgpack.unpack(redis.call('HGET', key('set_aside:' .. group), name)))
  if (event_id == '' or event_id == of_event) and (partitions == '' or listed(partitions, partition)) then
    first = #rows == 0 and due or first
    put('["' .. set_aside_at .. '","' .. changed_at .. '","' .. due .. '",' .. body .. ']', redis.call('HGET', key('set_aside_events:' .. group), name))
    if #rows >= limit or size > batch then
      return answer('', until_due(now, first))
    end
  end
end
return answer(#members == most and members[most] or '', until_due(now, first))
