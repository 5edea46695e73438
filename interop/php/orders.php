<?php
// An API with firebase/php-jwt. Behind nginx or Apache, or to try it out:
//   php -S 127.0.0.1:8090 orders.php
declare(strict_types=1);

require __DIR__ . '/vendor/autoload.php';

use Firebase\JWT\CachedKeySet;
use Firebase\JWT\JWT;
use GuzzleHttp\Client;
use GuzzleHttp\Psr7\HttpFactory;
use Symfony\Component\Cache\Adapter\FilesystemAdapter;

// [guide: verify]
function verify(string $token, string $issuer, string $audience): stdClass
{
    // The set is kept for five minutes, in files, because PHP forgets everything after a request:
    // in a folder of our own, since whoever can write there can say which keys are good.
    // A kid that is not in it is fetched at once; true: ten times a minute at most.
    $keys = new CachedKeySet("$issuer/.well-known/jwks.json", new Client(['timeout' => 5]), new HttpFactory(),
        new FilesystemAdapter('jwks', 0, __DIR__ . '/var'), 300, true);
    JWT::$leeway = 30;
    // The algorithm is the key's, as the key set says it; the token's has to be the same.
    $header = new stdClass();
    $claims = JWT::decode($token, $keys, $header);
    // php-jwt checks the signature, and exp and nbf if they are there. All else is for us:
    // without typ an ID token with the API's audience would do.
    if (($header->typ ?? null) !== 'at+jwt' || ($header->alg ?? null) !== 'ES256' || isset($header->crit)) {
        throw new UnexpectedValueException('not an access token');
    }
    if (($claims->iss ?? null) !== $issuer || !in_array($audience, (array) ($claims->aud ?? []), true)) {
        throw new UnexpectedValueException('from another issuer, or for another API');
    }
    if (!is_numeric($claims->exp ?? null) || !is_string($claims->sub ?? null) || $claims->sub === '') {
        throw new UnexpectedValueException('no exp or no sub');
    }
    return $claims;
}

function requireScope(string $scope): stdClass
{
    $header = $_SERVER['HTTP_AUTHORIZATION'] ?? '';
    if (!preg_match('/^Bearer (\S+)$/i', $header, $match)) {
        refuse(401, 'Bearer');
    }
    try {
        $claims = verify($match[1], getenv('ISSUER'), getenv('AUDIENCE'));
    } catch (Throwable $e) { // also TypeError: a token may hold anything
        refuse(401, 'Bearer error="invalid_token"');
    }
    $scopes = is_string($claims->scope ?? null) ? explode(' ', $claims->scope) : [];
    if (!in_array($scope, $scopes, true)) {
        refuse(403, "Bearer error=\"insufficient_scope\", scope=\"$scope\"");
    }
    return $claims;
}

function refuse(int $status, string $challenge): never
{
    http_response_code($status);
    header("WWW-Authenticate: $challenge");
    exit;
}
// [end]

// [guide: routes]
header('Content-Type: application/json');
switch ($_SERVER['REQUEST_METHOD'] . ' ' . parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case 'GET /orders':
        $caller = requireScope('orders:read');
        echo json_encode(['orders' => [], 'for' => $caller->sub]);
        break;
    case 'POST /orders':
        $caller = requireScope('orders:write');
        http_response_code(201);
        echo json_encode(['by' => $caller->sub]);
        break;
// [end]
    case 'GET /healthz':
        break;
    default:
        http_response_code(404);
}
