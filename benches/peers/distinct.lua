-- wrk: PAIR_COUNT different requests in turn, each with a token and a statement of its own. Built once, in init.
-- env: PAIR_FILE (a token a line), PAIR_COUNT
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
function done(summary, latency, r)
  local e = summary.errors
  io.write(string.format("PAIRS reqs=%d dur_us=%d bad=%d p50_us=%d p99_us=%d\n", summary.requests, summary.duration,
    e.status + e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
