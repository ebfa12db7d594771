-- What a script of ours says in the end, for row() in extra.py.
function done(summary, latency, r)
  local e = summary.errors
  io.write(string.format("PAIRS reqs=%d dur_us=%d bad=%d p50_us=%d p99_us=%d\n", summary.requests, summary.duration,
    e.status + e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
