"""Jobs come, are cancelled and go: scripts for those who submit them and look after them."""

from __future__ import annotations

from bridge.job_store.script_functions import ALLOW_OOM, PREAMBLE

# ARGV  1 id   2 tenant   3 digest of the Idempotency-Key, '' for none   4 bytes that may be stored
#       5 unfinished jobs of the kind that a tenant may have
#       6 milliseconds an upload may be silent   7 bytes to reserve   8 kind
#       9.. fields of the manifest
# Returns ok, full, many, or the id of the job that has the Idempotency-Key.
BEGIN = (
    PREAMBLE
    + """
sweep()
local id, tenant, digest = ARGV[1], ARGV[2], ARGV[3]
local known = digest ~= '' and redis.call('GET', P .. 'key:' .. digest)
if known and redis.call('EXISTS', P .. known) == 1 then
  return known
end
local open = P .. 'open:' .. ARGV[8] .. ':' .. tenant
if redis.call('SCARD', open) >= tonumber(ARGV[5]) then
  return 'many'
end
if total() + tonumber(ARGV[7]) > tonumber(ARGV[4]) then
  return 'full'
end
redis.call('HSET', P .. id, unpack(ARGV, 9))
redis.call('HSET', P .. id, 'created_ms', whole(now))
redis.call('ZADD', P .. 'all', 0, id)
redis.call('ZADD', P .. 'of:' .. tenant, 0, id)
redis.call('HSET', P .. 'tenants', id, tenant)
redis.call('SADD', open, id)
charge(id, ARGV[7])
put_state(id, 'uploading')
if digest ~= '' then
  redis.call('SET', P .. 'key:' .. digest, id)
end
expire(id, now + ARGV[6])
return 'ok'
"""
)

# ARGV  1 id   2 number of the block   3 bytes that may be stored
#       4 milliseconds an upload may be silent   5 the block
# Returns ok, lost, or full; in the last case everything of the upload is gone.
WRITE = (
    PREAMBLE
    + """
sweep()
local id = ARGV[1]
local input = P .. id .. ':input'
local number, held = tonumber(ARGV[2]), redis.call('LLEN', input)
if word(id, 'state') ~= 'uploading' or held < number then
  return 'lost'
elseif held > number then
  return 'ok'
end
if total() + #ARGV[5] > tonumber(ARGV[3]) then
  forget(id)
  return 'full'
end
charge(id, #ARGV[5])
redis.call('RPUSH', input, ARGV[5])
redis.call('HINCRBY', P .. id, 'input_bytes', #ARGV[5])
expire(id, now + ARGV[4])
return 'ok'
"""
)

# ARGV  1 id   2 digest of the input, as a field's value   3 bytes of an input that is not stored
COMMIT = (
    PREAMBLE
    + """
local id = ARGV[1]
if word(id, 'state') ~= 'uploading' then
  return field(id, 'input_digest') == ARGV[2] and 'ok' or 'lost'
end
redis.call('HSET', P .. id, 'input_digest', ARGV[2])
if ARGV[3] ~= '' then
  redis.call('HSET', P .. id, 'input_bytes', ARGV[3])
end
persist(id)
await_runner(id)
return 'ok'
"""
)

# ARGV  1 id
ABANDON = (
    ALLOW_OOM
    + PREAMBLE
    + """
if word(ARGV[1], 'state') == 'uploading' then
  forget(ARGV[1])
end
return 'ok'
"""
)

# ARGV  1 id
# Returns ok, gone, or wrong where the job has ended.
CANCEL = (
    ALLOW_OOM
    + PREAMBLE
    + """
local id = ARGV[1]
local state = word(id, 'state')
if not state then
  return 'gone'
elseif state == 'finished' or state == 'failed' or state == 'cancelled' then
  return 'wrong'
end
for _, part in ipairs(PARTS) do
  drop(id, part)
end
redis.call('HSET', P .. id, 'progress_bytes', 0, 'output_bytes', 0, 'rejected_bytes', 0)
end_job(id, 'cancelled')
local runner = word(id, 'runner')
if state == 'running' and runner ~= '' then
  redis.call('RPUSH', P .. 'runner:' .. runner, id)
  redis.call('PEXPIRE', P .. 'runner:' .. runner, RUNNER_MS)
end
return 'ok'
"""
)

# ARGV  1 id
# Returns ok, gone, or wrong where the job has not ended.
DELETE = (
    ALLOW_OOM
    + PREAMBLE
    + """
local id = ARGV[1]
local state = word(id, 'state')
if not state then
  return 'gone'
elseif state ~= 'finished' and state ~= 'failed' and state ~= 'cancelled' then
  return 'wrong'
end
forget(id)
return 'ok'
"""
)

# ARGV  1 id
# Returns ok, gone, or wrong where no dead row can be sent again.
RETRY_DEAD = (
    PREAMBLE
    + """
local id = ARGV[1]
local state = word(id, 'state')
if not state then
  return 'gone'
elseif (state ~= 'finished' and state ~= 'failed') or field(id, 'dead_rows') == '0' then
  return 'wrong'
end
persist(id)
redis.call('HINCRBY', P .. id, 'dead_retries', 1)
redis.call('HSET', P .. id, 'finished_ms', 0, 'expires_ms', 0, 'error', 'null')
redis.call('HSET', P .. id, 'webhook_state', '"none"')
redis.call('ZREM', P .. 'webhooks', id)
redis.call('SADD', P .. 'open:' .. word(id, 'kind') .. ':' .. tenant_of(id), id)
await_runner(id)
return 'ok'
"""
)

# Returns how many bytes are stored.
SWEEP = (
    ALLOW_OOM
    + PREAMBLE
    + """
sweep()
return total()
"""
)

SCRIPTS = {
    "BEGIN": BEGIN,
    "WRITE": WRITE,
    "COMMIT": COMMIT,
    "ABANDON": ABANDON,
    "CANCEL": CANCEL,
    "DELETE": DELETE,
    "RETRY_DEAD": RETRY_DEAD,
    "SWEEP": SWEEP,
}
