<?php
// Logins with league/oauth2-client: php login.php service, or php login.php user
declare(strict_types=1);

require __DIR__ . '/vendor/autoload.php';

use League\OAuth2\Client\Provider\GenericProvider;

function provider(string $redirect = ''): GenericProvider
{
    $issuer = getenv('ISSUER');
    return new GenericProvider([
        'clientId' => getenv('CLIENT_ID'), 'clientSecret' => getenv('CLIENT_SECRET') ?: '', 'redirectUri' => $redirect,
        'urlAuthorize' => "$issuer/oauth/authorize", 'urlAccessToken' => "$issuer/oauth/token", 'urlResourceOwnerDetails' => "$issuer/oauth/userinfo",
        'scopeSeparator' => ' ', 'pkceMethod' => GenericProvider::PKCE_METHOD_S256,
    ]);
}

// [guide: service]
function service(): string
{
    return provider()->getAccessToken('client_credentials', ['scope' => 'orders:read'])->getToken();
}
// [end]

// [guide: user]
function user(): string
{
    $listener = stream_socket_server('tcp://127.0.0.1:0');
    $redirect = 'http://' . stream_socket_get_name($listener, false) . '/cb';
    $provider = provider($redirect);
    echo 'open ', $provider->getAuthorizationUrl(['scope' => 'openid orders:read orders:write']), "\n";
    $connection = stream_socket_accept($listener, 300);
    $line = explode(' ', (string) fgets($connection));
    fwrite($connection, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nYou are signed in. Close this window.\n");
    fclose($connection);
    parse_str((string) parse_url($line[1] ?? '', PHP_URL_QUERY), $answer);
    // What comes back has to belong to what was asked.
    if (!hash_equals($provider->getState(), (string) ($answer['state'] ?? '')) || !is_string($answer['code'] ?? null)) {
        throw new RuntimeException('refused: ' . ($answer['error'] ?? 'another state'));
    }
    return $provider->getAccessToken('authorization_code', ['code' => $answer['code']])->getToken();
}
// [end]

echo 'token ', ($argv[1] ?? '') === 'user' ? user() : service(), "\n";
