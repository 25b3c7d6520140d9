"""Jobs are worked on: scripts for those who claim them, each refused to all but the holder."""

from __future__ import annotations

from bridge.job_store.script_functions import ALLOW_OOM, PREAMBLE

# ARGV  1 id   2 runner, as a field's value   3 milliseconds of the lease
# Returns the claim's token, gone, held, or wrong where the job does not wait.
CLAIM = (
    PREAMBLE
    + """
local id = ARGV[1]
local state = word(id, 'state')
if not state then
  return 'gone'
elseif state == 'running' then
  if tonumber(field(id, 'lease_until_ms')) > now then
    return 'held'
  end
elseif state ~= 'waiting' then
  return 'wrong'
end
drop(id, 'output')
drop(id, 'rejected')
redis.call('HSET', P .. id, 'runner', ARGV[2], 'output_bytes', 0, 'rejected_bytes', 0)
if field(id, 'started_ms') == '0' then
  redis.call('HSET', P .. id, 'started_ms', whole(now))
end
put_state(id, 'running')
lease(id, ARGV[3])
redis.call('HINCRBY', P .. id, 'attempts', 1)
return token_of(id)
"""
)

# ARGV  1 id   2 token   3 milliseconds of the lease
RENEW = (
    ALLOW_OOM
    + PREAMBLE
    + """
local refused = fence(ARGV[1], ARGV[2])
if refused then
  return refused
end
lease(ARGV[1], ARGV[3])
return 'ok'
"""
)

# ARGV  1 id   2 token   3 milliseconds until it may be claimed
#       4 how the attempt is counted as well, '' for not at all
RELEASE = (
    ALLOW_OOM
    + PREAMBLE
    + """
local id = ARGV[1]
local refused = fence(id, ARGV[2])
if refused then
  return refused
end
redis.call('HSET', P .. id, 'runner', '""', 'lease_until_ms', 0)
if ARGV[4] ~= '' then
  redis.call('HINCRBY', P .. id, 'attempts_' .. ARGV[4], 1)
end
if ARGV[3] == '0' then
  await_runner(id)
else
  put_state(id, 'waiting')
  redis.call('ZADD', P .. 'leases:' .. word(id, 'kind'), whole(now + ARGV[3]), id)
end
return 'ok'
"""
)

# ARGV  1 id   2 token   3 part   4 number of the block or record   5 bytes that may be stored
#       6 the block or record   7.. fields of the manifest
APPEND = (
    PREAMBLE
    + """
local id, part = ARGV[1], ARGV[3]
local refused = fence(id, ARGV[2])
if refused then
  return refused
end
local number, held = tonumber(ARGV[4]), redis.call('LLEN', P .. id .. ':' .. part)
if held > number then
  return 'ok'
elseif held < number then
  return 'gap'
end
sweep()
if total() + #ARGV[6] > tonumber(ARGV[5]) then
  return 'full'
end
charge(id, #ARGV[6])
redis.call('RPUSH', P .. id .. ':' .. part, ARGV[6])
redis.call('HINCRBY', P .. id, part .. '_bytes', #ARGV[6])
if #ARGV > 6 then
  redis.call('HSET', P .. id, unpack(ARGV, 7))
end
return 'ok'
"""
)

# ARGV  1 id   2 token   3 fields of the manifest ...
UPDATE = (
    PREAMBLE
    + """
local refused = fence(ARGV[1], ARGV[2])
if refused then
  return refused
end
redis.call('HSET', P .. ARGV[1], unpack(ARGV, 3))
return 'ok'
"""
)

# ARGV  1 id   2 token   3 final state   4 1: input and progress are kept for a retry
#       5.. fields of the manifest
FINISH = (
    ALLOW_OOM
    + PREAMBLE
    + """
local id = ARGV[1]
if word(id, 'state') == ARGV[3] and token_of(id) == ARGV[2] then
  return 'ok'
end
local refused = fence(id, ARGV[2])
if refused then
  return refused
end
redis.call('HSET', P .. id, unpack(ARGV, 5))
if ARGV[4] ~= '1' then
  drop(id, 'input')
  drop(id, 'progress')
  redis.call('HSET', P .. id, 'progress_bytes', 0)
end
end_job(id, ARGV[3])
return 'ok'
"""
)

SCRIPTS = {
    "CLAIM": CLAIM,
    "RENEW": RENEW,
    "RELEASE": RELEASE,
    "APPEND": APPEND,
    "UPDATE": UPDATE,
    "FINISH": FINISH,
}
