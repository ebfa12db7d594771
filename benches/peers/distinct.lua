-- wrk: PAIR_COUNT different requests in turn, each with a token and a statement of its own. Built once, in init.
-- env: PAIR_FILE (a token a line), PAIR_COUNT, SUMMARY_LUA
local requests, count, at = {}, 0, 0
function init(args)
  local wanted = tonumber(os.getenv("PAIR_COUNT"))
  for token in io.lines(os.getenv("PAIR_FILE")) do
    count = count + 1
    local headers = { ["Host"] = wrk.headers["Host"], ["Content-Type"] = "text/plain", ["Authorization"] = "Bearer " .. token }
    requests[count] = wrk.format("POST", wrk.path, headers, "SELECT " .. count)
    if count == wanted then break end
  end
end
function request()
  at = at % count + 1
  return requests[at]
end
dofile(os.getenv("SUMMARY_LUA"))
