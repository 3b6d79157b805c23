-- ARGV: bytes of a page, run states to wait for as ',1,2,' or '', then run id and version seen,
-- sorted by run id.

local batch, run_states = tonumber(ARGV[2]), ARGV[3]
for at = 4, #ARGV, 2 do
  local version, _, run_state = state_of(ARGV[at])
  if version and above(version, ARGV[at + 1]) and (run_states == '' or listed(run_states, run_state)) then
    put(record(ARGV[at]))
    if size > batch then
      break
    end
  end
end
return answer()
