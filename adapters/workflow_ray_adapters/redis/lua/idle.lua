-- ARGV: workflow, how many to look at, limit, last written by, after or '', then stands. Answers rows, and after whom to go on; '' at
-- the end.

local workflow, most, limit, by, after = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]
local sets = {}
for at = 7, #ARGV do
  sets[#sets + 1] = key('stand:' .. ARGV[at] .. ':' .. workflow)
end
local found, more = scan(sets, '', after, false, most)
for _, run_id in ipairs(found) do
  local written_at = select(5, state_of(run_id))
  if written_at <= by and redis.call('HEXISTS', key('awaited'), run_id) == 0 then
    put((record(run_id)))
    if #rows >= limit then
      return answer(run_id)
    end
  end
end
return answer(more and found[#found] or '')
