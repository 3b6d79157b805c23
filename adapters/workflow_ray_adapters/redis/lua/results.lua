-- ARGV: run ids. Returns rows [run id, visit, name] of the results of once of their visits, and the
-- results.

for at = 2, #ARGV do
  local run_id = ARGV[at]
  local version = state_of(run_id)
  local stored = version and redis.call('HGETALL', key('results:' .. run_id)) or {}
  local visit = #stored > 0 and visit_at(run_id, version)
  for place = 1, #stored, 2 do
    local of_visit, name = stored[place]:match('^(%d+):(.*)$')
    if of_visit == visit then
      put('[' .. cjson.encode(run_id) .. ',' .. visit .. ',' .. cjson.encode(name) .. ']', stored[place + 1])
    end
  end
end
return answer()
