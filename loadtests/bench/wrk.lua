-- For wrk: requests made from the lines of a file, the first argument; the second is the number of
-- lines to use. Lines are tokens, drawn at random, whose profiles are read; with "sign-ups" as third
-- argument they are bodies of sign-ups, sent in order and repeatedly.

local lines = {}
local sent = 0

local function read()
  return "GET /api/v1/profile/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
    .. lines[math.random(#lines)] .. "\r\n\r\n"
end

local function sign_up()
  local body = lines[sent % #lines + 1]
  sent = sent + 1
  return "POST /api/v1/signup/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

function init(arguments)
  local max_lines = tonumber(arguments[2])
  for line in io.lines(arguments[1]) do
    if #lines >= max_lines then break end
    lines[#lines + 1] = line
  end
  math.randomseed(os.time())
  request = arguments[3] == "sign-ups" and sign_up or read
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
