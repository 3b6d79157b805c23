-- ARGV: run ids. Answers a row for each, null where there is no such run.

for at = 2, #ARGV do
  local found, data = record(ARGV[at])
  put(found or 'null', data)
end
return answer()
