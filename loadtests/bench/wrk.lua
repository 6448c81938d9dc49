-- For wrk: reads of profiles, each for a token drawn at random from the file that is the first
-- argument; the second is how many of its lines to take.

local head = "GET /api/v1/profile/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
local tokens = {}

function init(arguments)
  local most = tonumber(arguments[2])
  for line in io.lines(arguments[1]) do
    if #tokens >= most then break end
    tokens[#tokens + 1] = line
  end
  math.randomseed(os.time())
end

function request()
  return head .. tokens[math.random(#tokens)] .. "\r\n\r\n"
end

-- One line of JSON, the same as that of loadtests/bench/generator.py.
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "failed": %d, "p50_ms": %f, "p99_ms": %f}\n',
    summary.requests, summary.duration / 1e6,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000
  ))
end
