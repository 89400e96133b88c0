-- Copyright The labguard Authors.
-- SPDX-License-Identifier: Apache-2.0

-- Health of a LabWorkload, by the rules of kstatus: labguard has done its part, is on its way, or cannot do it as the spec is.
-- Whether the pods are compliant is in the message and changes no health: evidence changes with time alone, a sync does not mend it.
local hs = {status = "Progressing", message = "Waiting for labguard"}
local status = obj.status
if status == nil or status.conditions == nil then
  return hs
end
if status.observedGeneration ~= obj.metadata.generation then
  hs.message = "Waiting for labguard to look at this generation"
  return hs
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end
local function holds(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end

if holds("Stalled") then
  return {status = "Degraded", message = conditions.Stalled.reason .. ": " .. conditions.Stalled.message}
end
if holds("Reconciling") then
  hs.message = conditions.Reconciling.reason .. ": " .. conditions.Reconciling.message
  return hs
end
local ready = conditions.Ready
if ready == nil then
  return hs
end
if ready.status ~= "True" then
  if ready.reason == "Suspended" then
    hs.status = "Suspended"
  end
  hs.message = ready.reason .. ": " .. ready.message
  return hs
end

hs.status = "Healthy"
hs.message = ready.message
local compliant = conditions.Compliant
if compliant ~= nil then
  hs.message = "Compliant " .. compliant.status .. ": " .. compliant.message
end
if holds("BreakGlassUsed") then
  hs.message = hs.message .. "; " .. conditions.BreakGlassUsed.message
end
if status.heldCount ~= nil then
  hs.message = hs.message .. "; rollouts held: " .. tostring(status.heldCount)
end
return hs
