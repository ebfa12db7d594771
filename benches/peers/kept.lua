-- wrk: of ten requests nine ask the same, and one asks what nobody has asked before.
-- env: TOKEN_FILE (its first line), SUMMARY_LUA
local same, headers, at, fresh = nil, nil, 0, 0
function init(args)
  local token = io.lines(os.getenv("TOKEN_FILE"))()
  headers = { ["Host"] = wrk.headers["Host"], ["Content-Type"] = "text/plain", ["Authorization"] = "Bearer " .. token }
  same = wrk.format("POST", wrk.path, headers, "SELECT 1")
  fresh = os.time() * 1000000
end
function request()
  at = at + 1
  if at % 10 > 0 then return same end
  fresh = fresh + 1
  return wrk.format("POST", wrk.path, headers, string.format("SELECT %.0f", fresh))
end
dofile(os.getenv("SUMMARY_LUA"))
