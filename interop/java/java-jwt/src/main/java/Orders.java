import com.auth0.jwk.JwkException;
import com.auth0.jwk.JwkProvider;
import com.auth0.jwk.JwkProviderBuilder;
import com.auth0.jwt.JWT;
import com.auth0.jwt.JWTVerifier;
import com.auth0.jwt.algorithms.Algorithm;
import com.auth0.jwt.exceptions.JWTVerificationException;
import com.auth0.jwt.interfaces.DecodedJWT;
import com.auth0.jwt.interfaces.ECDSAKeyProvider;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.security.interfaces.ECPrivateKey;
import java.security.interfaces.ECPublicKey;
import java.util.Arrays;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/** An API with java-jwt and jwks-rsa, on the HTTP server of the JDK. */
public class Orders {
  // [guide: verify]
  private final JWTVerifier verifier;

  Orders(String issuer, String audience) throws Exception {
    // Keys are kept by kid. A kid that is not known is fetched at once, ten times a minute at most.
    JwkProvider keys = new JwkProviderBuilder(URI.create(issuer + "/.well-known/jwks.json").toURL())
        .cached(10, 24, TimeUnit.HOURS).rateLimited(10, 1, TimeUnit.MINUTES).build();
    // One algorithm, with keys of its kind only.
    Algorithm es256 = Algorithm.ECDSA256(new ECDSAKeyProvider() {
      public ECPublicKey getPublicKeyById(String kid) {
        try {
          return keys.get(kid).getPublicKey() instanceof ECPublicKey key ? key : null;
        } catch (JwkException e) {
          throw new JWTVerificationException("no key for this kid", e);
        }
      }

      public ECPrivateKey getPrivateKey() {
        return null;
      }

      public String getPrivateKeyId() {
        return null;
      }
    });
    verifier = JWT.require(es256).withIssuer(issuer).withAudience(audience).acceptLeeway(30).build();
  }

  DecodedJWT verify(String token) {
    DecodedJWT jwt = verifier.verify(token);
    // java-jwt does not look at typ: without this line an ID token with the API's audience would do.
    // Nor at crit, which names what must be understood (RFC 7515 §4.1.11).
    if (!"at+jwt".equals(jwt.getType()) || !jwt.getHeaderClaim("crit").isMissing()) {
      throw new JWTVerificationException("not an access token");
    }
    // java-jwt checks exp if there is one.
    if (jwt.getExpiresAt() == null || jwt.getSubject() == null) {
      throw new JWTVerificationException("no exp or no sub");
    }
    return jwt;
  }

  /** Answers 401 or 403 and returns null if the caller may not. */
  DecodedJWT require(HttpExchange exchange, String scope) throws IOException {
    String header = exchange.getRequestHeaders().getFirst("Authorization");
    if (header == null || !header.regionMatches(true, 0, "Bearer ", 0, 7)) {
      return refuse(exchange, 401, "Bearer");
    }
    DecodedJWT jwt;
    try {
      jwt = verify(header.substring(7));
    } catch (JWTVerificationException | NullPointerException e) { // the latter for a token that is the word null
      return refuse(exchange, 401, "Bearer error=\"invalid_token\"");
    }
    String scopes = jwt.getClaim("scope").asString();
    if (scopes == null || !Arrays.asList(scopes.split(" ")).contains(scope)) {
      return refuse(exchange, 403, "Bearer error=\"insufficient_scope\", scope=\"" + scope + "\"");
    }
    return jwt;
  }
  // [end]

  private static DecodedJWT refuse(HttpExchange exchange, int status, String challenge) throws IOException {
    exchange.getResponseHeaders().set("WWW-Authenticate", challenge);
    answer(exchange, status, "");
    return null;
  }

  private static void answer(HttpExchange exchange, int status, String body) throws IOException {
    exchange.sendResponseHeaders(status, body.isEmpty() ? -1 : body.length());
    exchange.getResponseBody().write(body.getBytes());
    exchange.close();
  }

  // [guide: routes]
  void orders(HttpExchange exchange) throws IOException {
    boolean write = exchange.getRequestMethod().equals("POST");
    DecodedJWT caller = require(exchange, write ? "orders:write" : "orders:read");
    if (caller != null) {
      answer(exchange, write ? 201 : 200, "{\"for\":\"" + caller.getSubject() + "\"}");
    }
  }
  // [end]

  public static void main(String[] args) throws Exception {
    Orders api = new Orders(System.getenv("ISSUER"), System.getenv("AUDIENCE"));
    System.setProperty("sun.net.httpserver.nodelay", "true"); // else an answer waits 40 ms for an acknowledgement
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT"))), 0);
    server.setExecutor(Executors.newFixedThreadPool(4));
    server.createContext("/orders", api::orders);
    server.createContext("/healthz", exchange -> answer(exchange, 200, ""));
    server.start();
  }
}
