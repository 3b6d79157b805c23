-- ARGV: bytes of a batch, then run ids. Returns a row for each, null where the run does not exist;
-- the run that crosses the batch's size is the last.

local batch = tonumber(ARGV[2])
for at = 3, #ARGV do
  local found, data = record(ARGV[at])
  put(found or 'null', data)
  if size > batch then
    break
  end
end
return answer()
