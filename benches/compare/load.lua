-- For wrk: asks for the path of the URL with cookies taken at random from the file $COOKIES, one
-- "name=value" a line. Ends with the line
--   result <2xx and 3xx answers> <of them per second> <other answers> <socket errors> <p50 ms> <p99 ms>

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init()
  math.randomseed(number)
  requests = {}
  for cookie in io.lines(os.getenv("COOKIES")) do
    requests[#requests + 1] = wrk.format("GET", nil, { Cookie = cookie })
  end
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency)
  local errors = summary.errors
  local answered = summary.requests - errors.status
  print(string.format("result %d %.1f %d %d %.3f %.3f",
    answered, answered / (summary.duration / 1e6), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
