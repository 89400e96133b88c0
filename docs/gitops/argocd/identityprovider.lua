-- Copyright The labguard Authors.
-- SPDX-License-Identifier: Apache-2.0

-- Health of an IdentityProvider: two that name one issuer count for nothing. That nobody has logged in yet is in the message alone.
local hs = {status = "Progressing", message = "Waiting for labguard"}
if obj.status == nil or obj.status.conditions == nil then
  return hs
end
local seen = nil
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Conflict" and condition.status == "True" and condition.observedGeneration == obj.metadata.generation then
    return {status = "Degraded", message = condition.reason .. ": " .. condition.message}
  end
  if condition.type == "ClaimsSeen" and condition.observedGeneration == obj.metadata.generation then
    seen = condition
  end
end
if seen ~= nil then
  hs.status = "Healthy"
  hs.message = seen.reason .. ": " .. seen.message
end
return hs
