<?php
// Orders behind PHP's own server. FLAW=proxy believes the proxy's header;
// FLAW=kind takes any token that the issuer signed for this audience.
$world = json_decode(file_get_contents(getenv('KEYS')), true);
$flaw = getenv('FLAW') ?: '';

function part(string $text): string {
    $data = base64_decode(strtr($text, '-_', '+/'), true);
    if ($data === false || rtrim(strtr(base64_encode($data), '+/', '-_'), '=') !== $text) throw new Exception('base64url');
    return $data;
}

function caller(array $world, string $flaw): string {
    if ($flaw === 'proxy' && !empty($_SERVER['HTTP_X_FORWARDED_USER'])) return $_SERVER['HTTP_X_FORWARDED_USER'];
    if (!preg_match('/^Bearer ([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\z/', $_SERVER['HTTP_AUTHORIZATION'] ?? '', $m)) throw new Exception('token');
    $header = json_decode(part($m[1]), true, 8, JSON_THROW_ON_ERROR);
    $claims = json_decode(part($m[2]), true, 8, JSON_THROW_ON_ERROR);
    if (($header['alg'] ?? '') !== 'RS256' || isset($header['crit'])) throw new Exception('alg');
    if ($flaw !== 'kind' && ($header['typ'] ?? '') !== 'at+jwt') throw new Exception('typ');
    if (openssl_verify("$m[1].$m[2]", part($m[3]), $world['pem'], OPENSSL_ALGO_SHA256) !== 1) throw new Exception('signature');
    if (($claims['iss'] ?? '') !== $world['issuer'] || ($claims['aud'] ?? '') !== $world['audience']) throw new Exception('iss or aud');
    if (!is_int($claims['exp'] ?? null) || $claims['exp'] < time() || !is_string($claims['sub'] ?? null)) throw new Exception('claims');
    return $claims['sub'];
}

header('Content-Type: application/json');
if (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) !== '/orders' || $_SERVER['REQUEST_METHOD'] !== 'GET') {
    http_response_code(404);
    echo '{}';
    return;
}
try {
    $who = caller($world, $flaw);
    echo json_encode(['account' => $who, 'open' => 4]);
} catch (Throwable) {
    http_response_code(401);
    header('WWW-Authenticate: Bearer');
    echo '{"error":"invalid_token"}';
}
