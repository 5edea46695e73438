// Logins with Duende.IdentityModel: dotnet Login.dll service, or dotnet Login.dll user
using System.Net;
using Duende.IdentityModel.Client;
using Duende.IdentityModel.OidcClient;
using Duende.IdentityModel.OidcClient.Browser;

var issuer = Environment.GetEnvironmentVariable("ISSUER")!;
var client = Environment.GetEnvironmentVariable("CLIENT_ID")!;
var policy = new DiscoveryPolicy { RequireHttps = issuer.StartsWith("https://") }; // http is for gatehouse dev

Console.WriteLine("token " + (args is ["user"] ? await User() : await Service()));

// [guide: service]
async Task<string> Service()
{
    using var http = new HttpClient();
    var metadata = await http.GetDiscoveryDocumentAsync(new DiscoveryDocumentRequest { Address = issuer, Policy = policy });
    if (metadata.IsError) throw new InvalidOperationException(metadata.Error);
    var answer = await http.RequestClientCredentialsTokenAsync(new ClientCredentialsTokenRequest
    {
        Address = metadata.TokenEndpoint, ClientId = client, ClientSecret = Environment.GetEnvironmentVariable("CLIENT_SECRET"), Scope = "orders:read",
    });
    return answer.IsError ? throw new InvalidOperationException(answer.Error) : answer.AccessToken!;
}
// [end]

// [guide: user]
async Task<string> User()
{
    var browser = new Loopback();
    // The library uses PKCE, and checks state and nonce.
    var login = new OidcClient(new OidcClientOptions
    {
        Authority = issuer, ClientId = client, Scope = "openid orders:read orders:write", RedirectUri = browser.RedirectUri, Browser = browser,
        Policy = new Policy { Discovery = policy }, LoadProfile = false,
    });
    var result = await login.LoginAsync(new LoginRequest());
    return result.IsError ? throw new InvalidOperationException(result.Error) : result.AccessToken;
}

/// <summary>The system browser, which comes back to a port of this machine (RFC 8252 §7.3).</summary>
class Loopback : IBrowser
{
    private readonly System.Net.Sockets.TcpListener listener = new(IPAddress.Loopback, 0);

    public Loopback() => listener.Start();

    public string RedirectUri => $"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}/cb";

    public async Task<BrowserResult> InvokeAsync(BrowserOptions options, CancellationToken cancel = default)
    {
        Console.WriteLine("open " + options.StartUrl);
        using var connection = await listener.AcceptTcpClientAsync(cancel);
        using var stream = connection.GetStream();
        var target = (await new StreamReader(stream).ReadLineAsync(cancel))!.Split(' ')[1];
        var text = "You are signed in. Close this window.\n";
        await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {text.Length}\r\nConnection: close\r\n\r\n{text}"), cancel);
        listener.Stop();
        return new BrowserResult { ResultType = BrowserResultType.Success, Response = "http://127.0.0.1" + target };
    }
}
// [end]
