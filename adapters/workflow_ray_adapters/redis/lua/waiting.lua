-- ARGV: now or '', workflow, partition, microseconds of quiet, after or '', limit. Returns rows
-- [run id, status, version awaited], and after whom to go on; '' at the end.

local now, workflow, partition, limit = now_of(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[7])
local before, after = later(now, -tonumber(ARGV[5])), ARGV[6]
local found =
  redis.call('ZRANGEBYLEX', key('awaiting:' .. partition .. ':' .. workflow), after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, limit)
for _, run_id in ipairs(found) do
  local _, status, _, _, written_at, _, awaited = state_of(run_id)
  if written_at <= before and redis.call('HEXISTS', key('awaited'), run_id) == 0 then
    put('["' .. run_id .. '",' .. status .. ',' .. awaited .. ']')
  end
end
return answer(#found == limit and found[limit] or '')
