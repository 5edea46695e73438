-- Asks a Gatehouse gateway whether a request may pass, and hands its answer on.
-- In haproxy.cfg:   global     lua-load /etc/haproxy/gatehouse.lua
--                   frontend   http-request lua.gatehouse
-- Needs HAProxy 2.6 or later. Whatever goes wrong here refuses the request.

local gateway = "http://127.0.0.1:8090/forward-auth"

-- The identity headers of the policy, in lower case.
local identity = { "x-user-id", "x-roles", "gatehouse-identity" }

-- Many servers take X_User_Id and X.User.Id for X-User-Id.
local function fold(name)
    return (string.lower(name):gsub("[^a-z0-9]", "-"))
end

local function refuse(txn, status, headers, body)
    local reply = txn:reply()
    reply:set_status(status)
    for _, name in ipairs({ "www-authenticate", "retry-after", "content-type", "x-request-id" }) do
        for _, value in pairs(headers[name] or {}) do
            reply:add_header(name, value)
        end
    end
    reply:add_header("cache-control", "no-store")
    reply:set_body(body or "")
    txn:done(reply)
end

local function values(list)
    local all = {}
    for _, value in pairs(list or {}) do
        all[#all + 1] = value
    end
    return all
end

core.register_action("gatehouse", { "http-req" }, function(txn)
    local received = txn.http:req_get_headers()
    local question = {
        ["x-original-method"] = { txn.sf:method() },
        ["x-original-uri"] = { txn.sf:pathq() },
    }
    local authorization = values(received["authorization"])
    if #authorization > 0 then
        question["authorization"] = authorization
    end
    local ok, answer = pcall(function()
        return core.httpclient():get({ url = gateway, headers = question, timeout = 5000 })
    end)
    if not ok or answer == nil or answer.status == nil or answer.status == 0 then
        return refuse(txn, 503, {}, "")
    end
    if answer.status ~= 200 then
        local status = answer.status
        if status < 400 then
            status = 503
        end
        return refuse(txn, status, answer.headers or {}, answer.body)
    end
    -- Delete unconditionally, then set.
    for name in pairs(received) do
        for _, ours in ipairs(identity) do
            if fold(name) == ours then
                txn.http:req_del_header(name)
            end
        end
    end
    for _, name in ipairs(identity) do
        for _, value in pairs(answer.headers[name] or {}) do
            if value ~= "" then
                txn.http:req_set_header(name, value)
            end
        end
    end
end, 0)
