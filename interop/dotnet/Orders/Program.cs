// An API with ASP.NET Core's JwtBearer, which uses Microsoft.IdentityModel.JsonWebTokens.
using System.Security.Claims;
using Microsoft.AspNetCore.Authentication.JwtBearer;

var issuer = Environment.GetEnvironmentVariable("ISSUER")!;
var audience = Environment.GetEnvironmentVariable("AUDIENCE")!;

var builder = WebApplication.CreateBuilder(args);
builder.WebHost.UseUrls($"http://127.0.0.1:{Environment.GetEnvironmentVariable("PORT")}");
builder.Logging.SetMinimumLevel(LogLevel.Warning);

// [guide: verify]
builder.Services.AddAuthentication(JwtBearerDefaults.AuthenticationScheme).AddJwtBearer(options =>
{
    options.Authority = issuer; // its discovery document names the issuer and the keys
    options.Audience = audience;
    options.RequireHttpsMetadata = issuer.StartsWith("https://"); // http is for gatehouse dev
    options.MapInboundClaims = false; // sub stays sub
    // For a kid that is not known the keys are fetched again; the library allows that every five minutes.
    options.RefreshInterval = TimeSpan.FromSeconds(30);
    // Any typ and any algorithm of a key in the set would do, unless these are named.
    options.TokenValidationParameters.ValidTypes = ["at+jwt"];
    options.TokenValidationParameters.ValidAlgorithms = ["ES256"];
    options.TokenValidationParameters.ClockSkew = TimeSpan.FromSeconds(30);
    options.TokenValidationParameters.NameClaimType = "sub";
});
builder.Services.AddAuthorization(options =>
{
    foreach (var scope in (string[])["orders:read", "orders:write"])
    {
        options.AddPolicy(scope, policy => policy.RequireAssertion(context =>
            context.User.FindFirstValue("scope")?.Split(' ').Contains(scope) == true && context.User.FindFirstValue("sub") is { Length: > 0 }));
    }
});
// [end]

var app = builder.Build();
app.UseAuthentication();
app.UseAuthorization();
app.MapGet("/healthz", () => Results.Ok());
// [guide: routes]
app.MapGet("/orders", (ClaimsPrincipal caller) => new { orders = Array.Empty<string>(), @for = caller.Identity!.Name })
    .RequireAuthorization("orders:read");
app.MapPost("/orders", (ClaimsPrincipal caller) => Results.Json(new { by = caller.Identity!.Name }, statusCode: 201))
    .RequireAuthorization("orders:write");
// [end]
app.Run();
