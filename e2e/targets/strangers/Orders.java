import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

// Orders behind the JDK's own server. FLAW=forwarded decides by the address that
// a proxy says was asked for; FLAW=stripped looks at a signature only if there is one.
public class Orders {
  static final String FLAW = System.getenv().getOrDefault("FLAW", "");
  static String issuer, audience;
  static PublicKey key;

  static String member(String json, String name) {
    Matcher m = Pattern.compile("\"" + name + "\"\\s*:\\s*\"((?:[^\"\\\\]|\\\\.)*)\"").matcher(json);
    return m.find() ? m.group(1).replace("\\n", "\n").replace("\\/", "/") : null;
  }

  static long number(String json, String name) {
    Matcher m = Pattern.compile("\"" + name + "\"\\s*:\\s*(\\d{1,11})[,}]").matcher(json);
    if (!m.find()) throw new IllegalArgumentException(name);
    return Long.parseLong(m.group(1));
  }

  static String decode(String part) {
    String text = new String(Base64.getUrlDecoder().decode(part), StandardCharsets.UTF_8);
    if (!Base64.getUrlEncoder().withoutPadding().encodeToString(Base64.getUrlDecoder().decode(part)).equals(part)) throw new IllegalArgumentException("base64url");
    return text;
  }

  static String caller(String authorization) throws Exception {
    if (authorization == null || !authorization.startsWith("Bearer ")) throw new IllegalArgumentException("scheme");
    String[] parts = authorization.substring(7).split("\\.", -1);
    if (parts.length != 3) throw new IllegalArgumentException("parts");
    String header = decode(parts[0]), claims = decode(parts[1]);
    if (!"RS256".equals(member(header, "alg")) || !"at+jwt".equals(member(header, "typ")) || header.contains("\"crit\"")) throw new IllegalArgumentException("header");
    if (!(FLAW.equals("stripped") && parts[2].isEmpty())) {
      Signature s = Signature.getInstance("SHA256withRSA");
      s.initVerify(key);
      s.update((parts[0] + "." + parts[1]).getBytes(StandardCharsets.US_ASCII));
      if (!s.verify(Base64.getUrlDecoder().decode(parts[2]))) throw new IllegalArgumentException("signature");
    }
    if (!issuer.equals(member(claims, "iss")) || !audience.equals(member(claims, "aud")) || number(claims, "exp") < System.currentTimeMillis() / 1000) throw new IllegalArgumentException("claims");
    String sub = member(claims, "sub");
    if (sub == null || sub.isEmpty()) throw new IllegalArgumentException("sub");
    return sub;
  }

  static void answer(HttpExchange x, int status, String body) throws Exception {
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    x.getResponseHeaders().set("Content-Type", "application/json");
    if (status == 401) x.getResponseHeaders().set("WWW-Authenticate", "Bearer");
    x.sendResponseHeaders(status, x.getRequestMethod().equals("HEAD") ? -1 : bytes.length);
    if (!x.getRequestMethod().equals("HEAD")) x.getResponseBody().write(bytes);
    x.close();
  }

  public static void main(String[] args) throws Exception {
    String world = Files.readString(Path.of(System.getenv("KEYS")));
    issuer = member(world, "issuer");
    audience = member(world, "audience");
    String pem = member(world, "pem").replaceAll("-----[^-]+-----|\\s", "");
    key = KeyFactory.getInstance("RSA").generatePublic(new X509EncodedKeySpec(Base64.getDecoder().decode(pem)));
    HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 50);
    server.setExecutor(Executors.newFixedThreadPool(8));
    server.createContext("/", x -> {
      try {
        String asked = x.getRequestURI().getRawPath();
        if (!asked.equals("/orders")) { answer(x, 404, "{}"); return; }
        String checked = asked;
        if (FLAW.equals("forwarded") && x.getRequestHeaders().getFirst("X-Forwarded-Uri") != null) checked = x.getRequestHeaders().getFirst("X-Forwarded-Uri");
        String who = "guest";
        if (!checked.startsWith("/public") && !checked.equals("/healthz")) who = caller(x.getRequestHeaders().getFirst("Authorization"));
        answer(x, 200, "{\"buyer\":\"" + who + "\",\"lines\":[1,2]}");
      } catch (Exception e) {
        try { answer(x, 401, "{\"error\":\"unauthorized\"}"); } catch (Exception gone) { x.close(); }
      }
    });
    server.start();
    System.out.println("{\"port\":" + server.getAddress().getPort() + "}");
  }
}
